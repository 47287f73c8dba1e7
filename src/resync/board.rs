//! The rows of one step of a resync: read, moved, written back together. A record is always counted once: as waiting,
//! claimed, succeeded, failed or cancelled, in its result and in its batch alike.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::kernel::bulk;
use crate::kernel::clock::Micros;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::resync::tables::{resync_batches, resync_items, resync_results};
use crate::resync::{AUTOMATIC, ResultStatus, Settled, Stage, retry};
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::report::attempts::Attempts;

/// What a record of a batch is at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Waiting,
    Claimed,
    Succeeded,
    Failed,
    Cancelled,
}

macro_rules! counted {
    ($model:ty) => {
        impl $model {
            fn count_mut(&mut self, part: Part) -> &mut i32 {
                match part {
                    Part::Waiting => &mut self.waiting_count,
                    Part::Claimed => &mut self.claimed_count,
                    Part::Succeeded => &mut self.succeeded_count,
                    Part::Failed => &mut self.failed_count,
                    Part::Cancelled => &mut self.cancelled_count,
                }
            }

            /// Whether nothing of it is left to be settled.
            fn is_over(&self) -> bool {
                self.waiting_count == 0 && self.claimed_count == 0
            }
        }
    };
}

counted!(resync_batches::Model);
counted!(resync_results::Model);

/// The rows of one step.
#[derive(Default)]
pub(super) struct Board {
    pub(super) batches: BTreeMap<Uuid, resync_batches::Model>,
    /// By batch and error.
    pub(super) results: BTreeMap<(Uuid, Uuid), resync_results::Model>,
    /// Items that were made or moved.
    pub(super) items: BTreeMap<Uuid, resync_items::Model>,
}

impl Board {
    /// Adds batches that are not there yet.
    pub(super) async fn load_batches(
        &mut self,
        change: &Change,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<()> {
        let missing: Vec<Uuid> = ids
            .into_iter()
            .filter(|id| !self.batches.contains_key(id))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        use resync_batches::Column;
        let transaction = change.transaction();
        let backend = transaction.get_database_backend();
        let keys = Keys::uuids(missing);
        let own = (Column::HubId, change.hub_id());
        let find =
            resync_batches::Entity::find().filter(keys.hold_in_portal(backend, own, Column::Id));
        let rows = find.all(transaction).await?;
        self.batches
            .extend(rows.into_iter().map(|row| (row.id, row)));
        Ok(())
    }

    /// Adds the results of errors, in all batches or in the unfinished ones only, that are not there yet.
    pub(super) async fn load_results(
        &mut self,
        change: &Change,
        error_ids: impl IntoIterator<Item = Uuid>,
        wanted: Condition,
    ) -> Result<()> {
        use resync_results::Column;
        let transaction = change.transaction();
        let backend = transaction.get_database_backend();
        let keys = Keys::uuids(error_ids);
        if keys.is_empty() {
            return Ok(());
        }
        let own = (Column::HubId, change.hub_id());
        let find = resync_results::Entity::find()
            .filter(keys.hold_in_portal(backend, own, Column::ErrorId))
            .filter(wanted);
        self.put_results(find.all(transaction).await?);
        Ok(())
    }

    /// Adds results that were read; what is there already stays.
    pub(super) fn put_results(&mut self, rows: Vec<resync_results::Model>) {
        for row in rows {
            let key = (row.batch_id, row.error_id);
            self.results.entry(key).or_insert(row);
        }
    }

    /// Counts records that are new in a batch, or leave it.
    pub(super) fn add(&mut self, key: (Uuid, Uuid), part: Part, count: i32) {
        if let Some(result) = self.results.get_mut(&key) {
            *result.count_mut(part) += count;
        }
        if let Some(batch) = self.batches.get_mut(&key.0) {
            *batch.count_mut(part) += count;
        }
    }

    /// Counts records of a batch as something else than before.
    pub(super) fn shift(&mut self, key: (Uuid, Uuid), (from, to): (Part, Part), count: i32) {
        self.add(key, from, -count);
        self.add(key, to, count);
    }

    /// The records of an error for which no item was made need none any more.
    pub(super) fn drop_untaken(&mut self, key: (Uuid, Uuid), to: Part) {
        let Some(result) = self.results.get_mut(&key) else {
            return;
        };
        let count = std::mem::take(&mut result.untaken_count);
        self.shift(key, (Part::Waiting, to), count);
    }

    /// Settles an item by itself, without an attempt.
    pub(super) fn settle(
        &mut self,
        mut item: resync_items::Model,
        (to, outcome): (Part, Settled),
        now: Micros,
    ) {
        let from = part_of(&item);
        self.shift((item.batch_id, item.error_id), (from, to), 1);
        item.settled_at = Some(now);
        item.outcome = Some(outcome);
        item.lease_expires_at = None;
        self.items.insert(item.id, item);
    }

    /// Gives an item back, so that another engine may try it.
    pub(super) fn give_back(&mut self, mut item: resync_items::Model, now: Micros) {
        let batch = self.batches.get(&item.batch_id);
        if batch.is_some_and(|batch| batch.status == Stage::Cancelled) {
            return self.settle(item, (Part::Cancelled, Settled::Cancelled), now);
        }
        let key = (item.batch_id, item.error_id);
        self.shift(key, (Part::Claimed, Part::Waiting), 1);
        item.lease_expires_at = None;
        self.items.insert(item.id, item);
    }

    /// Ends what has nothing left to be settled: results, their errors' resync, batches.
    pub(super) async fn end(&mut self, change: &Change, attempts: &mut Attempts) -> Result<()> {
        let ended = self
            .results
            .values_mut()
            .filter(|result| result.finished_at.is_none() && result.is_over());
        let mut ended: Vec<&mut resync_results::Model> = ended.collect();
        attempts
            .load(change, ended.iter().map(|result| result.error_id))
            .await?;
        for result in &mut ended {
            let facts = attempts.facts(result.error_id);
            let is_resolved = facts.is_none_or(|facts| facts.status == SyncErrorStatus::Resolved);
            result.finished_at = Some(change.now);
            result.status = match is_resolved {
                true => ResultStatus::Resolved,
                false if result.cancelled_count > 0 => ResultStatus::Cancelled,
                false => ResultStatus::StillFailing,
            };
            if result.batch_id == AUTOMATIC {
                retry::after_attempt(result, change.now);
            } else {
                attempts.end_resync(result.error_id);
            }
        }
        for batch in self.batches.values_mut() {
            let goes_on = batch.id == AUTOMATIC || batch.finished_at.is_some();
            if !goes_on && batch.is_over() && batch.filter.is_none() {
                batch.finished_at = Some(change.now);
                batch.waiting_until = None;
                if batch.status == Stage::Running {
                    batch.status = Stage::Completed;
                }
            }
        }
        Ok(())
    }

    /// Writes all of it, with what has happened to the errors.
    pub(super) async fn save(&self, change: &mut Change, attempts: &Attempts) -> Result<()> {
        attempts.write(change).await?;
        let transaction = change.transaction();
        bulk::upsert::<resync_batches::Entity>(transaction, self.batches.values()).await?;
        bulk::upsert::<resync_results::Entity>(transaction, self.results.values()).await?;
        self.save_items(change).await
    }

    /// Writes the items, where nothing else has moved.
    pub(super) async fn save_items(&self, change: &mut Change) -> Result<()> {
        bulk::upsert::<resync_items::Entity>(change.transaction(), self.items.values()).await?;
        if !self.batches.is_empty() || !self.items.is_empty() {
            change.ring();
        }
        Ok(())
    }
}

/// What an unsettled item is counted as.
pub(super) fn part_of(item: &resync_items::Model) -> Part {
    match item.lease_expires_at {
        Some(_) => Part::Claimed,
        None => Part::Waiting,
    }
}

/// Results that are not finished.
pub(super) fn unfinished() -> Condition {
    Condition::all().add(resync_results::Column::FinishedAt.is_null())
}
