//! What is known of one record, looked for beside those who write: the search goes through all errors and records of a
//! portal, and holds up nobody.

use std::collections::HashMap;

use sea_orm::sea_query::{Alias, Expr, ExprTrait, LikeExpr, Query, SelectStatement};
use sea_orm::{Condition, FromQueryResult};
use uuid::Uuid;

use super::StoredFailure;
use super::erase::{Erased, Part, RecordKey, add_sides, ids_of, is_of};
use super::ledger::Ledger;
use super::scrub::{Others, Theirs, scrub};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::sync_errors::records;
use crate::sync_errors::tables::{affected_records, latest_failures, sync_errors};

/// Errors that are looked at together.
const ERRORS: usize = 100;

/// What is known of a record.
#[derive(Debug)]
pub struct Known {
    scope: Scope<Report>,
    /// The record, by each of its sides.
    pub sides: Vec<RecordKey>,
    /// What an erasure takes, and what texts may tell.
    pub erased: Erased,
    /// Errors that it is part of or that name it, in the order in which they are to be taken: the rows that tell that two
    /// sides are one record come last, so that an erasure that was interrupted finds both.
    pub errors: Vec<Uuid>,
    /// Other records that name it.
    pub mentions: Vec<Mention>,
}

/// A record whose value another one holds.
#[derive(Debug, Clone, Copy)]
pub struct Mention {
    /// Its error.
    pub error_id: Uuid,
    /// Itself.
    pub id: Uuid,
}

#[derive(FromQueryResult)]
struct Found {
    id: Uuid,
}

impl Known {
    /// Looks for a record of a portal, as of one snapshot.
    pub async fn look(
        snapshot: &Snapshot,
        scope: &Scope<Report>,
        key: &RecordKey,
        now: Micros,
    ) -> Result<Self> {
        let mut sides = vec![key.clone()];
        // What is known of the record under its one id tells the other, and that may tell more.
        let rows = loop {
            let rows = rows_of(snapshot, scope, &sides).await?;
            let told = rows.iter().filter(|row| add_sides(&mut sides, row)).count();
            if told == 0 {
                break rows;
            }
        };
        let mut known = Self {
            scope: scope.clone(),
            erased: Erased::of(sides.clone(), &rows),
            sides,
            errors: Vec::new(),
            mentions: Vec::new(),
        };
        known.errors = known.errors_in_order(snapshot, &rows).await?;
        for errors in known.errors.clone().chunks(ERRORS) {
            known.rehearse(snapshot, errors, &rows, now).await?;
        }
        known.look_for_mentions(snapshot).await?;
        Ok(known)
    }

    /// Makes some errors a part of the erasure, with what their other records have.
    pub async fn part<'a>(&self, snapshot: &Snapshot, errors: &'a [Uuid]) -> Result<Part<'a>> {
        let mut others = HashMap::new();
        for error in load(snapshot, &self.scope, errors).await? {
            let found = Others::look(snapshot, &error, &self.erased.rows).await?;
            others.insert(error.id, found);
        }
        Ok(Part { errors, others })
    }

    async fn errors_in_order(
        &self,
        snapshot: &Snapshot,
        rows: &[affected_records::Model],
    ) -> Result<Vec<Uuid>> {
        let mut order: HashMap<Uuid, u8> = HashMap::new();
        for side in &self.sides {
            for error in errors_that_name(snapshot, &self.scope, side).await? {
                order.entry(error).or_insert(0);
            }
        }
        for row in rows {
            let has_both = row.hubspot_record_id.is_some() && row.salesforce_record_id.is_some();
            let place = order.entry(row.error_id).or_insert(1);
            *place = Ord::max(*place, 1 + u8::from(has_both));
        }
        let mut errors: Vec<(u8, Uuid)> = order.into_iter().map(|(id, at)| (at, id)).collect();
        errors.sort_unstable();
        Ok(errors.into_iter().map(|(_, id)| id).collect())
    }

    /// Finds what errors tell of the record, and which of them do, without changing any.
    async fn rehearse(
        &mut self,
        snapshot: &Snapshot,
        errors: &[Uuid],
        rows: &[affected_records::Model],
        now: Micros,
    ) -> Result<()> {
        let part = self.part(snapshot, errors).await?;
        let failures = failures_of(snapshot, &self.scope, errors).await?;
        let mut ledger = Ledger::new(self.scope.hub_id(), now);
        for error in load(snapshot, &self.scope, errors).await? {
            ledger.put_error(error);
        }
        for error in &mut ledger.errors {
            let of_error = rows.iter().filter(|row| row.error_id == error.row.id);
            let theirs = Theirs {
                rows: of_error.collect(),
                failure: failures.get(&error.row.id),
                others: part.others.get(&error.row.id),
            };
            self.erased.errors += u64::from(scrub(error, theirs, &mut self.erased, now));
        }
        Ok(())
    }

    async fn look_for_mentions(&mut self, snapshot: &Snapshot) -> Result<()> {
        use affected_records::Column;
        let mut named = Condition::any();
        for side in &self.sides {
            let pattern = LikeExpr::new(format!("%\"{}\"%", side.id));
            named = named.add(Expr::col(Column::ExistingRecord).like(pattern));
        }
        let mut select = select_records(&self.scope);
        select.cond_where(named);
        let rows: Vec<affected_records::Model> = snapshot.all(&select).await?;
        for row in rows {
            if self.erased.is_mentioned(&row) {
                self.mentions.push(Mention {
                    error_id: row.error_id,
                    id: row.id,
                });
            }
        }
        Ok(())
    }
}

fn select_records(scope: &Scope<Report>) -> SelectStatement {
    Query::select()
        .columns(columns::<affected_records::Entity>())
        .from(affected_records::Entity)
        .and_where(Expr::col(affected_records::Column::HubId).eq(scope.hub_id()))
        .to_owned()
}

/// The rows of a record, by any of its sides.
async fn rows_of(
    snapshot: &Snapshot,
    scope: &Scope<Report>,
    sides: &[RecordKey],
) -> Result<Vec<affected_records::Model>> {
    let mut rows: Vec<affected_records::Model> = Vec::new();
    for condition in ids_of(sides).conditions(snapshot.backend(), scope.hub_id()) {
        let mut select = select_records(scope);
        select.cond_where(condition);
        rows.extend(snapshot.all(&select).await?);
    }
    rows.retain(|row| is_of(row, sides));
    Ok(rows)
}

async fn load(
    snapshot: &Snapshot,
    scope: &Scope<Report>,
    ids: &[Uuid],
) -> Result<Vec<sync_errors::Model>> {
    use sync_errors::Column;
    let keys = Keys::uuids(ids.iter().copied());
    let select = Query::select()
        .columns(columns::<sync_errors::Entity>())
        .from(sync_errors::Entity)
        .and_where(keys.hold_in_portal(
            snapshot.backend(),
            (Column::HubId, scope.hub_id()),
            Column::Id,
        ))
        .to_owned();
    snapshot.all(&select).await
}

async fn failures_of(
    snapshot: &Snapshot,
    scope: &Scope<Report>,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, StoredFailure>> {
    let found = records::latest_failures(snapshot, scope, ids).await?;
    let read = |(id, text): (Uuid, String)| Some((id, serde_json::from_str(&text).ok()?));
    Ok(found.into_iter().filter_map(read).collect())
}

/// Errors whose details or latest failure name the record.
async fn errors_that_name(
    snapshot: &Snapshot,
    scope: &Scope<Report>,
    key: &RecordKey,
) -> Result<Vec<Uuid>> {
    let pattern = LikeExpr::new(format!("%\"{}\"%", key.id));
    let details = Query::select()
        .column(sync_errors::Column::Id)
        .from(sync_errors::Entity)
        .and_where(Expr::col(sync_errors::Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(sync_errors::Column::Details).like(pattern.clone()))
        .to_owned();
    let failures = Query::select()
        .expr_as(
            Expr::col(latest_failures::Column::ErrorId),
            Alias::new("id"),
        )
        .from(latest_failures::Entity)
        .and_where(Expr::col(latest_failures::Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(latest_failures::Column::Failure).like(pattern))
        .to_owned();
    let mut errors = Vec::new();
    for select in [details, failures] {
        let found: Vec<Found> = snapshot.all(&select).await?;
        errors.extend(found.into_iter().map(|found| found.id));
    }
    Ok(errors)
}
