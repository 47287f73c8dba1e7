//! The SQL of calls.

pub(super) mod reservations;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    StatementBuilder,
};

use crate::kernel::bulk;
use crate::kernel::clock::{DAY, Micros};
use crate::kernel::columns::columns_of;
use crate::kernel::db::{Snapshot, Transaction};
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::limits;
use crate::quota::QuotaState;
use crate::quota::ledger::{Minute, before_window, minute_of};
use crate::quota::limit_info::LimitInfo;
use crate::quota::tables::{api_reservations, api_usage_minutes, api_usage_reports, quotas};

/// What is known of a portal's calls as of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The portal.
    pub hub_id: i64,
    /// As of when.
    pub now: Micros,
    /// Calls that HubSpot may use.
    pub allocated: Option<i32>,
    /// Calls that Salesforce allows the org.
    pub salesforce_limit: Option<i32>,
    /// Calls that the org used.
    pub org_used: Option<i32>,
    /// The latest report.
    pub measured_at: Option<Micros>,
    /// When limit and use of the org were read.
    pub(super) org_read_at: Option<Micros>,
    /// The state that the feed told last.
    pub(super) told_state: QuotaState,
    /// Calls used in the last 24 hours.
    pub used: i64,
    /// Of them, in minutes that began after the reading of the org's calls: it does not know of them.
    pub(super) used_since_reading: i64,
    /// Calls set aside.
    pub reserved: i64,
}

impl Facts {
    /// Of a portal that nothing is known of.
    pub(super) fn none(hub_id: i64, now: Micros) -> Self {
        Self {
            hub_id,
            now,
            allocated: None,
            salesforce_limit: None,
            org_used: None,
            measured_at: None,
            org_read_at: None,
            told_state: QuotaState::Ok,
            used: 0,
            used_since_reading: 0,
            reserved: 0,
        }
    }

    /// Whether anything but the instant differs.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        let now = self.now;
        *self
            != Self {
                now,
                ..other.clone()
            }
    }

    /// Takes over what Salesforce told of the org at an instant, unless something later is known.
    pub(super) fn read(&mut self, info: Option<LimitInfo>, at: Micros) {
        self.measured_at = Ord::max(self.measured_at, Some(at));
        if let Some(LimitInfo { used, limit }) = info.filter(|_| self.org_read_at <= Some(at)) {
            self.salesforce_limit = Some(limit);
            self.org_used = Some(used);
            self.org_read_at = Some(at);
        }
    }

    /// The row that holds what does not follow from other rows.
    pub(super) fn row(&self) -> quotas::Model {
        quotas::Model {
            hub_id: self.hub_id,
            allocated: self.allocated,
            salesforce_limit: self.salesforce_limit,
            org_used: self.org_used,
            org_read_at: self.org_read_at,
            measured_at: self.measured_at,
            told_state: self.told_state,
        }
    }
}

#[derive(FromQueryResult)]
struct Line {
    hub_id: i64,
    allocated: Option<i32>,
    salesforce_limit: Option<i32>,
    org_used: Option<i32>,
    org_read_at: Option<i64>,
    measured_at: Option<i64>,
    told_state: QuotaState,
    used: i64,
    used_since_reading: i64,
    reserved: i64,
}

/// The facts of several portals, in their order, in one statement.
pub async fn facts(snapshot: &Snapshot, hub_ids: &[i64], now: Micros) -> Result<Vec<Facts>> {
    let select = select(snapshot.backend(), hub_ids, now);
    let lines: Vec<Line> = snapshot.all(&select).await?;
    Ok(in_order(lines, hub_ids, now))
}

/// The facts of one portal inside its change.
pub(super) async fn facts_in(transaction: &Transaction, hub_id: i64, now: Micros) -> Result<Facts> {
    let backend = transaction.get_database_backend();
    let select = select(backend, &[hub_id], now);
    let row = transaction.query_one_raw(StatementBuilder::build(&select, &backend));
    let line = row.await?.map(|row| Line::from_query_result(&row, ""));
    let lines = line.transpose()?.into_iter().collect();
    let mut facts = in_order(lines, &[hub_id], now);
    Ok(facts.pop().unwrap_or_else(|| Facts::none(hub_id, now)))
}

fn in_order(lines: Vec<Line>, hub_ids: &[i64], now: Micros) -> Vec<Facts> {
    let facts = |hub_id: &i64| match lines.iter().find(|line| line.hub_id == *hub_id) {
        None => Facts::none(*hub_id, now),
        Some(line) => Facts {
            hub_id: *hub_id,
            now,
            allocated: line.allocated,
            salesforce_limit: line.salesforce_limit,
            org_used: line.org_used,
            measured_at: line.measured_at,
            org_read_at: line.org_read_at,
            told_state: line.told_state,
            used: line.used,
            used_since_reading: line.used_since_reading,
            reserved: line.reserved,
        },
    };
    hub_ids.iter().map(facts).collect()
}

fn select(backend: DbBackend, hub_ids: &[i64], now: Micros) -> SelectStatement {
    let hub_id = (quotas::Entity, quotas::Column::HubId);
    let minute = Expr::col((api_usage_minutes::Entity, api_usage_minutes::Column::Minute));
    let used = Query::select()
        .expr(Expr::cust("CAST(COALESCE(SUM(used), 0) AS BIGINT)"))
        .from(api_usage_minutes::Entity)
        .and_where(
            Expr::col((api_usage_minutes::Entity, api_usage_minutes::Column::HubId)).equals(hub_id),
        )
        .and_where(minute.clone().gt(before_window(now)))
        .to_owned();
    let mut since_reading = used.clone();
    since_reading.and_where(minute.gt(Expr::col((quotas::Entity, quotas::Column::OrgReadAt))));
    let reserved = Query::select()
        .expr(Expr::cust("CAST(COALESCE(SUM(calls), 0) AS BIGINT)"))
        .from(api_reservations::Entity)
        .and_where(
            Expr::col((api_reservations::Entity, api_reservations::Column::HubId)).equals(hub_id),
        )
        .and_where(Expr::col(api_reservations::Column::SettledAt).is_null())
        .and_where(Expr::col(api_reservations::Column::ExpiresAt).gt(now))
        .to_owned();
    Query::select()
        .columns(columns_of::<quotas::Entity>())
        .expr_as(Expr::SubQuery(None, Box::new(used.into())), "used")
        .expr_as(
            Expr::SubQuery(None, Box::new(since_reading.into())),
            "used_since_reading",
        )
        .expr_as(Expr::SubQuery(None, Box::new(reserved.into())), "reserved")
        .from(quotas::Entity)
        .and_where(Keys::numbers(hub_ids.iter().copied()).hold(backend, hub_id))
        .to_owned()
}

#[derive(FromQueryResult)]
struct MinuteLine {
    hub_id: i64,
    minute: i64,
    used: i64,
}

/// The minutes that count, oldest first.
fn select_minutes(backend: DbBackend, hub_ids: &[i64], now: Micros) -> SelectStatement {
    let hub_id = Keys::numbers(hub_ids.iter().copied());
    Query::select()
        .column(api_usage_minutes::Column::HubId)
        .column(api_usage_minutes::Column::Minute)
        .column(api_usage_minutes::Column::Used)
        .from(api_usage_minutes::Entity)
        .and_where(hub_id.hold(backend, api_usage_minutes::Column::HubId))
        .and_where(Expr::col(api_usage_minutes::Column::Minute).gt(before_window(now)))
        .order_by(api_usage_minutes::Column::Minute, Order::Asc)
        .to_owned()
}

fn minute(line: MinuteLine) -> (i64, Minute) {
    let (minute, used) = (line.minute, line.used);
    (line.hub_id, Minute { minute, used })
}

/// The minutes of several portals that count, oldest first, each with its portal.
pub(super) async fn minutes(
    snapshot: &Snapshot,
    hub_ids: &[i64],
    now: Micros,
) -> Result<Vec<(i64, Minute)>> {
    let select = select_minutes(snapshot.backend(), hub_ids, now);
    let lines: Vec<MinuteLine> = snapshot.all(&select).await?;
    Ok(lines.into_iter().map(minute).collect())
}

/// The minutes that count and the reservations that are open, for a grant that has to wait.
pub(super) async fn releases(
    transaction: &Transaction,
    facts: &Facts,
) -> Result<(Vec<Minute>, Vec<(Micros, i64)>)> {
    let backend = transaction.get_database_backend();
    let select = select_minutes(backend, &[facts.hub_id], facts.now);
    let rows = transaction.query_all_raw(StatementBuilder::build(&select, &backend));
    let mut minutes = Vec::new();
    for row in rows.await? {
        minutes.push(minute(MinuteLine::from_query_result(&row, "")?).1);
    }
    let open = Query::select()
        .column(api_reservations::Column::ExpiresAt)
        .column(api_reservations::Column::Calls)
        .from(api_reservations::Entity)
        .and_where(Expr::col(api_reservations::Column::HubId).eq(facts.hub_id))
        .and_where(Expr::col(api_reservations::Column::SettledAt).is_null())
        .and_where(Expr::col(api_reservations::Column::ExpiresAt).gt(facts.now))
        .to_owned();
    let rows = transaction.query_all_raw(StatementBuilder::build(&open, &backend));
    let mut reservations = Vec::new();
    for row in rows.await? {
        let calls: i32 = row.try_get("", "calls")?;
        reservations.push((row.try_get("", "expires_at")?, i64::from(calls)));
    }
    Ok((minutes, reservations))
}

/// Whether a report is new; if so it is remembered.
pub(super) async fn remember(
    transaction: &Transaction,
    report: api_usage_reports::Model,
) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Fresh {}
    let oldest = report.received_at - limits::REPORT_ID_DAYS.value as Micros * DAY;
    let clause = format!(
        "ON CONFLICT (hub_id, digest) DO UPDATE SET received_at = excluded.received_at \
         WHERE api_usage_reports.received_at < {oldest} RETURNING digest"
    );
    let fresh: Vec<Fresh> =
        bulk::insert_returning::<api_usage_reports::Entity, _>(transaction, &[report], &clause)
            .await?;
    Ok(!fresh.is_empty())
}

/// Writes what does not follow from other rows.
pub(super) async fn write_row(transaction: &Transaction, facts: &Facts) -> Result<()> {
    bulk::upsert::<quotas::Entity>(transaction, &[facts.row()]).await
}

/// Portals whose calls were told to be short.
pub(super) async fn short(snapshot: &Snapshot) -> Result<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Short {
        hub_id: i64,
    }
    let select = Query::select()
        .column(quotas::Column::HubId)
        .from(quotas::Entity)
        .and_where(Expr::cust("told_state > 0"))
        .to_owned();
    let rows: Vec<Short> = snapshot.all(&select).await?;
    Ok(rows.into_iter().map(|row| row.hub_id).collect())
}

/// Writes what is known now, and counts calls in the minute that they were made in.
pub(super) async fn write(
    transaction: &Transaction,
    facts: &Facts,
    (at, calls): (Micros, i32),
) -> Result<()> {
    write_row(transaction, facts).await?;
    let (hub_id, minute) = (facts.hub_id, minute_of(at));
    // What was allowed in a minute that is over, stays.
    let is_over = minute != minute_of(facts.now);
    let (salesforce_limit, allocated) = match is_over {
        true => allowed_before(transaction, hub_id, minute).await?,
        false => (facts.salesforce_limit, facts.allocated),
    };
    let minute = api_usage_minutes::Model {
        hub_id,
        minute,
        used: calls.into(),
        salesforce_limit,
        allocated,
    };
    let allowed = match is_over {
        true => "",
        false => ", salesforce_limit = excluded.salesforce_limit, allocated = excluded.allocated",
    };
    let conflict = format!(
        "ON CONFLICT (hub_id, minute) DO UPDATE SET used = api_usage_minutes.used + excluded.used{allowed}"
    );
    bulk::insert::<api_usage_minutes::Entity>(transaction, &[minute], &conflict).await
}

/// The limit and the allocation that held when a minute began.
async fn allowed_before(
    transaction: &Transaction,
    hub_id: i64,
    minute: Micros,
) -> Result<(Option<i32>, Option<i32>)> {
    let before = api_usage_minutes::Entity::find()
        .filter(api_usage_minutes::Column::HubId.eq(hub_id))
        .filter(api_usage_minutes::Column::Minute.lt(minute))
        .order_by(api_usage_minutes::Column::Minute, Order::Desc);
    let before = before.one(transaction).await?;
    Ok(before.map_or((None, None), |row| (row.salesforce_limit, row.allocated)))
}
