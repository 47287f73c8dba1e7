//! The SQL of portals.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{DbErr, EntityTrait, FromQueryResult, QueryResult};
use uuid::Uuid;

use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Portals, Right, Scope, Viewer};
use crate::kernel::bulk;
use crate::kernel::call::Call;
use crate::kernel::columns::{columns, columns_of};
use crate::kernel::db::{Snapshot, Transaction};
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::page::{Page, TotalCount};
use crate::portals::erasure;
use crate::portals::head::{HEAD, Head};
use crate::portals::tables::{category_counters, feed_heads, portal_changes, portals};
use crate::portals::{Locale, SyncState};

/// The numbers of one card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CategoryCounters {
    /// Errors that are not resolved.
    pub open_error_count: i32,
    /// Those of them that are resyncing.
    pub resyncing_error_count: i32,
    /// Errors that are resolved and kept.
    pub resolved_error_count: i32,
    /// Records that do not sync, summed over the errors.
    pub affected_record_count: i32,
}

/// A portal as of one snapshot: its settings, where its feed stands, its counters.
#[derive(Debug, Clone)]
pub struct PortalRow {
    /// Settings and sync state.
    pub portal: portals::Model,
    /// Where its feed stands.
    pub head: Head,
    /// By category, in the order of the enum.
    pub counters: [CategoryCounters; 8],
}

impl PortalRow {
    /// The numbers of one card.
    pub fn counters(&self, category: SyncErrorCategory) -> CategoryCounters {
        self.counters[category as usize]
    }

    /// The numbers of several cards together; of all where none is named.
    pub fn sum(
        &self,
        categories: &[SyncErrorCategory],
        count: impl Fn(&CategoryCounters) -> i32,
    ) -> i64 {
        SyncErrorCategory::all()
            .filter(|category| categories.is_empty() || categories.contains(category))
            .map(|category| i64::from(count(&self.counters(category))))
            .sum()
    }
}

/// One line of the statement: a portal with one of its cards.
struct Line {
    portal: portals::Model,
    head: Head,
    card: Option<(SyncErrorCategory, CategoryCounters)>,
}

impl FromQueryResult for Line {
    fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
        let category: Option<SyncErrorCategory> = row.try_get("", "category")?;
        let card = match category {
            None => None,
            Some(category) => {
                let counters = CategoryCounters {
                    open_error_count: row.try_get("", "card_open")?,
                    resyncing_error_count: row.try_get("", "card_resyncing")?,
                    resolved_error_count: row.try_get("", "card_resolved")?,
                    affected_record_count: row.try_get("", "card_affected")?,
                };
                Some((category, counters))
            }
        };
        Ok(Self {
            portal: portals::Model::from_query_result(row, "")?,
            head: Head::from_query_result(row, "")?,
            card,
        })
    }
}

/// The portal of a scope. One that the token names and that has no row yet is made on the way.
pub async fn find<R: Right>(call: &Call, scope: &Scope<R>) -> Result<Option<Arc<PortalRow>>> {
    let mut found = read(&call.snapshot, &[scope.hub_id()]).await?;
    if found.is_empty() && scope.is_named() {
        create(call, &[scope.hub_id()]).await?;
        found = read(&call.snapshot, &[scope.hub_id()]).await?;
    }
    Ok(found.pop())
}

/// The portal of a scope, where it has a row.
pub async fn find_in<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
) -> Result<Option<Arc<PortalRow>>> {
    Ok(read(snapshot, &[scope.hub_id()]).await?.pop())
}

/// The name of a portal's feed, where the portal exists, in one narrow statement.
pub async fn epoch<R: Right>(snapshot: &Snapshot, scope: &Scope<R>) -> Result<Option<i64>> {
    #[derive(FromQueryResult)]
    struct Named {
        epoch: i64,
    }
    let mut select = Query::select();
    select
        .column(feed_heads::Column::Epoch)
        .from(feed_heads::Entity)
        .and_where(Expr::col(feed_heads::Column::HubId).eq(scope.hub_id()));
    let named: Option<Named> = snapshot.one(&select).await?;
    Ok(named.map(|named| named.epoch))
}

/// Where the feeds of several portals stand, in one narrow statement.
pub async fn heads<R: Right>(
    snapshot: &Snapshot,
    scopes: &[Scope<R>],
) -> Result<HashMap<i64, Head>> {
    let hub_ids = Keys::numbers(scopes.iter().map(Scope::hub_id));
    let mut select = Query::select();
    select
        .columns(HEAD)
        .column(feed_heads::Column::HubId)
        .from(feed_heads::Entity)
        .and_where(hub_ids.hold(snapshot.backend(), feed_heads::Column::HubId));
    let heads: Vec<HeadOf> = snapshot.all(&select).await?;
    Ok(heads.into_iter().map(|of| (of.hub_id, of.head)).collect())
}

struct HeadOf {
    hub_id: i64,
    head: Head,
}

impl FromQueryResult for HeadOf {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            hub_id: row.try_get(prefix, "hub_id")?,
            head: Head::from_query_result(row, prefix)?,
        })
    }
}

/// The portals of several scopes that have rows, in any order, in one statement.
pub async fn find_many<R: Right>(call: &Call, scopes: &[Scope<R>]) -> Result<Vec<Arc<PortalRow>>> {
    let hub_ids: Vec<i64> = scopes.iter().map(Scope::hub_id).collect();
    read(&call.snapshot, &hub_ids).await
}

/// Whether the portal has a row.
pub async fn exists<R: Right>(snapshot: &Snapshot, scope: &Scope<R>) -> Result<bool> {
    Ok(epoch(snapshot, scope).await?.is_some())
}

pub(super) async fn read(snapshot: &Snapshot, hub_ids: &[i64]) -> Result<Vec<Arc<PortalRow>>> {
    if hub_ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = Query::select();
    select
        .columns(columns_of::<portals::Entity>())
        .columns(HEAD.map(|column| (feed_heads::Entity, column)))
        .column((
            category_counters::Entity,
            category_counters::Column::Category,
        ));
    let card = |column| Expr::col((category_counters::Entity, column));
    select
        .expr_as(
            card(category_counters::Column::OpenErrorCount),
            Alias::new("card_open"),
        )
        .expr_as(
            card(category_counters::Column::ResyncingErrorCount),
            Alias::new("card_resyncing"),
        )
        .expr_as(
            card(category_counters::Column::ResolvedErrorCount),
            Alias::new("card_resolved"),
        )
        .expr_as(
            card(category_counters::Column::AffectedRecordCount),
            Alias::new("card_affected"),
        )
        .from(portals::Entity)
        .inner_join(
            feed_heads::Entity,
            hub_id_of_portal().equals((feed_heads::Entity, feed_heads::Column::HubId)),
        )
        .left_join(
            category_counters::Entity,
            hub_id_of_portal()
                .equals((category_counters::Entity, category_counters::Column::HubId)),
        )
        .and_where(is_one_of(snapshot, hub_ids))
        .order_by((portals::Entity, portals::Column::HubId), Order::Asc);
    let mut rows: Vec<PortalRow> = Vec::new();
    for line in snapshot.all::<Line>(&select).await? {
        if rows
            .last()
            .is_none_or(|row| row.portal.hub_id != line.portal.hub_id)
        {
            rows.push(PortalRow {
                portal: line.portal,
                head: line.head,
                counters: Default::default(),
            });
        }
        if let (Some(row), Some((category, counters))) = (rows.last_mut(), line.card) {
            row.counters[category as usize] = counters;
        }
    }
    Ok(rows.into_iter().map(Arc::new).collect())
}

pub(super) fn hub_id_of_portal() -> Expr {
    Expr::col((portals::Entity, portals::Column::HubId))
}

pub(super) fn is_one_of(snapshot: &Snapshot, hub_ids: &[i64]) -> Expr {
    let column = (portals::Entity, portals::Column::HubId);
    Keys::numbers(hub_ids.iter().copied()).hold(snapshot.backend(), column)
}

/// Makes the rows of the portals that the token names, where they are missing.
pub async fn ensure(call: &Call, viewer: &Viewer) -> Result<()> {
    let Portals::Named(named) = viewer.portals() else {
        return Ok(());
    };
    let mut select = Query::select();
    select
        .column(portals::Column::HubId)
        .from(portals::Entity)
        .and_where(is_one_of(&call.snapshot, named));
    let found: Vec<HubId> = call.snapshot.all(&select).await?;
    let missing: Vec<i64> = named
        .iter()
        .copied()
        .filter(|id| found.iter().all(|row| row.hub_id != *id))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let erased = erasure::among(&call.snapshot, &missing).await?;
    let missing: Vec<i64> = missing
        .into_iter()
        .filter(|id| !erased.contains(id))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => create(call, &missing).await,
    }
}

#[derive(FromQueryResult)]
struct HubId {
    hub_id: i64,
}

async fn create(call: &Call, hub_ids: &[i64]) -> Result<()> {
    let transaction = call.env.db.begin().await?;
    insert_empty(&transaction, hub_ids).await?;
    transaction.commit().await?;
    call.snapshot.renew().await;
    Ok(())
}

/// Inserts empty portals; those that exist stay as they are. UNAVAILABLE while one of them is being erased.
pub(super) async fn insert_empty(transaction: &Transaction, hub_ids: &[i64]) -> Result<()> {
    let portals: Vec<_> = hub_ids.iter().map(|id| empty(*id)).collect();
    let heads: Vec<_> = hub_ids.iter().map(|id| new_head(*id)).collect();
    bulk::insert::<portals::Entity>(transaction, &portals, "ON CONFLICT (hub_id) DO NOTHING")
        .await?;
    bulk::insert::<feed_heads::Entity>(transaction, &heads, "ON CONFLICT (hub_id) DO NOTHING")
        .await?;
    // Behind the insertion, which waits for an erasure that is about to begin.
    erasure::refuse(transaction, hub_ids).await
}

/// Where HubSpot's app is, until a portal is configured for its region.
const HUBSPOT_APP_URL: &str = "https://app.hubspot.com";

pub(super) fn empty(hub_id: i64) -> portals::Model {
    portals::Model {
        hub_id,
        name: None,
        time_zone: "UTC".into(),
        locale: Locale::En,
        hubspot_app_url: HUBSPOT_APP_URL.into(),
        salesforce_instance_url: None,
        salesforce_username: None,
        sync_state: SyncState::Active,
        suspension_reason: None,
        suspended_since: None,
        state_reported_at: None,
        search_text: hub_id.to_string(),
        resync_webhook_url: None,
        resync_webhook_secret: None,
        resync_webhook_former_secret: None,
        resync_webhook_rotated_at: None,
    }
}

/// A feed with a name that no other has.
fn new_head(hub_id: i64) -> feed_heads::Model {
    let epoch = (Uuid::now_v7().as_u128() & i64::MAX as u128) as i64;
    feed_heads::Model {
        hub_id,
        epoch,
        sequence: 0,
        swept_sequence: 0,
        open_error_count: 0,
        digest: 0,
        digest_sequence: 0,
        latest_at: 0,
    }
}

/// The settings as a change sees them, inside its transaction.
pub(super) async fn settings(
    transaction: &Transaction,
    hub_id: i64,
) -> Result<Option<portals::Model>> {
    Ok(portals::Entity::find_by_id(hub_id).one(transaction).await?)
}

/// Writes settings and sync state.
pub(super) async fn write_settings(
    transaction: &Transaction,
    portal: portals::Model,
) -> Result<()> {
    bulk::upsert::<portals::Entity>(transaction, &[portal]).await
}

/// A page of the changes of settings, newest first.
pub(super) async fn changes<R: Right>(
    call: &Call,
    scope: &Scope<R>,
    page: &Page,
) -> Result<Vec<portal_changes::Model>> {
    let mut select = changes_of(scope);
    select.columns(columns::<portal_changes::Entity>());
    if let Some(after) = page.after {
        select.and_where(Expr::col(portal_changes::Column::Id).lt(after.id));
    }
    select
        .order_by(portal_changes::Column::Id, Order::Desc)
        .limit(page.fetch_count());
    call.snapshot.all(&select).await
}

/// How many changes of settings there are.
pub(super) async fn count_changes<R: Right>(call: &Call, scope: &Scope<R>) -> Result<TotalCount> {
    TotalCount::of(&call.snapshot, changes_of(scope)).await
}

/// One change of settings.
pub(super) async fn change<R: Right>(
    call: &Call,
    scope: &Scope<R>,
    id: Uuid,
) -> Result<Option<portal_changes::Model>> {
    let mut select = changes_of(scope);
    select
        .columns(columns::<portal_changes::Entity>())
        .and_where(Expr::col(portal_changes::Column::Id).eq(id));
    call.snapshot.one(&select).await
}

fn changes_of<R: Right>(scope: &Scope<R>) -> SelectStatement {
    let mut select = Query::select();
    select
        .from(portal_changes::Entity)
        .and_where(Expr::col(portal_changes::Column::HubId).eq(scope.hub_id()));
    select
}
