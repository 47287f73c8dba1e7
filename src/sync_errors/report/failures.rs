//! Failures in: one change of the portal for up to a thousand of them.

use std::collections::HashSet;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::CheckedFailure;
use super::ledger::{Ledger, Occurrence};
use super::write::{Half, find_records, load_errors_by_signature, write};
use crate::classify::System;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::bulk;
use crate::kernel::clock::{Clock, DAY, Micros};
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::portals::Change;
use crate::sync_errors::tables::{report_ids, sync_errors};

/// What became of one failure.
#[derive(Debug, Clone)]
pub struct FailureAnswer {
    /// Whether it changed anything; if not, it was reported before, or is older than what is known of its record.
    pub recorded: bool,
    /// The error of its first cause, as it is after the change.
    pub(in crate::sync_errors) error: Option<sync_errors::Model>,
}

/// Records failures, in the order of their instants; answers in the order given. `None` when the portal does not exist.
pub async fn report_failures(
    db: &Db,
    scope: &Scope<Report>,
    clock: &Clock,
    failures: &[CheckedFailure],
) -> Result<Option<Vec<FailureAnswer>>> {
    let Some(mut change) = Change::begin(db, scope, clock).await? else {
        return Ok(None);
    };
    let fresh = remember(&change, failures).await?;
    let mut ledger = Ledger::new(change.hub_id());
    load(&change, &mut ledger, failures).await?;
    let mut order: Vec<usize> = (0..failures.len()).collect();
    order.sort_by_key(|index| failures[*index].occurred_at);
    let mut places: Vec<(bool, Option<usize>)> = vec![(false, None); failures.len()];
    let mut taken = HashSet::new();
    for index in order {
        let checked = &failures[index];
        // The same report twice in one call is taken once.
        let is_new = fresh.contains(&checked.digest) && taken.insert(checked.digest);
        for (number, cause) in checked.causes.iter().enumerate() {
            let occurrence = Occurrence {
                checked,
                cause,
                reported_by: scope.subject(),
                received_at: change.now,
            };
            let (changed, error) = if is_new {
                ledger.fail(&occurrence)
            } else {
                (false, ledger.error_with(cause.signature))
            };
            places[index].0 |= changed;
            if number == 0 {
                places[index].1 = error;
            }
        }
    }
    write(&mut change, &ledger).await?;
    change.commit().await?;
    let answer = |(recorded, error): &(bool, Option<usize>)| FailureAnswer {
        recorded: *recorded,
        error: error.map(|place| ledger.errors[place].row.clone()),
    };
    Ok(Some(places.iter().map(answer).collect()))
}

#[derive(FromQueryResult)]
struct Digest {
    digest: Uuid,
}

/// Remembers the reports; answers those that were not known, or were longer ago than is remembered.
async fn remember(change: &Change, failures: &[CheckedFailure]) -> Result<HashSet<Uuid>> {
    let oldest = change.now - limits::REPORT_ID_DAYS.value as Micros * DAY;
    let mut digests: Vec<Uuid> = failures.iter().map(|failure| failure.digest).collect();
    digests.sort_unstable();
    digests.dedup();
    let row = |digest| report_ids::Model {
        hub_id: change.hub_id(),
        digest,
        received_at: change.now,
    };
    let rows: Vec<_> = digests.into_iter().map(row).collect();
    let clause = format!(
        "ON CONFLICT (hub_id, digest) DO UPDATE SET received_at = excluded.received_at \
         WHERE report_ids.received_at < {oldest} RETURNING digest"
    );
    let fresh: Vec<Digest> =
        bulk::insert_returning::<report_ids::Entity, _>(change.transaction(), &rows, &clause)
            .await?;
    Ok(fresh.into_iter().map(|row| row.digest).collect())
}

/// Puts the errors and records that the failures concern into the ledger.
async fn load(change: &Change, ledger: &mut Ledger, failures: &[CheckedFailure]) -> Result<()> {
    let mut signatures: Vec<Uuid> = failures
        .iter()
        .flat_map(|failure| failure.causes.iter().map(|cause| cause.signature))
        .collect();
    signatures.sort_unstable();
    signatures.dedup();
    load_errors_by_signature(change, ledger, signatures).await?;
    if ledger.errors.is_empty() {
        return Ok(());
    }
    for (half, system) in [
        (Half::Hubspot, System::Hubspot),
        (Half::Salesforce, System::Salesforce),
    ] {
        let mut ids: Vec<&str> = failures
            .iter()
            .filter_map(|checked| checked.failure.record(system)?.record_id.as_deref())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = find_records(change, half, &ids).await?;
        rows.into_iter().for_each(|row| ledger.put_record(row));
    }
    Ok(())
}
