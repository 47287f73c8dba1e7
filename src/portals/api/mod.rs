//! The GraphQL objects of portals.

mod change;
mod event;
mod list;

use std::sync::Arc;

use std::borrow::Cow;

use async_graphql::{Context, ID, Object, OutputType, SimpleObject};

use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::connection::Connection;
use crate::kernel::error::{Error, Result};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::PageArguments;
use crate::kernel::plain::Plain;
use crate::kernel::scalars::{Instant, Url};
use crate::kernel::steps::{Interval, Span};
use crate::notifications::api::NotificationSettings;
use crate::portals::store::{self, PortalRow};
use crate::portals::{Locale, SuspensionReason, SyncState};
use crate::quota::api::Quota;
use crate::resync::api::{ResyncBatch, ResyncBatchStatus, ResyncWebhook, list_batches};
use crate::sync_errors::api::{
    CategorySummary, ErrorListArguments, RecordView, SyncError, SyncErrorEvent,
    SyncErrorEventFilter, SyncErrorEventKind, SyncErrorFilter, SyncErrorOrder, SyncErrorStatus,
    TrendPoint, list_views,
};
use crate::sync_errors::{self, feed, history, trend};

pub use change::PortalChange;
pub use event::PortalEvent;
pub use list::{OrderDirection, PortalListArguments, PortalOrder, PortalOrderField, list_portals};

/// A HubSpot account (Hub ID) that is connected to one Salesforce org: the tenant. One that the token names exists
/// from the start, empty.
pub struct Portal {
    pub(crate) scope: Scope<Read>,
    pub(crate) row: Arc<PortalRow>,
    /// Its quota, where a list has read those of all its portals.
    quota: Option<Quota>,
}

impl Portal {
    /// A portal that was read.
    pub fn of(scope: Scope<Read>, row: Arc<PortalRow>) -> Self {
        Self {
            scope,
            row,
            quota: None,
        }
    }

    /// The portal of a scope; `None` when it does not exist.
    pub async fn load(call: &Call, scope: Scope<Read>) -> Result<Option<Self>> {
        Ok(store::find(call, &scope)
            .await?
            .map(|row| Self::of(scope, row)))
    }

    /// The portals of several scopes, as far as they exist.
    pub async fn load_many(call: &Call, scopes: Vec<Scope<Read>>) -> Result<Vec<Self>> {
        let rows = store::find_many(call, &scopes).await?;
        let row = |scope: &Scope<Read>| {
            rows.iter()
                .find(|row| row.portal.hub_id == scope.hub_id())
                .cloned()
        };
        Ok(scopes
            .into_iter()
            .filter_map(|scope| {
                let row = row(&scope)?;
                Some(Self::of(scope, row))
            })
            .collect())
    }
}

/// A HubSpot account (Hub ID) that is connected to one Salesforce org: the tenant. One that the token names exists
/// from the start, empty.
#[Object]
impl Portal {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(Kind::Portal, self.scope.hub_id(), &[])
    }

    /// HubSpot's number of the account (its API says portalId); an ID because it may pass 2^31.
    async fn hub_id(&self) -> ID {
        ID(self.scope.hub_id().to_string())
    }

    /// The name set by `configurePortal`; null when not set.
    async fn name(&self) -> Option<&str> {
        self.row.portal.name.as_deref()
    }

    /// The zone of days and digests, a name of the IANA time zone database; UTC until configured.
    async fn time_zone(&self) -> &str {
        &self.row.portal.time_zone
    }

    /// The language of our own texts where none is asked for; EN until configured.
    async fn locale(&self) -> Locale {
        self.row.portal.locale
    }

    /// Where the portal's HubSpot app is; it differs by region. https://app.hubspot.com until configured.
    async fn hubspot_app_url(&self) -> Url {
        Url(self.row.portal.hubspot_app_url.clone())
    }

    /// The connected org's own URL; null until configured or reported: then Salesforce's `RecordRef.url` is null too.
    async fn salesforce_instance_url(&self) -> Option<Url> {
        self.row.portal.salesforce_instance_url.clone().map(Url)
    }

    /// The connected user, whose permissions the card PERMISSIONS is about; null until reported.
    async fn salesforce_username(&self) -> Option<&str> {
        self.row.portal.salesforce_username.as_deref()
    }

    /// Where its records to be tried again are sent, and how that goes; null until configured.
    async fn resync_webhook(&self, ctx: &Context<'_>) -> Result<Option<ResyncWebhook>> {
        ResyncWebhook::load(Call::of(ctx)?, self).await
    }

    /// Who is told of news, when and how.
    async fn notification_settings(&self, ctx: &Context<'_>) -> Result<NotificationSettings> {
        NotificationSettings::of(Call::of(ctx)?, self).await
    }

    /// Whether the portal syncs at present: as last reported, or as failures said (no API calls left, the API disabled);
    /// a later success makes it ACTIVE. ACTIVE until then.
    async fn sync_state(&self) -> SyncState {
        self.row.portal.sync_state
    }

    /// Since when and why it does not sync; null while ACTIVE.
    async fn suspension(&self) -> Option<Suspension> {
        let portal = &self.row.portal;
        let since = portal.suspended_since.map(Instant)?;
        Some(Suspension {
            reason: portal
                .suspension_reason
                .unwrap_or(SuspensionReason::Unknown),
            since,
        })
    }

    /// API calls: limits, use, what is left.
    async fn quota(&self, ctx: &Context<'_>) -> Result<Quota> {
        match &self.quota {
            Some(quota) => Ok(quota.clone()),
            None => Quota::load(Call::of(ctx)?, self).await,
        }
    }

    /// The cards: always all eight, in the order of the enum.
    async fn categories(&self) -> Vec<CategorySummary> {
        SyncErrorCategory::all()
            .map(|name| self.card(name))
            .collect()
    }

    /// One card.
    async fn category(
        &self,
        #[graphql(desc = "Which one.")] name: SyncErrorCategory,
    ) -> CategorySummary {
        self.card(name)
    }

    /// The sync errors of all cards. A page that is ordered by anything but FIRST_SEEN_AT can miss errors that move
    /// meanwhile: walk a whole list by FIRST_SEEN_AT, DESC.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the contract"
    )]
    async fn sync_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the front, 1 to 100; 50 when neither first nor last is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100. Not together with first.")] last: Option<
            i32,
        >,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "Only errors in one of these; [] and null: any.",
            default_with = "sync_errors::list::default_statuses()"
        )]
        statuses: Option<Vec<SyncErrorStatus>>,
        #[graphql(
            desc = "Only errors that all given keys hold for.",
            default_with = "Some(SyncErrorFilter::default())"
        )]
        filter: Option<SyncErrorFilter>,
        #[graphql(
            desc = "The order of the list.",
            default_with = "Some(SyncErrorOrder::default())"
        )]
        order_by: Option<SyncErrorOrder>,
    ) -> Result<Connection<SyncError>> {
        let page = PageArguments {
            first,
            after,
            last,
            before,
        };
        sync_errors::list::connection(
            ctx,
            self,
            ErrorListArguments {
                page,
                category: None,
                statuses,
                filter,
                order_by,
            },
        )
        .await
    }

    /// Where the portal's feed stands in the same snapshot as this answer: what `after` of `syncErrorEvents` takes to
    /// get only what changed since, with nothing missed between.
    async fn event_cursor(&self, ctx: &Context<'_>) -> Result<String> {
        let snapshot = &Call::of(ctx)?.snapshot;
        let end = history::end(snapshot, &self.scope, &self.row.head).await?;
        Ok(end.encode())
    }

    /// The feed: what happened to the portal's errors, oldest first. CURSOR_EXPIRED when `after` is from another feed,
    /// ahead of it or older than what is kept of it: query the state again and go on from its `eventCursor`.
    async fn sync_error_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(
            desc = "Only events behind this cursor: an `eventCursor` or the cursor of an event. Null: from the beginning."
        )]
        after: Option<String>,
        #[graphql(desc = "Only events of these kinds; [] and null: any.")] kinds: Option<
            Vec<SyncErrorEventKind>,
        >,
        #[graphql(
            desc = "Only events of errors that all given keys hold for.",
            default_with = "Some(SyncErrorEventFilter::default())"
        )]
        filter: Option<SyncErrorEventFilter>,
    ) -> Result<Connection<SyncErrorEvent>> {
        feed::connection(
            ctx,
            self,
            feed::Arguments {
                first,
                after,
                kinds,
                filter,
            },
        )
        .await
    }

    /// How the cards developed: for each step and category what was opened and resolved in it, and what was open at
    /// its end; oldest first. At most 1,500 steps: BAD_USER_INPUT for more. Steps of a DAY begin at midnight in the
    /// portal's time zone.
    async fn trend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From when on; the first step is the one that holds it.")] since: Instant,
        #[graphql(desc = "Until when, exclusive; now when left out.")] until: Option<Instant>,
        #[graphql(desc = "The length of a step.", default_with = "Some(Interval::Day)")]
        interval: Option<Interval>,
        #[graphql(desc = "Only these; [] and null: all eight.")] categories: Option<
            Vec<SyncErrorCategory>,
        >,
    ) -> Result<Vec<TrendPoint>> {
        let until = until.map_or(Call::of(ctx)?.now(), |until| until.0);
        let span = Span {
            since: since.0,
            until,
            interval: interval.unwrap_or(Interval::Day),
        };
        trend::points(Call::of(ctx)?, self, span, categories.unwrap_or_default()).await
    }

    /// What happened to the portal as a whole, oldest first: to its API calls, and whether it syncs. These entries share
    /// the feed and its cursors with `syncErrorEvents`.
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(
            desc = "Only entries behind this cursor: an `eventCursor` or the cursor of an entry. Null: from the beginning."
        )]
        after: Option<String>,
    ) -> Result<Connection<PortalEvent>> {
        event::list(ctx, self, first, after.as_deref()).await
    }

    /// What was asked to be tried again, newest first.
    async fn resync_batches(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Only batches in one of these; [] and null: any.")] statuses: Option<
            Vec<ResyncBatchStatus>,
        >,
    ) -> Result<Connection<ResyncBatch>> {
        let page = (first, after.as_deref());
        list_batches(ctx, &self.scope, page, &statuses.unwrap_or_default()).await
    }

    /// The saved views of affected records, newest first.
    async fn record_views(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<RecordView>> {
        list_views(ctx, self, (first, after.as_deref())).await
    }

    /// Who changed which setting, newest first.
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<PortalChange>> {
        change::list(ctx, &self.scope, first, after).await
    }
}

impl Portal {
    fn card(&self, name: SyncErrorCategory) -> CategorySummary {
        CategorySummary::new(self, name)
    }
}

/// Since when and why a portal does not sync.
#[derive(SimpleObject)]
pub struct Suspension {
    /// Why.
    pub reason: SuspensionReason,
    /// Since when, as reported.
    pub since: Instant,
}

/// The error of a portal that went away while it was read.
pub fn portal_gone() -> Error {
    Error::NotFound("The portal does not exist any more.".into())
}

/// Lists of it are short, or rare.
impl Plain for Portal {
    fn name() -> Cow<'static, str> {
        <Self as OutputType>::type_name()
    }
}
