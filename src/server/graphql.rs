//! The roots of the schema.

use std::sync::Arc;

use async_graphql::{
    Context, ID, Interface, MergedObject, MergedSubscription, Object, SDLExportOptions, Schema,
    SchemaBuilder, SimpleObject, ValidationMode,
};

use super::answer_size::AnswerSize;
use super::service::Service;
use super::ticket::{StreamMutations, Tickets};
use crate::kernel::auth::{Portals, Read, VerifierConfig};
use crate::kernel::call::Call;
use crate::kernel::config::Config;
use crate::kernel::connection::Connection;
use crate::kernel::error::{Error, Result};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::limits;

use crate::kernel::scalars::Instant;
use crate::notifications::Confirmations;
use crate::notifications::api::{
    NotificationDelivery, NotificationMutations, NotificationSettings,
};
use crate::portals::api::{
    Portal, PortalChange, PortalEvent, PortalListArguments, PortalOrder, list_portals,
};
use crate::portals::mutations::PortalMutations;
use crate::portals::{self, SyncState, scope_of};
use crate::quota::api::{Quota, QuotaMutations, QuotaSubscription};
use crate::quota::live::QuotaWatch;
use crate::resync::ResyncSubscription;
use crate::resync::api::{
    ResyncBatch, ResyncClaimMutations, ResyncMutations, ResyncOutcomeMutations, ResyncResult,
};
use crate::sync_errors::api::{
    AffectedRecord, CategorySummary, ExportMutations, RecordView, RecordViewMutations,
    ReportMutations, SyncError, SyncErrorEvent, SyncErrorSubscription,
};
use crate::sync_errors::export::Exports;
use crate::sync_errors::live::Live;

/// The whole schema.
pub(super) type SyncHealthSchema = Schema<Query, Mutation, Subscription>;

/// Builds the schema; what guards it stands before it, in `operation`.
pub(super) fn schema(
    config: &Config,
    mode: ValidationMode,
    (live, quotas): (Arc<Live>, Arc<QuotaWatch>),
    (tickets, exports, confirmations): (Arc<Tickets>, Arc<Exports>, Arc<Confirmations>),
) -> SyncHealthSchema {
    build(config, mode)
        .data(live)
        .data(quotas)
        .data(tickets)
        .data(exports)
        .data(confirmations)
        .finish()
}

fn build(config: &Config, mode: ValidationMode) -> SchemaBuilder<Query, Mutation, Subscription> {
    // The guard is stricter; async-graphql counts a little differently.
    Schema::build(Query, Mutation::default(), Subscription::default())
        .extension(AnswerSize)
        .limit_recursive_depth(2 * limits::SELECTION_NESTING.value)
        .validation_mode(mode)
        .data(Service::new(config))
}

/// The contract as the code serves it, to be compared with `schema.graphql`.
pub fn sdl() -> String {
    let config = Config::new(String::new(), VerifierConfig::of_secret(Vec::new()));
    let options = SDLExportOptions::new().include_specified_by();
    build(&config, ValidationMode::Strict)
        .finish()
        .sdl_with_options(options)
}

/// Anything with a global id (Relay).
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Opaque, versioned, stable."))]
pub enum Node {
    Portal(Portal),
    CategorySummary(CategorySummary),
    SyncError(SyncError),
    AffectedRecord(AffectedRecord),
    SyncErrorEvent(SyncErrorEvent),
    PortalChange(PortalChange),
    Quota(Quota),
    PortalEvent(PortalEvent),
    RecordView(RecordView),
    NotificationSettings(NotificationSettings),
    NotificationDelivery(NotificationDelivery),
    ResyncBatch(ResyncBatch),
    ResyncResult(ResyncResult),
}

/// Everything that can be asked.
pub struct Query;

/// Everything that can be asked. Needs the scope sync-health:read, unless a field says otherwise.
#[Object]
impl Query {
    /// Who the token is, and what it may do: lets a front end hide buttons. Needs no scope.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let viewer = &Call::of(ctx)?.viewer;
        let hub_ids = match viewer.portals() {
            Portals::All => None,
            Portals::Named(ids) => Some(ids.iter().map(|id| ID(id.to_string())).collect()),
        };
        Ok(Viewer {
            subject: viewer.subject().to_owned(),
            scopes: viewer.scopes().to_vec(),
            hub_ids,
            expires_at: Instant(viewer.expires_at().timestamp_micros()),
        })
    }

    /// The server: its version and the limits in force. Needs no scope.
    async fn service<'a>(&self, ctx: &Context<'a>) -> Result<&'a Service> {
        ctx.data()
            .map_err(|_| Error::Internal("a schema without its service".into()))
    }

    /// A portal; null when it does not exist or the token does not name it. One that the token names exists from the start.
    async fn portal(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "HubSpot's number. May be left out when the token names exactly one portal."
        )]
        hub_id: Option<ID>,
    ) -> Result<Option<Portal>> {
        let call = Call::of(ctx)?;
        match scope_of::<Read>(call, hub_id.as_ref())? {
            Some(scope) => Portal::load(call, scope).await,
            None => Ok(None),
        }
    }

    /// The portals that the token names; with "*" all that exist.
    async fn portals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Only entries behind this cursor.")] after: Option<String>,
        #[graphql(
            desc = "A part of name or Hub ID, compared without case; at most 200 characters."
        )]
        search: Option<String>,
        #[graphql(desc = "Only portals in one of these; [] and null: any.")] sync_states: Option<
            Vec<SyncState>,
        >,
        #[graphql(
            desc = "The order of the list.",
            default_with = "Some(PortalOrder::default())"
        )]
        order_by: Option<PortalOrder>,
    ) -> Result<Connection<Portal>> {
        list_portals(
            ctx,
            PortalListArguments {
                first,
                after,
                search,
                sync_states,
                order_by,
            },
        )
        .await
    }

    /// A resync batch; null when it does not exist or its portal is not named by the token.
    async fn resync_batch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<ResyncBatch>> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        let Some(id) = GlobalId::decode(&id) else {
            return Ok(None);
        };
        match call.viewer.scope::<Read>(id.hub_id)? {
            Some(scope) => ResyncBatch::load(call, scope, &id).await,
            None => Ok(None),
        }
    }

    /// Anything by its global id; null when it does not exist or its portal is not named by the token.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A global id.")] id: ID,
    ) -> Result<Option<Node>> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        load(call, &id).await
    }

    /// Things by their global ids, in the same order, null where there is none.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most 100 global ids.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        limits::NODE_IDS.check(ids.len(), "ids")?;
        let mut nodes = Vec::with_capacity(ids.len());
        for id in &ids {
            nodes.push(load(call, id).await?);
        }
        Ok(nodes)
    }
}

async fn load(call: &Call, id: &ID) -> Result<Option<Node>> {
    let Some(id) = GlobalId::decode(id) else {
        return Ok(None);
    };
    let Some(scope) = call.viewer.scope::<Read>(id.hub_id)? else {
        return Ok(None);
    };
    if !finds_portal(id.kind) && !portals::exists(&call.snapshot, &scope).await? {
        return Ok(None);
    }
    Ok(match id.kind {
        Kind::Portal => Portal::load(call, scope).await?.map(Node::Portal),
        Kind::CategorySummary => {
            let portal = Portal::load(call, scope).await?;
            portal
                .and_then(|portal| CategorySummary::of_key(&portal, &id.key))
                .map(Node::CategorySummary)
        }
        Kind::SyncError => SyncError::load(call, scope, &id)
            .await?
            .map(Node::SyncError),
        Kind::AffectedRecord => AffectedRecord::load(call, scope, &id)
            .await?
            .map(Node::AffectedRecord),
        Kind::SyncErrorEvent => SyncErrorEvent::load(call, scope, &id)
            .await?
            .map(Node::SyncErrorEvent),
        Kind::PortalChange => PortalChange::load(call, &scope, &id)
            .await?
            .map(Node::PortalChange),
        Kind::Quota => Quota::find(call, scope).await?.map(Node::Quota),
        Kind::PortalEvent => PortalEvent::load(call, &scope, &id)
            .await?
            .map(Node::PortalEvent),
        Kind::ResyncBatch => ResyncBatch::load(call, scope, &id)
            .await?
            .map(Node::ResyncBatch),
        Kind::ResyncResult => ResyncResult::load(call, scope, &id)
            .await?
            .map(Node::ResyncResult),
        Kind::RecordView => RecordView::load(call, scope, &id)
            .await?
            .map(Node::RecordView),
        Kind::NotificationSettings => NotificationSettings::load(call, scope)
            .await?
            .map(Node::NotificationSettings),
        Kind::NotificationDelivery => NotificationDelivery::load(call, &scope, &id)
            .await?
            .map(Node::NotificationDelivery),
        // Only mutations of engines ask for them.
        Kind::ApiCallReservation | Kind::ResyncItem => None,
    })
}

/// Whether things of a kind are loaded with their portal, which then exists.
fn finds_portal(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Portal
            | Kind::CategorySummary
            | Kind::AffectedRecord
            | Kind::SyncErrorEvent
            | Kind::PortalEvent
    )
}

/// Everything that can be changed. Each takes `input` and answers `userErrors` for what it refuses.
#[derive(MergedObject, Default)]
pub struct Mutation(
    PortalMutations,
    NotificationMutations,
    QuotaMutations,
    StreamMutations,
    ReportMutations,
    RecordViewMutations,
    ExportMutations,
    ResyncMutations,
    ResyncClaimMutations,
    ResyncOutcomeMutations,
);

/// What happens now. Each operation has exactly one of these fields; it ends with the token.
#[derive(MergedSubscription, Default)]
pub struct Subscription(SyncErrorSubscription, QuotaSubscription, ResyncSubscription);

/// Who the token is, and what it may do.
#[derive(SimpleObject)]
pub struct Viewer {
    /// The token's `sub`.
    subject: String,
    /// The token's scopes.
    scopes: Vec<String>,
    /// The portals that the token names, as HubSpot's numbers; null: all.
    hub_ids: Option<Vec<ID>>,
    /// When the token ends.
    expires_at: Instant,
}
