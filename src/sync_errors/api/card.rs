//! The eight cards and their development.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::guide::{Place, ResolutionGuide};
use crate::classify::{SyncErrorCategory, category_meaning, category_title};
use crate::kernel::auth::{Read, Scope};
use crate::kernel::connection::Connection;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::page::PageArguments;
use crate::kernel::scalars::Instant;
use crate::portals::api::Portal;
use crate::portals::{Locale, PortalRow};
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::{ErrorListArguments, SyncError, SyncErrorFilter, SyncErrorOrder};
use crate::sync_errors::list;

/// One of the eight cards of the tab.
pub struct CategorySummary {
    scope: Scope<Read>,
    row: Arc<PortalRow>,
    name: SyncErrorCategory,
}

impl CategorySummary {
    /// A card of a portal.
    pub fn new(portal: &Portal, name: SyncErrorCategory) -> Self {
        Self {
            scope: portal.scope.clone(),
            row: portal.row.clone(),
            name,
        }
    }

    /// The card that the key of a global id names.
    pub fn of_key(portal: &Portal, key: &[u8]) -> Option<Self> {
        let [number] = key else { return None };
        let name = SyncErrorCategory::all().nth(usize::from(*number))?;
        Some(Self::new(portal, name))
    }
}

/// One of the eight cards of the tab.
#[Object]
impl CategorySummary {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::encode(
            Kind::CategorySummary,
            self.scope.hub_id(),
            &[self.name as u8],
        )
    }

    /// Which card.
    async fn name(&self) -> SyncErrorCategory {
        self.name
    }

    /// The card's title.
    async fn title(
        &self,
        #[graphql(desc = "The language; the portal's when left out.")] locale: Option<Locale>,
    ) -> String {
        category_title(self.name, locale.unwrap_or(self.row.portal.locale))
    }

    /// One sentence on what the card collects.
    async fn meaning(
        &self,
        #[graphql(desc = "The language; the portal's when left out.")] locale: Option<Locale>,
    ) -> String {
        category_meaning(self.name, locale.unwrap_or(self.row.portal.locale))
    }

    /// What to do about errors of the card in general; each error has its own advice.
    async fn guide(
        &self,
        #[graphql(desc = "The language; the portal's when left out.")] locale: Option<Locale>,
    ) -> ResolutionGuide {
        Place::of(&self.row, locale).guide_of_type(self.name.catch_all())
    }

    /// Number of errors that are not resolved: the `totalCount` of this card's list.
    async fn open_error_count(&self) -> i32 {
        self.row.counters(self.name).open_error_count
    }

    /// Number of affected records, summed over the errors: a record with two errors counts twice.
    async fn affected_record_count(&self) -> i32 {
        self.row.counters(self.name).affected_record_count
    }

    /// The sync errors of this card.
    async fn sync_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Only errors in one of these; [] and null: any.",
            default_with = "list::default_statuses()"
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
        let portal = Portal::of(self.scope.clone(), self.row.clone());
        let page = PageArguments {
            first,
            after,
            ..PageArguments::default()
        };
        list::connection(
            ctx,
            &portal,
            ErrorListArguments {
                page,
                category: Some(self.name),
                statuses,
                filter,
                order_by,
            },
        )
        .await
    }
}

/// One card in one step of time.
#[derive(SimpleObject)]
pub struct TrendPoint {
    /// When the step begins.
    pub at: Instant,
    /// Which card.
    pub category: SyncErrorCategory,
    /// Number of errors that were opened or reopened in the step. Stops at 2^31-1.
    pub opened_count: i32,
    /// Number of errors that were resolved in the step. Stops at 2^31-1.
    pub resolved_count: i32,
    /// Number of open errors at the end of the step; of one that has not ended, now.
    pub open_error_count: i32,
    /// Number of affected records at the end of the step, summed over the errors.
    pub affected_record_count: i32,
}
