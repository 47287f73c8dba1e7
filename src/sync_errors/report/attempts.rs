//! Attempts to sync records again: what engines answer to resync items, inside the change that settles them.
//!
//! All that happens to errors in that change goes through one ledger, so that each has at most one event: what attempts
//! did, that a resync began, that it ended.

use std::collections::HashSet;

use uuid::Uuid;

use super::failures::{count, remember, suspension};
use super::ledger::{ErrorState, Ledger, Occurrence};
use super::room::Room;
use super::write::{RecordIds, find_records, load_errors_by_id, load_errors_by_signature, write};
use super::{CheckedFailure, CheckedSuccess};
use crate::classify::{Record, SyncDirection, SyncErrorType};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;
use crate::sync_errors::{SyncErrorEventKind, SyncErrorStatus};

/// An attempt to sync a record again.
#[derive(Debug)]
pub struct Attempt {
    /// The error that it was made for.
    pub error_id: Uuid,
    /// Which way the change was to go.
    pub direction: SyncDirection,
    /// The record on HubSpot's side.
    pub hubspot_record: Option<Record>,
    /// The record on Salesforce's side.
    pub salesforce_record: Option<Record>,
    /// What became of it.
    pub end: AttemptEnd,
}

/// What became of an attempt.
#[derive(Debug)]
pub enum AttemptEnd {
    /// The record syncs.
    Synced,
    /// The record is gone or excluded.
    Removed,
    /// It failed, as the provider said; for the same cause where nothing is told.
    Failed(Option<Box<CheckedFailure>>),
}

impl Attempt {
    fn failure(&self) -> Option<&CheckedFailure> {
        match &self.end {
            AttemptEnd::Failed(failure) => failure.as_deref(),
            _ => None,
        }
    }

    fn success(&self) -> Option<CheckedSuccess> {
        let removed = match &self.end {
            AttemptEnd::Synced => false,
            AttemptEnd::Removed => true,
            AttemptEnd::Failed(_) => return None,
        };
        Some(CheckedSuccess {
            removed,
            occurred_at: None,
            direction: Some(self.direction),
            hubspot_record: self.hubspot_record.clone(),
            salesforce_record: self.salesforce_record.clone(),
        })
    }
}

/// What an engine is told of the error of an item.
#[derive(Debug, Clone)]
pub struct ErrorFacts {
    /// Whether it holds records back.
    pub status: SyncErrorStatus,
    /// How many.
    pub affected_record_count: i32,
    /// Which way the change was to go.
    pub direction: SyncDirection,
    /// When it was opened last; 0 where that is not known.
    pub opened_at: Micros,
    /// Its type.
    pub error_type: SyncErrorType,
    /// Its latest code.
    pub code: Option<String>,
    /// The fields that it is about.
    pub fields: Vec<String>,
}

/// The errors that a resync concerns, inside a change.
pub struct Attempts {
    ledger: Ledger,
}

impl Attempts {
    /// None yet.
    pub fn new(change: &Change) -> Self {
        Self {
            ledger: Ledger::new(change.hub_id(), change.latest()),
        }
    }

    /// Adds errors that are not there yet.
    pub async fn load(
        &mut self,
        change: &Change,
        error_ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<()> {
        let is_missing = |id: &Uuid| !self.ledger.by_id.contains_key(id);
        let mut missing: Vec<Uuid> = error_ids.into_iter().filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        match missing.is_empty() {
            true => Ok(()),
            false => load_errors_by_id(change, &mut self.ledger, missing).await,
        }
    }

    /// What is known of an error; `None` when it does not exist.
    pub fn facts(&self, error_id: Uuid) -> Option<ErrorFacts> {
        let row = &self.error(error_id)?.row;
        let fields = row.fields.split('|').filter(|field| !field.is_empty());
        Some(ErrorFacts {
            status: row.status,
            affected_record_count: row.affected_record_count,
            direction: row.direction,
            opened_at: row.opened_at.unwrap_or(0),
            error_type: row.error_type,
            code: row.code.clone(),
            fields: fields.map(str::to_owned).collect(),
        })
    }

    fn error(&self, error_id: Uuid) -> Option<&ErrorState> {
        self.ledger.errors.get(*self.ledger.by_id.get(&error_id)?)
    }

    fn error_mut(&mut self, error_id: Uuid) -> Option<&mut ErrorState> {
        let place = *self.ledger.by_id.get(&error_id)?;
        self.ledger.errors.get_mut(place)
    }

    /// Its records are to be tried again.
    pub fn begin_resync(&mut self, error_id: Uuid) {
        if let Some(error) = self.error_mut(error_id)
            && error.row.status == SyncErrorStatus::Open
        {
            error.row.status = SyncErrorStatus::Resyncing;
            error.event = Some(SyncErrorEventKind::ResyncRequested);
        }
    }

    /// Nothing of it is being tried any more.
    pub fn end_resync(&mut self, error_id: Uuid) {
        if let Some(error) = self.error_mut(error_id)
            && error.row.status == SyncErrorStatus::Resyncing
        {
            error.row.status = SyncErrorStatus::Open;
            error.event.get_or_insert(SyncErrorEventKind::Updated);
        }
    }

    /// Applies what became of attempts; once in a change.
    pub async fn apply(
        &mut self,
        env: &Env,
        change: &mut Change,
        by: &str,
        attempts: &mut [Attempt],
    ) -> Result<()> {
        let named = Uuid::now_v7();
        for attempt in attempts.iter_mut() {
            if let AttemptEnd::Failed(Some(checked)) = &mut attempt.end {
                checked.be_named(named);
            }
        }
        let attempts: &[Attempt] = attempts;
        let failures = || attempts.iter().filter_map(Attempt::failure);
        let fresh = remember(change, failures()).await?;
        self.load_all(change, attempts).await?;
        let mut room = Room::of(change, &mut self.ledger, failures(), env.portal_errors).await?;
        let now = change.now;
        let mut recorded = Vec::new();
        for attempt in attempts {
            if let Some(success) = attempt.success() {
                self.ledger.clear(&success, now);
            } else if let Some(checked) = attempt.failure() {
                let is_new = fresh.contains(&checked.digest);
                if is_new && !room.take(&self.ledger, checked) {
                    // The record stays where it is: it is known to fail, and its new cause has no place.
                    self.fail_untold(attempt, now);
                    continue;
                }
                if is_new {
                    self.fail(checked, by, now);
                    recorded.push(checked);
                }
                self.move_away(attempt, checked, now);
            } else {
                self.fail_untold(attempt, now);
            }
        }
        if let Some((at, reason)) = suspension(recorded.iter().copied(), now) {
            change.suspend(reason, at).await?;
        } else if attempts
            .iter()
            .any(|attempt| matches!(attempt.end, AttemptEnd::Synced))
        {
            change.resume(None).await?;
        }
        count(&env.metrics, &recorded, failures().count());
        Ok(())
    }

    fn fail(&mut self, checked: &CheckedFailure, by: &str, now: Micros) {
        for cause in &checked.causes {
            self.ledger.fail(&Occurrence {
                checked,
                cause,
                reported_by: by,
                occurred_at: self.ledger.instant(checked, cause, now),
                received_at: now,
            });
        }
    }

    /// The rows of an attempt's record in its error.
    fn places(&self, attempt: &Attempt) -> Vec<usize> {
        let (hubspot, salesforce) = (&attempt.hubspot_record, &attempt.salesforce_record);
        let mut places = self.ledger.named_by(hubspot.as_ref(), salesforce.as_ref());
        places.retain(|place| {
            let state = &self.ledger.records[*place];
            !state.is_absorbed
                && state.row.error_id == attempt.error_id
                && state.row.cleared_at.is_none()
        });
        places
    }

    /// It failed for other causes than the attempt's error: there it does not fail any more.
    fn move_away(&mut self, attempt: &Attempt, checked: &CheckedFailure, now: Micros) {
        let Some(signature) = self.error(attempt.error_id).map(|e| e.row.signature) else {
            return;
        };
        if checked
            .causes
            .iter()
            .any(|cause| cause.signature == signature)
        {
            return;
        }
        for place in self.places(attempt) {
            let until = self.ledger.known_until(&self.ledger.records[place].row);
            let occurred_at = checked.occurred_at.unwrap_or(now.max(until.unwrap_or(now)));
            if until > Some(occurred_at) {
                continue;
            }
            let row = &mut self.ledger.records[place].row;
            row.cleared_at = Some(occurred_at);
            self.ledger.records[place].is_changed = true;
            if let Some(error) = self.error_mut(attempt.error_id) {
                error.lose_record(occurred_at);
            }
        }
    }

    /// It failed, and nothing was told of why.
    fn fail_untold(&mut self, attempt: &Attempt, now: Micros) {
        for place in self.places(attempt) {
            let state = &mut self.ledger.records[place];
            state.row.attempt_count = state.row.attempt_count.saturating_add(1);
            state.row.last_seen_at = state.row.last_seen_at.max(now);
            state.is_changed = true;
            if let Some(error) = self.error_mut(attempt.error_id) {
                error.row.occurrence_count = error.row.occurrence_count.saturating_add(1);
                error.row.last_seen_at = error.row.last_seen_at.max(now);
                error.event.get_or_insert(SyncErrorEventKind::Updated);
            }
        }
    }

    /// Adds the errors and records that attempts concern.
    async fn load_all(&mut self, change: &Change, attempts: &[Attempt]) -> Result<()> {
        let causes = attempts
            .iter()
            .filter_map(Attempt::failure)
            .flat_map(|failure| &failure.causes);
        let signatures: HashSet<Uuid> = causes.map(|cause| cause.signature).collect();
        let missing = signatures
            .into_iter()
            .filter(|signature| self.ledger.error_with(*signature).is_none());
        let missing: Vec<Uuid> = missing.collect();
        if !missing.is_empty() {
            load_errors_by_signature(change, &mut self.ledger, missing).await?;
        }
        let own = attempts.iter().map(|attempt| {
            (
                attempt.hubspot_record.as_ref(),
                attempt.salesforce_record.as_ref(),
            )
        });
        let told = attempts.iter().filter_map(Attempt::failure).map(|checked| {
            let failure = &checked.failure;
            (
                failure.hubspot_record.as_ref(),
                failure.salesforce_record.as_ref(),
            )
        });
        let pairs: Vec<_> = own.chain(told).collect();
        let rows = find_records(change, &RecordIds::of(pairs.iter().copied())).await?;
        let of_records = rows.iter().map(|row| row.error_id);
        let of_attempts = attempts.iter().map(|attempt| attempt.error_id);
        self.load(change, of_records.chain(of_attempts)).await?;
        rows.into_iter().for_each(|row| self.ledger.put_record(row));
        Ok(())
    }

    /// Writes what has happened to the errors.
    pub async fn write(&self, change: &mut Change) -> Result<()> {
        write(change, &self.ledger).await?;
        Ok(())
    }
}
