//! A batch takes errors on: chosen ones at once, those of a filter a hundred at a time.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::kernel::auth::{Right, Scope};
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::resync::board::{Board, Part, part_of, unfinished};
use crate::resync::tables::{resync_items, resync_results};
use crate::resync::{AUTOMATIC, REACHED_AT_ONCE, ResultStatus, retry};
use crate::sync_errors::filter;
use crate::sync_errors::report::attempts::Attempts;
use crate::sync_errors::to_try;

/// Takes errors on whose records nobody tries at present; they are in `attempts`.
pub(super) async fn take_on(
    change: &Change,
    (board, attempts): (&mut Board, &mut Attempts),
    batch_id: Uuid,
    error_ids: &[Uuid],
) -> Result<()> {
    let batch = board.batches.get(&batch_id);
    let most = batch.and_then(|batch| batch.records_per_error);
    let until = match most {
        Some(most) => to_try::nth_records(change, error_ids, most).await?,
        None => Default::default(),
    };
    for error_id in error_ids {
        let Some(facts) = attempts.facts(*error_id) else {
            continue;
        };
        let key = (batch_id, *error_id);
        let before = board.results.get(&key);
        let before = before.filter(|before| retry::counts(before, facts.opened_at));
        let result = resync_results::Model {
            hub_id: change.hub_id(),
            batch_id,
            error_id: *error_id,
            status: ResultStatus::Waiting,
            finished_at: None,
            taken_through: None,
            taken_until: until.get(error_id).copied(),
            untaken_count: 0,
            waiting_count: 0,
            claimed_count: 0,
            succeeded_count: 0,
            failed_count: 0,
            cancelled_count: 0,
            attempt_count: before.map_or(0, |before| before.attempt_count),
            next_at: before.and_then(|before| before.next_at),
        };
        board.results.insert(key, result);
        let records = facts.affected_record_count.min(most.unwrap_or(i32::MAX));
        add_untaken(board, key, records);
        if batch_id != AUTOMATIC {
            attempts.begin_resync(*error_id);
            if let Some(batch) = board.batches.get_mut(&batch_id) {
                batch.error_count += 1;
            }
        }
    }
    if batch_id != AUTOMATIC {
        absorb(change, board, batch_id, error_ids).await?;
    }
    Ok(())
}

fn add_untaken(board: &mut Board, key: (Uuid, Uuid), count: i32) {
    if let Some(result) = board.results.get_mut(&key) {
        result.untaken_count += count;
    }
    board.add(key, Part::Waiting, count);
}

/// What is tried automatically belongs to the batch from now on.
async fn absorb(
    change: &Change,
    board: &mut Board,
    batch_id: Uuid,
    error_ids: &[Uuid],
) -> Result<()> {
    let automatic = Condition::all()
        .add(resync_results::Column::BatchId.eq(AUTOMATIC))
        .add(unfinished());
    board
        .load_results(change, error_ids.iter().copied(), automatic)
        .await?;
    let tried: Vec<Uuid> = error_ids
        .iter()
        .copied()
        .filter(|id| board.results.contains_key(&(AUTOMATIC, *id)))
        .collect();
    if tried.is_empty() {
        return Ok(());
    }
    board.load_batches(change, [AUTOMATIC]).await?;
    for error_id in &tried {
        let key = (AUTOMATIC, *error_id);
        let untaken = board.results.get_mut(&key);
        let untaken = untaken.map_or(0, |result| std::mem::take(&mut result.untaken_count));
        board.add(key, Part::Waiting, -untaken);
    }
    let most = board.batches.get(&batch_id);
    let most = most.and_then(|batch| batch.records_per_error);
    let most = usize::try_from(most.unwrap_or(i32::MAX)).unwrap_or(usize::MAX);
    let items = automatic_items(change, board, tried).await?;
    let keys: Vec<_> = items
        .iter()
        .map(|item| (item.error_id, item.record_id))
        .collect();
    let affected = to_try::still_affected(change, &keys).await?;
    let mut absorbed: HashMap<Uuid, usize> = HashMap::new();
    for mut item in items {
        let count = absorbed.entry(item.error_id).or_default();
        if *count == most {
            continue;
        }
        *count += 1;
        let part = part_of(&item);
        board.add((AUTOMATIC, item.error_id), part, -1);
        item.batch_id = batch_id;
        let key = (batch_id, item.error_id);
        board.add(key, part, 1);
        // It is one of the records that were counted as untaken.
        if affected.contains_key(&(item.error_id, item.record_id))
            && let Some(result) = board.results.get_mut(&key)
            && result.untaken_count > 0
        {
            result.untaken_count -= 1;
            board.add(key, Part::Waiting, -1);
        }
        board.items.insert(item.id, item);
    }
    Ok(())
}

/// What is being retried of these errors, as this step has left it.
async fn automatic_items(
    change: &Change,
    board: &Board,
    error_ids: Vec<Uuid>,
) -> Result<Vec<resync_items::Model>> {
    use resync_items::Column;
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let own = (Column::HubId, change.hub_id());
    let stored = resync_items::Entity::find()
        .filter(Keys::uuids(error_ids).hold_in_portal(backend, own, Column::ErrorId))
        .filter(Column::BatchId.eq(AUTOMATIC))
        .filter(Column::SettledAt.is_null())
        .all(transaction)
        .await?;
    let present = stored
        .into_iter()
        .map(|item| board.items.get(&item.id).cloned().unwrap_or(item));
    Ok(present.filter(|item| item.settled_at.is_none()).collect())
}

/// Reaches the next errors that match a batch's filter.
pub(super) async fn reach_next<R: Right>(
    change: &Change,
    scope: &Scope<R>,
    (board, attempts): (&mut Board, &mut Attempts),
    batch_id: Uuid,
) -> Result<()> {
    let batch = board.batches.get(&batch_id);
    let Some((filter, after)) =
        batch.and_then(|batch| Some((batch.filter.clone()?, batch.reached_through)))
    else {
        return Ok(());
    };
    // One more tells whether these are the last.
    let range = (after.unwrap_or(Uuid::nil()), batch_id, REACHED_AT_ONCE + 1);
    let mut matching = to_try::matching(change, scope, &filter::read(&filter)?, range).await?;
    let is_last = matching.len() <= REACHED_AT_ONCE;
    matching.truncate(REACHED_AT_ONCE);
    board
        .load_results(change, matching.iter().copied(), unfinished())
        .await?;
    attempts.load(change, matching.iter().copied()).await?;
    let free = |id: &&Uuid| !is_resynced(board, **id);
    let accepted: Vec<Uuid> = matching.iter().filter(free).copied().collect();
    let before = board
        .batches
        .get(&batch_id)
        .map_or(0, |batch| batch.waiting_count + batch.claimed_count);
    take_on(change, (board, attempts), batch_id, &accepted).await?;
    if let Some(batch) = board.batches.get_mut(&batch_id) {
        batch.reached_through = matching.last().copied().or(batch.reached_through);
        let records = batch.waiting_count + batch.claimed_count - before;
        let (errors, records) = match is_last {
            true => (batch.unreached_error_count, batch.unreached_record_count),
            // What was estimated for them is known now; something is left, or the batch would seem to have ended.
            false => (
                (batch.unreached_error_count - 1).clamp(0, matching.len() as i32),
                (batch.unreached_record_count - 1).clamp(0, records),
            ),
        };
        batch.unreached_error_count -= errors;
        batch.error_count -= errors;
        batch.unreached_record_count -= records;
        batch.waiting_count -= records;
        if is_last {
            batch.filter = None;
        }
    }
    Ok(())
}

/// Whether a batch tries the records of an error at present; its unfinished results were loaded.
pub(super) fn is_resynced(board: &Board, error_id: Uuid) -> bool {
    board.results.values().any(|result| {
        result.error_id == error_id && result.batch_id != AUTOMATIC && result.finished_at.is_none()
    })
}
