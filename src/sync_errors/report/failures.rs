//! Failures in: one change of the portal for up to a thousand of them.

use std::collections::{BTreeMap, HashSet};

use sea_orm::{ActiveEnum, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::CheckedFailure;
use super::ledger::{Ledger, Occurrence};
use super::room::Room;
use super::write::{RecordIds, find_records, load_errors_by_signature, write};
use crate::classify::{SyncErrorType, System};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::bulk;
use crate::kernel::clock::{DAY, MINUTE, Micros};
use crate::kernel::db::failure::ATTEMPTS;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::limits;
use crate::kernel::metrics::Metrics;
use crate::kernel::scalars::enum_name;
use crate::kernel::text::cut;
use crate::kernel::user_error::UserError;
use crate::portals::{Change, SuspensionReason};
use crate::sync_errors::tables::{report_ids, sync_errors};

/// What became of one failure.
#[derive(Debug, Clone)]
pub struct FailureAnswer {
    /// Whether it changed anything; if not, it was reported before, or is older than what is known of its record.
    pub recorded: bool,
    /// Why it was refused: it would open an error, and the portal keeps as many as it may.
    pub refused: Option<UserError>,
    /// The error of its first cause, as it is after the change.
    pub(in crate::sync_errors) error: Option<sync_errors::Model>,
}

/// Records failures, in the order of their instants; answers in the order given. `None` when the portal does not exist.
pub async fn report_failures(
    env: &Env,
    scope: &Scope<Report>,
    failures: &mut [CheckedFailure],
) -> Result<Option<Vec<FailureAnswer>>> {
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let named = Uuid::now_v7();
    failures
        .iter_mut()
        .for_each(|checked| checked.be_named(named));
    let failures: &[CheckedFailure] = failures;
    let fresh = remember(&change, failures.iter()).await?;
    let mut ledger = Ledger::new(change.hub_id(), change.latest());
    load(&change, &mut ledger, failures).await?;
    let mut room = Room::of(&change, &mut ledger, failures.iter(), env.portal_errors).await?;
    let mut refused = HashSet::new();
    let mut order: Vec<usize> = (0..failures.len()).collect();
    order.sort_by_key(|index| failures[*index].occurred_at.unwrap_or(change.now));
    let mut places: Vec<(bool, Option<usize>)> = vec![(false, None); failures.len()];
    let mut taken = HashSet::new();
    for index in order {
        let checked = &failures[index];
        // The same report twice in one call is taken once.
        let is_new = fresh.contains(&checked.digest) && !taken.contains(&checked.digest);
        if is_new && !room.take(&ledger, checked) {
            refused.insert(index);
            continue;
        }
        taken.insert(checked.digest);
        for (number, cause) in checked.causes.iter().enumerate() {
            let occurrence = Occurrence {
                checked,
                cause,
                reported_by: scope.subject(),
                occurred_at: ledger.instant(checked, cause, change.now),
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
    let digests = refused.iter().map(|index| failures[*index].digest);
    forget(&change, digests.filter(|digest| !taken.contains(digest))).await?;
    let fresh = failures
        .iter()
        .filter(|checked| fresh.contains(&checked.digest) && taken.contains(&checked.digest));
    if let Some((at, reason)) = suspension(fresh, change.now) {
        change.suspend(reason, at).await?;
    }
    change.commit().await?;
    let recorded = failures.iter().zip(&places).filter(|(_, place)| place.0);
    let recorded: Vec<&CheckedFailure> = recorded.map(|(failure, _)| failure).collect();
    count(&env.metrics, &recorded, failures.len() - refused.len());
    let full = || UserError::portal_full(env.portal_errors);
    let answer = |(index, (recorded, error)): (usize, &(bool, Option<usize>))| FailureAnswer {
        recorded: *recorded,
        refused: refused.contains(&index).then(full),
        error: error.map(|place| ledger.errors[place].row.clone()),
    };
    Ok(Some(places.iter().enumerate().map(answer).collect()))
}

/// The same, again where another transaction came between: for whom no request is tried again as a whole.
pub async fn report_failures_until_kept(
    env: &Env,
    scope: &Scope<Report>,
    failures: &mut [CheckedFailure],
) -> Result<Option<Vec<FailureAnswer>>> {
    for _ in 1..ATTEMPTS {
        match report_failures(env, scope, failures).await {
            Err(error) if error.is_conflict() => {}
            answers => return answers,
        }
    }
    report_failures(env, scope, failures).await
}

/// Failures that are older say nothing of whether the portal syncs now: they come from a backlog or an import, and
/// what synced since then left no trace if it matched nothing.
const SAYS_SOMETHING_FOR: Micros = 15 * MINUTE;

/// The latest failure that says that nothing syncs at all.
pub(super) fn suspension<'a>(
    failures: impl Iterator<Item = &'a CheckedFailure>,
    now: Micros,
) -> Option<(Option<Micros>, SuspensionReason)> {
    let reason = |checked: &CheckedFailure| {
        let of_salesforce = checked.failure.system == System::Salesforce;
        let mut codes = checked
            .causes
            .iter()
            .filter_map(|cause| cause.code.as_deref());
        let reason = codes.find_map(SuspensionReason::of_code);
        reason.filter(|_| of_salesforce)
    };
    failures
        .filter(|checked| now - checked.occurred_at.unwrap_or(now) <= SAYS_SOMETHING_FOR)
        .filter_map(|checked| Some((checked.occurred_at, reason(checked)?)))
        .max_by_key(|(at, _)| at.unwrap_or(now))
}

/// Counts what a change recorded, by type, and tells of codes that no rule knows.
pub(super) fn count(metrics: &Metrics, recorded: &[&CheckedFailure], reported: usize) {
    metrics.failures("recorded", recorded.len() as u64);
    metrics.failures("repeated", (reported - recorded.len()) as u64);
    let mut types: BTreeMap<i16, (SyncErrorType, u64)> = BTreeMap::new();
    for cause in recorded.iter().flat_map(|failure| &failure.causes) {
        let error_type = cause.error_type;
        types
            .entry(error_type.to_value())
            .or_insert((error_type, 0))
            .1 += 1;
    }
    for (error_type, count) in types.into_values() {
        let category = enum_name(error_type.category());
        metrics.classified(category, enum_name(error_type), count);
    }
    tell_unknown_codes(metrics, recorded);
}

/// Says which codes no rule knows, so that rules can be written for them.
fn tell_unknown_codes(metrics: &Metrics, failures: &[&CheckedFailure]) {
    let mut counts: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
    for checked in failures {
        let unknown = checked.causes.iter().filter(|cause| cause.unknown_code);
        for code in unknown.filter_map(|cause| cause.code.as_deref()) {
            let system = enum_name(checked.failure.system);
            let code = cut(code, LOGGED_CODE_CHARACTERS);
            *counts.entry((system, code)).or_default() += 1;
        }
    }
    for ((system, code), failures) in counts {
        metrics.unknown_codes(system, failures);
        tracing::warn!(system, code, failures, "a code that no rule knows");
    }
}

/// Providers' codes are short; a longer one is something else that should not fill the log.
const LOGGED_CODE_CHARACTERS: usize = 100;

#[derive(FromQueryResult)]
struct Digest {
    digest: Uuid,
}

/// Remembers the reports; answers those that were not known, or were longer ago than is remembered.
pub(super) async fn remember<'a>(
    change: &Change,
    failures: impl Iterator<Item = &'a CheckedFailure>,
) -> Result<HashSet<Uuid>> {
    let oldest = change.now - limits::REPORT_ID_DAYS.value as Micros * DAY;
    let mut digests: Vec<Uuid> = failures.map(|failure| failure.digest).collect();
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

/// Reports that were refused may be sent again.
async fn forget(change: &Change, digests: impl Iterator<Item = Uuid>) -> Result<()> {
    let digests: Vec<Uuid> = digests.collect();
    if digests.is_empty() {
        return Ok(());
    }
    let transaction = change.transaction();
    let digests = Keys::uuids(digests);
    let place = (report_ids::Column::HubId, change.hub_id());
    report_ids::Entity::delete_many()
        .filter(digests.hold_in_portal(
            transaction.get_database_backend(),
            place,
            report_ids::Column::Digest,
        ))
        .exec(transaction)
        .await?;
    Ok(())
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
    let pairs = failures.iter().map(|checked| {
        let failure = &checked.failure;
        (
            failure.hubspot_record.as_ref(),
            failure.salesforce_record.as_ref(),
        )
    });
    let rows = find_records(change, &RecordIds::of(pairs)).await?;
    rows.into_iter().for_each(|row| ledger.put_record(row));
    Ok(())
}
