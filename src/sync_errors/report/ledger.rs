//! The rules of an error's life, on rows in memory: pure, with time as a parameter.
//!
//! The rows that a change concerns are put in, moved by [`Ledger::fail`] and [`Ledger::clear`], and taken out with
//! what has happened. One change has at most one event per error.

use std::collections::HashMap;

use uuid::Uuid;

use super::rows::{
    add_sample, join, new_error, new_record, set_latest_facts, stored, update_record,
};
use super::{CheckedFailure, CheckedSuccess, StoredFailure};
use crate::classify::{Cause, Record, System};
use crate::kernel::clock::Micros;
use crate::portals::category_counters;
use crate::sync_errors::tables::{affected_records, sync_errors};
use crate::sync_errors::{SyncErrorEventKind, SyncErrorStatus};

/// An error inside a change.
pub(super) struct ErrorState {
    pub(super) row: sync_errors::Model,
    /// Status and affected records before the change; absent for a new error.
    pub(super) before: Option<(SyncErrorStatus, i32)>,
    /// What happened to it; absent while nothing did.
    pub(super) event: Option<SyncErrorEventKind>,
    /// Its latest failure, where the change brought one.
    pub(super) latest: Option<StoredFailure>,
}

impl ErrorState {
    /// One of its records does not fail any more for this cause.
    pub(super) fn lose_record(&mut self, at: Micros) {
        self.row.affected_record_count -= 1;
        self.event = Some(SyncErrorEventKind::Updated);
        if self.row.affected_record_count == 0 {
            self.row.status = SyncErrorStatus::Resolved;
            self.row.resolved_at = Some(at);
            self.event = Some(SyncErrorEventKind::Resolved);
        }
    }
}

/// A record inside a change.
pub(super) struct RecordState {
    pub(super) row: affected_records::Model,
    pub(super) is_changed: bool,
    /// Joined into another row: to be deleted if it was stored.
    pub(super) is_absorbed: bool,
    pub(super) is_stored: bool,
}

/// All rows that a change concerns.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) hub_id: i64,
    /// What is kept with a later instant was told by a clock that was wrong.
    latest: Micros,
    pub(super) errors: Vec<ErrorState>,
    pub(super) records: Vec<RecordState>,
    by_signature: HashMap<Uuid, usize>,
    pub(super) by_id: HashMap<Uuid, usize>,
    by_half: HashMap<(System, String), Vec<usize>>,
    pub(super) cleared_count: i32,
    /// The counters of the portal's cards before the change, where they were read.
    pub(super) counters: Option<Vec<category_counters::Model>>,
}

/// A failure in one cause, as it happened.
pub(super) struct Occurrence<'a> {
    pub(super) checked: &'a CheckedFailure,
    pub(super) cause: &'a Cause,
    pub(super) reported_by: &'a str,
    pub(super) occurred_at: Micros,
    pub(super) received_at: Micros,
}

impl Occurrence<'_> {
    pub(super) fn first_occurred_at(&self) -> Micros {
        self.checked.first_occurred_at.unwrap_or(self.occurred_at)
    }
}

impl Ledger {
    /// Of a portal whose latest instant is known.
    pub(super) fn new(hub_id: i64, latest: Micros) -> Self {
        Self {
            hub_id,
            latest,
            ..Self::default()
        }
    }

    /// Puts a stored error in.
    pub(super) fn put_error(&mut self, row: sync_errors::Model) {
        self.by_signature.insert(row.signature, self.errors.len());
        self.by_id.insert(row.id, self.errors.len());
        let before = Some((row.status, row.affected_record_count));
        self.errors.push(ErrorState {
            row,
            before,
            event: None,
            latest: None,
        });
    }

    /// Puts a stored record in.
    pub(super) fn put_record(&mut self, row: affected_records::Model) {
        self.add_record(row, true);
    }

    fn add_record(&mut self, row: affected_records::Model, is_stored: bool) -> usize {
        let place = self.records.len();
        self.records.push(RecordState {
            row,
            is_changed: !is_stored,
            is_absorbed: false,
            is_stored,
        });
        self.index(place);
        place
    }

    fn index(&mut self, place: usize) {
        let row = &self.records[place].row;
        let halves = [
            (System::Hubspot, row.hubspot_record_id.clone()),
            (System::Salesforce, row.salesforce_record_id.clone()),
        ];
        for (system, id) in halves {
            let Some(id) = id else { continue };
            let places = self.by_half.entry((system, id)).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }

    /// The place of the error with this signature.
    pub(super) fn error_with(&self, signature: Uuid) -> Option<usize> {
        self.by_signature.get(&signature).copied()
    }

    /// A record failed for a cause. Answers whether that changed anything, and the place of its error.
    pub(super) fn fail(&mut self, occurrence: &Occurrence<'_>) -> (bool, Option<usize>) {
        let error = self.error_with(occurrence.cause.signature);
        let record = error.and_then(|error| {
            self.find_record(self.errors[error].row.id, &occurrence.checked.failure)
        });
        if let Some(record) = record
            && self.known_until(&self.records[record].row) >= Some(occurrence.occurred_at)
        {
            return (false, error);
        }
        let error = error.unwrap_or_else(|| self.open(occurrence));
        let newly_affected = match record {
            Some(record) => self.fail_again(record, occurrence),
            None => self.fail_first(error, occurrence),
        };
        self.count_failure(error, occurrence, newly_affected);
        (true, Some(error))
    }

    fn open(&mut self, occurrence: &Occurrence<'_>) -> usize {
        let place = self.errors.len();
        self.by_signature.insert(occurrence.cause.signature, place);
        let row = new_error(self.hub_id, occurrence);
        self.by_id.insert(row.id, place);
        self.errors.push(ErrorState {
            row,
            before: None,
            event: Some(SyncErrorEventKind::Opened),
            latest: None,
        });
        place
    }

    /// The one row of the failure's record or pair; rows of its two halves become one.
    fn find_record(&mut self, error_id: Uuid, failure: &crate::classify::Failure) -> Option<usize> {
        let mut places = Vec::new();
        for (system, record) in [
            (System::Hubspot, &failure.hubspot_record),
            (System::Salesforce, &failure.salesforce_record),
        ] {
            let Some(record) = record else { continue };
            let Some(id) = &record.record_id else {
                continue;
            };
            let found = self.by_half.get(&(system, id.clone()));
            places.extend(found.into_iter().flatten().copied().filter(|place| {
                let state = &self.records[*place];
                !state.is_absorbed
                    && state.row.error_id == error_id
                    && is_same_type(system, &state.row, record)
            }));
        }
        places.sort_unstable();
        places.dedup();
        let (kept, others) = places.split_first()?;
        for other in others {
            self.absorb(*kept, *other);
        }
        Some(*kept)
    }

    /// Joins two rows that turned out to be the halves of one pair.
    fn absorb(&mut self, kept: usize, other: usize) {
        let from = self.records[other].row.clone();
        self.records[other].is_absorbed = true;
        let into = &mut self.records[kept].row;
        let both_affected = into.cleared_at.is_none() && from.cleared_at.is_none();
        join(into, from);
        self.records[kept].is_changed = true;
        self.index(kept);
        let error = self.by_id.get(&self.records[kept].row.error_id).copied();
        if both_affected && let Some(error) = error.and_then(|place| self.errors.get_mut(place)) {
            error.row.affected_record_count -= 1;
            error.event.get_or_insert(SyncErrorEventKind::Updated);
        }
    }

    fn fail_first(&mut self, error: usize, occurrence: &Occurrence<'_>) -> bool {
        let row = new_record(self.hub_id, self.errors[error].row.id, occurrence);
        self.add_record(row, false);
        true
    }

    fn fail_again(&mut self, record: usize, occurrence: &Occurrence<'_>) -> bool {
        let state = &mut self.records[record];
        let was_cleared = state.row.cleared_at.take().is_some();
        update_record(&mut state.row, occurrence);
        state.is_changed = true;
        self.index(record);
        was_cleared
    }

    fn count_failure(&mut self, error: usize, occurrence: &Occurrence<'_>, newly_affected: bool) {
        let state = &mut self.errors[error];
        let row = &mut state.row;
        let occurred_at = occurrence.occurred_at;
        let attempts = occurrence.checked.attempt_count;
        row.occurrence_count = row.occurrence_count.saturating_add(attempts);
        row.affected_record_count += i32::from(newly_affected);
        row.first_seen_at = row.first_seen_at.min(occurrence.first_occurred_at());
        if occurred_at >= row.last_seen_at || row.last_seen_at > self.latest {
            row.last_seen_at = occurred_at;
            set_latest_facts(row, occurrence.cause);
            state.latest = Some(stored(occurrence));
        }
        add_sample(row, occurrence.cause.value.as_deref());
        if row.status == SyncErrorStatus::Resolved {
            row.status = SyncErrorStatus::Open;
            row.resolved_at = None;
            row.opened_at = Some(occurrence.received_at);
            let was_open = state
                .before
                .is_some_and(|(status, _)| status != SyncErrorStatus::Resolved);
            state.event = Some(if was_open {
                SyncErrorEventKind::Updated
            } else {
                SyncErrorEventKind::Reopened
            });
        }
        state.event.get_or_insert(SyncErrorEventKind::Updated);
    }

    /// A record synced, or is gone: clears its rows up to then. Rows cleared before remember the later outcome.
    pub(super) fn clear(&mut self, success: &CheckedSuccess, now: Micros) {
        let (hubspot, salesforce) = (&success.hubspot_record, &success.salesforce_record);
        for place in self.named_by(hubspot.as_ref(), salesforce.as_ref()) {
            let until = self.known_until(&self.records[place].row);
            let occurred_at = success.occurred_at.unwrap_or(now.max(until.unwrap_or(now)));
            let state = &mut self.records[place];
            let error = self
                .by_id
                .get(&state.row.error_id)
                .and_then(|place| self.errors.get_mut(*place));
            let Some(error) = error else { continue };
            let is_other_direction = success
                .direction
                .is_some_and(|direction| direction != error.row.direction);
            let is_cleared = state.row.cleared_at.is_some();
            let is_later = match is_cleared {
                true => until < Some(occurred_at),
                false => until <= Some(occurred_at),
            };
            if is_other_direction || !is_later {
                continue;
            }
            if !is_cleared {
                self.cleared_count += 1;
                error.lose_record(occurred_at);
            }
            state.row.cleared_at = Some(occurred_at);
            state.is_changed = true;
        }
    }
}

impl Ledger {
    /// The latest outcome of a record that is known.
    pub(super) fn known_until(&self, row: &affected_records::Model) -> Option<Micros> {
        let told = [Some(row.last_seen_at), row.cleared_at]
            .into_iter()
            .flatten();
        told.filter(|at| *at <= self.latest).max()
    }

    /// When a failure happened in one of its causes: one without an instant after all that is known of its record.
    pub(super) fn instant(&self, checked: &CheckedFailure, cause: &Cause, now: Micros) -> Micros {
        if let Some(at) = checked.occurred_at {
            return at;
        }
        let error = self.error_with(cause.signature);
        let error = error.map(|place| self.errors[place].row.id);
        let failure = &checked.failure;
        let (hubspot, salesforce) = (&failure.hubspot_record, &failure.salesforce_record);
        let places = self.named_by(hubspot.as_ref(), salesforce.as_ref());
        let rows = places.iter().map(|place| &self.records[*place].row);
        let rows = rows.filter(|row| Some(row.error_id) == error);
        let known = rows.filter_map(|row| self.known_until(row)).max();
        known.map_or(now, |known| now.max(known + 1))
    }

    /// The rows that name either half of what succeeded.
    pub(super) fn named_by(
        &self,
        hubspot: Option<&Record>,
        salesforce: Option<&Record>,
    ) -> Vec<usize> {
        let mut places = Vec::new();
        for (system, record) in [(System::Hubspot, hubspot), (System::Salesforce, salesforce)] {
            let Some(record) = record else { continue };
            let Some(id) = &record.record_id else {
                continue;
            };
            let found = self
                .by_half
                .get(&(system, id.clone()))
                .into_iter()
                .flatten()
                .copied();
            places.extend(found.filter(|place| {
                let state = &self.records[*place];
                !state.is_absorbed && is_same_type(system, &state.row, record)
            }));
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// HubSpot ids are unique per object type only; a type that was not told fits all.
fn is_same_type(system: System, row: &affected_records::Model, record: &Record) -> bool {
    let known = match system {
        System::Hubspot => &row.hubspot_object_type,
        System::Salesforce => return true,
    };
    known.is_none() || record.object_type.is_none() || *known == record.object_type
}
