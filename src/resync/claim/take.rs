//! Taking records of a batch: those given back first, then those that no item was made for, then those of errors that
//! were not reached yet.

use std::collections::HashSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Claiming;
use crate::kernel::error::Result;
use crate::resync::board::{Board, Part};
use crate::resync::claimable;
use crate::resync::reach::reach_next;
use crate::resync::tables::{resync_items, resync_results};
use crate::resync::{REACHED_AT_ONCE, Settled, Stage};
use crate::sync_errors::to_try::{self, RecordToTry, Stretch};

/// How often a claim looks for further errors that match a filter: others may be trying all that it finds.
const REACHES_PER_CLAIM: usize = 10;

impl Claiming<'_> {
    /// Takes up to so many records of a batch.
    pub(super) async fn take(&mut self, batch_id: Uuid, most: usize) -> Result<()> {
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
        let of_batch = Condition::all().add(of_batch);
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
        let mut taken = claimable::items_of(&self.change, batch_id, &records).await?;
        // What this step has made or moved is not in the table yet.
        let own = self.taken.iter().map(|(item, _)| item);
        let open = self
            .board
            .items
            .values()
            .filter(|item| item.settled_at.is_none());
        taken.extend(own.chain(open).map(|item| (item.error_id, item.record_id)));
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
            // Literal, so that SQLite finds its partial index.
            .filter(Expr::cust("waiting_count > 0"))
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
        Ok(untaken.take(REACHED_AT_ONCE).cloned().collect())
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
}
