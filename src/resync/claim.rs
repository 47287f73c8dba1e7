//! An engine claims records to try again: in turn from each batch of the portal, within the calls that are left.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::{Change, SyncState, find_in};
use crate::quota::api::ApiCallReservation;
use crate::quota::{ApiCallPurpose, Room};
use crate::resync::board::{Board, Part};
use crate::resync::claimable;
use crate::resync::lease::return_expired;
use crate::resync::reach::reach_next;
use crate::resync::tables::{resync_batches, resync_items, resync_results};
use crate::resync::{AUTOMATIC, Settled, Stage};
use crate::sync_errors::report::attempts::{Attempts, ErrorFacts};
use crate::sync_errors::to_try::{self, RecordToTry, Stretch};

/// How often a claim looks for further errors that match a filter: others may be trying all that it finds.
const REACHES_PER_CLAIM: usize = 10;

/// What an engine asks for.
pub(super) struct Order {
    pub(super) limit: usize,
    pub(super) lease: Micros,
    pub(super) calls_per_item: i32,
}

/// An item with what its engine needs to know.
pub(super) struct Work {
    pub(super) item: resync_items::Model,
    pub(super) record: RecordToTry,
    pub(super) error: ErrorFacts,
}

/// What an engine is given.
#[derive(Default)]
pub(super) struct Claim {
    pub(super) works: Vec<Work>,
    pub(super) reservation: Option<ApiCallReservation>,
    /// When calls will be left.
    pub(super) retry_at: Option<Micros>,
}

/// A claim under way.
struct Claiming<'a> {
    scope: &'a Scope<Report>,
    change: Change,
    board: Board,
    attempts: Attempts,
    lease_expires_at: Micros,
    taken: Vec<(resync_items::Model, RecordToTry)>,
}

/// Claims items of a portal. `None` when it does not exist. What finds nothing takes no lock.
pub(super) async fn claim(
    env: &Env,
    scope: &Scope<Report>,
    order: &Order,
) -> Result<Option<Claim>> {
    let snapshot = env.db.snapshot();
    let portal = find_in(&snapshot, scope).await?;
    let state = portal.map(|row| row.portal.sync_state);
    if !claimable::may_be(&snapshot, scope.hub_id(), env.clock.now()).await? {
        let exists = scope.is_named() || state.is_some();
        return Ok(exists.then(Claim::default));
    }
    drop(snapshot);
    let Some(change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let attempts = Attempts::new(&change);
    let mut claiming = Claiming {
        scope,
        lease_expires_at: change.now + order.lease,
        change,
        board: Board::default(),
        attempts,
        taken: Vec::new(),
    };
    let claim = claiming
        .run(order, state == Some(SyncState::Suspended))
        .await?;
    let Claiming {
        mut change,
        board,
        attempts,
        ..
    } = claiming;
    board.save(&mut change, &attempts).await?;
    change.commit().await?;
    Ok(Some(claim))
}

impl Claiming<'_> {
    async fn run(&mut self, order: &Order, is_suspended: bool) -> Result<Claim> {
        let change = &self.change;
        self.board.load_batches(change, [AUTOMATIC]).await?;
        let automatic = self.board.batches.entry(AUTOMATIC);
        automatic.or_insert_with(|| resync_batches::Model::automatic(change.hub_id(), change.now));
        return_expired(change, &mut self.board).await?;
        let waiting = self.waiting(order.limit).await?;
        let room = Room::of(&self.change).await?;
        let calls_per_item = i64::from(order.calls_per_item);
        let fits = |purpose| {
            let calls = room.calls(purpose).unwrap_or(i64::MAX);
            usize::try_from(calls / calls_per_item).unwrap_or(usize::MAX)
        };
        let most = order.limit.min(fits(ApiCallPurpose::NewChange));
        self.take_in_turn(&waiting, most).await?;
        let asked_for = self.taken.len();
        let retries = order.limit.min(fits(ApiCallPurpose::Retry));
        if asked_for < retries && !is_suspended {
            self.take(AUTOMATIC, retries - asked_for).await?;
        }
        self.attempts
            .load(
                &self.change,
                self.taken.iter().map(|(item, _)| item.error_id),
            )
            .await?;
        self.board.end(&self.change, &mut self.attempts).await?;
        let mut claim = Claim::default();
        let purpose = match asked_for {
            0 => ApiCallPurpose::Retry,
            _ => ApiCallPurpose::NewChange,
        };
        if self.taken.is_empty() {
            claim.retry_at = self
                .retry_at(&room, &waiting, (calls_per_item, is_suspended))
                .await?;
        } else {
            let calls = i32::try_from(self.taken.len())
                .unwrap_or(i32::MAX)
                .saturating_mul(order.calls_per_item);
            let until = self.lease_expires_at;
            let (id, reservation) = room
                .set_aside(&mut self.change, (calls, purpose), until)
                .await?;
            claim.reservation = Some(reservation);
            claim.works = self.works(id);
        }
        Ok(claim)
    }

    /// The batches that were asked for and have records waiting, the one that was claimed from longest ago first.
    async fn waiting(&mut self, limit: usize) -> Result<Vec<Uuid>> {
        use resync_batches::Column;
        let find = resync_batches::Entity::find()
            .filter(Column::HubId.eq(self.change.hub_id()))
            .filter(Column::WaitingCount.gt(0))
            .filter(Column::Id.ne(AUTOMATIC))
            .order_by_asc(Column::ClaimedAt)
            .order_by_asc(Column::Id)
            .limit(limit as u64);
        for row in find.all(self.change.transaction()).await? {
            // What was given back just now is counted already.
            self.board.batches.entry(row.id).or_insert(row);
        }
        let waits = |batch: &&resync_batches::Model| {
            batch.id != AUTOMATIC && batch.waiting_count > 0 && batch.status == Stage::Running
        };
        let mut waiting: Vec<_> = self.board.batches.values().filter(waits).collect();
        waiting.sort_unstable_by_key(|batch| (batch.claimed_at, batch.id));
        Ok(waiting.iter().take(limit).map(|batch| batch.id).collect())
    }

    /// Takes the same share from each batch, then what is left from whoever has it.
    async fn take_in_turn(&mut self, batches: &[Uuid], most: usize) -> Result<()> {
        for round in 0..2 {
            for (place, batch_id) in batches.iter().enumerate() {
                let left = most.saturating_sub(self.taken.len());
                if left == 0 {
                    return Ok(());
                }
                let share = match round {
                    0 => left.div_ceil(batches.len() - place),
                    _ => left,
                };
                self.take(*batch_id, share).await?;
            }
        }
        Ok(())
    }

    /// Takes up to so many records of a batch.
    async fn take(&mut self, batch_id: Uuid, most: usize) -> Result<()> {
        let has_work = |board: &Board| {
            let batch = board.batches.get(&batch_id);
            batch.is_some_and(|batch| batch.waiting_count > 0 && batch.status == Stage::Running)
        };
        if !has_work(&self.board) {
            return Ok(());
        }
        let before = self.taken.len();
        self.take_returned(batch_id, most).await?;
        let mut reached = 0;
        while self.taken.len() - before < most && has_work(&self.board) {
            let left = most - (self.taken.len() - before);
            let batch = self.board.batches.get(&batch_id);
            let is_unreached =
                batch.is_some_and(|batch| batch.waiting_count == batch.unreached_record_count);
            if is_unreached && reached == REACHES_PER_CLAIM {
                break;
            } else if is_unreached {
                reached += 1;
                let parts = (&mut self.board, &mut self.attempts);
                reach_next(&self.change, self.scope, parts, batch_id).await?;
            } else if !self.take_untaken(batch_id, left).await? {
                break;
            }
        }
        if let Some(batch) = self.board.batches.get_mut(&batch_id)
            && self.taken.len() > before
        {
            batch.claimed_at = self.change.now;
            batch.waiting_until = None;
        }
        Ok(())
    }

    /// Items that were claimed before and given back.
    async fn take_returned(&mut self, batch_id: Uuid, most: usize) -> Result<()> {
        let mut items = self.returned(batch_id, most).await?;
        let rest = items.split_off(items.len().min(most));
        self.board
            .items
            .extend(rest.into_iter().map(|item| (item.id, item)));
        if items.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = items
            .iter()
            .map(|item| (item.error_id, item.record_id))
            .collect();
        let mut records = to_try::still_affected(&self.change, &keys).await?;
        self.load_results(batch_id, items.iter().map(|item| item.error_id))
            .await?;
        for item in items {
            match records.remove(&(item.error_id, item.record_id)) {
                Some(record) => self.lease(item, record),
                None => {
                    let synced = (Part::Succeeded, Settled::Succeeded);
                    self.board.settle(item, synced, self.change.now);
                }
            }
        }
        Ok(())
    }

    /// Items of a batch that wait, those that this step gave back first: they are taken off the board.
    async fn returned(&mut self, batch_id: Uuid, most: usize) -> Result<Vec<resync_items::Model>> {
        use resync_items::Column;
        let taken = self.taken.iter().map(|(item, _)| item.id);
        let moved: HashSet<Uuid> = self.board.items.keys().copied().chain(taken).collect();
        let stored = resync_items::Entity::find()
            .filter(Column::HubId.eq(self.change.hub_id()))
            .filter(Column::BatchId.eq(batch_id))
            .filter(Column::SettledAt.is_null())
            .filter(Column::LeaseExpiresAt.is_null())
            .order_by_asc(Column::Id)
            .limit((most + moved.len()) as u64);
        let stored = stored.all(self.change.transaction()).await?;
        let waits = |item: &resync_items::Model| {
            let is_free = item.settled_at.is_none() && item.lease_expires_at.is_none();
            item.batch_id == batch_id && is_free
        };
        let own = self.board.items.extract_if(.., |_, item| waits(item));
        let mut items: Vec<_> = own.map(|(_, item)| item).collect();
        let stored = stored.into_iter().filter(|item| !moved.contains(&item.id));
        // What is not taken goes back to the board only if this step had moved it.
        let room = most.saturating_sub(items.len());
        items.extend(stored.take(room));
        Ok(items)
    }

    async fn load_results(
        &mut self,
        batch_id: Uuid,
        error_ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<()> {
        let of_batch = resync_results::Column::BatchId.eq(batch_id);
        let of_batch = sea_orm::Condition::all().add(of_batch);
        self.board
            .load_results(&self.change, error_ids, of_batch)
            .await
    }

    /// Records that no item was made for. Answers whether there was any result to take from.
    async fn take_untaken(&mut self, batch_id: Uuid, most: usize) -> Result<bool> {
        let results = self.untaken(batch_id).await?;
        if results.is_empty() {
            return Ok(false);
        }
        let stretch = |result: &resync_results::Model| Stretch {
            error_id: result.error_id,
            after: result.taken_through.unwrap_or(Uuid::nil()),
            until: result.taken_until.unwrap_or(Uuid::max()),
        };
        let stretches: Vec<_> = results.iter().map(stretch).collect();
        let records = to_try::records(&self.change, &stretches, most).await?;
        let is_short = records.len() < most;
        let last = records.last().map(|record| record.error_id);
        let taken = claimable::items_of(&self.change, &records).await?;
        let errors = records.iter().map(|record| record.error_id);
        self.attempts.load(&self.change, errors).await?;
        for record in records {
            let key = (batch_id, record.error_id);
            let has_item = taken.contains(&(record.error_id, record.record_id));
            let Some(result) = self.board.results.get_mut(&key) else {
                continue;
            };
            result.taken_through = Some(record.record_id);
            if has_item || result.untaken_count == 0 {
                continue;
            }
            result.untaken_count -= 1;
            if let Some(item) = self.new_item(batch_id, &record) {
                self.lease(item, record);
            }
        }
        // Behind these no record is left: what was counted has synced meanwhile.
        for result in results {
            if last == Some(result.error_id) && !is_short {
                break;
            }
            self.board
                .drop_untaken((batch_id, result.error_id), Part::Succeeded);
        }
        Ok(true)
    }

    /// The next results of a batch with records that no item was made for.
    async fn untaken(&mut self, batch_id: Uuid) -> Result<Vec<resync_results::Model>> {
        use resync_results::Column;
        let find = resync_results::Entity::find()
            .filter(Column::HubId.eq(self.change.hub_id()))
            .filter(Column::BatchId.eq(batch_id))
            .filter(Column::WaitingCount.gt(0))
            .order_by_asc(Column::ErrorId);
        let stored = find.all(self.change.transaction()).await?;
        self.board.put_results(stored);
        let own = self
            .board
            .results
            .range((batch_id, Uuid::nil())..=(batch_id, Uuid::max()));
        let untaken = own
            .map(|(_, result)| result)
            .filter(|result| result.untaken_count > 0);
        Ok(untaken.take(super::REACHED_AT_ONCE).cloned().collect())
    }

    fn new_item(&self, batch_id: Uuid, record: &RecordToTry) -> Option<resync_items::Model> {
        let direction = self.attempts.facts(record.error_id)?.direction;
        let side = |record: &Option<crate::classify::Record>| {
            let record = record.clone().unwrap_or_default();
            (record.object_type, record.record_id)
        };
        let (hubspot_object_type, hubspot_record_id) = side(&record.hubspot_record);
        let (salesforce_object_type, salesforce_record_id) = side(&record.salesforce_record);
        Some(resync_items::Model {
            hub_id: self.change.hub_id(),
            id: Uuid::now_v7(),
            batch_id,
            error_id: record.error_id,
            record_id: record.record_id,
            direction,
            hubspot_object_type,
            hubspot_record_id,
            salesforce_object_type,
            salesforce_record_id,
            attempt: 0,
            claimed_by: String::new(),
            lease_expires_at: None,
            reservation_id: None,
            settled_at: None,
            settled_attempt: None,
            outcome: None,
        })
    }

    fn lease(&mut self, mut item: resync_items::Model, record: RecordToTry) {
        let key = (item.batch_id, item.error_id);
        self.board.shift(key, (Part::Waiting, Part::Claimed), 1);
        item.attempt += 1;
        item.claimed_by = self.scope.subject().to_owned();
        item.lease_expires_at = Some(self.lease_expires_at);
        self.taken.push((item, record));
    }

    fn works(&mut self, reservation_id: Uuid) -> Vec<Work> {
        let mut works = Vec::with_capacity(self.taken.len());
        for (mut item, record) in std::mem::take(&mut self.taken) {
            item.reservation_id = Some(reservation_id);
            self.board.items.insert(item.id, item.clone());
            if let Some(error) = self.attempts.facts(item.error_id) {
                works.push(Work {
                    item,
                    record,
                    error,
                });
            }
        }
        works
    }

    /// When calls will be left for what waits; `None` when nothing waits for them.
    async fn retry_at(
        &mut self,
        room: &Room,
        waiting: &[Uuid],
        (calls, is_suspended): (i64, bool),
    ) -> Result<Option<Micros>> {
        let waits = |batch: &resync_batches::Model| batch.waiting_count > 0;
        let asked_for = waiting
            .iter()
            .any(|id| self.board.batches.get(id).is_some_and(waits));
        let automatic = self.board.batches.get(&AUTOMATIC).is_some_and(waits);
        let purpose = match asked_for {
            true => ApiCallPurpose::NewChange,
            false if automatic && !is_suspended => ApiCallPurpose::Retry,
            false => return Ok(None),
        };
        if room.calls(purpose).is_none_or(|left| left >= calls) {
            return Ok(None);
        }
        let at = room.retry_at(&self.change, (calls, purpose)).await?;
        for id in waiting {
            if let Some(batch) = self.board.batches.get_mut(id) {
                batch.waiting_until = Some(at);
            }
        }
        Ok(Some(at))
    }
}
