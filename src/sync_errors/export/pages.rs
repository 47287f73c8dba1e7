//! The rows of an export, read page by page: of a million as much is in memory as of a thousand, and no connection waits
//! for a client.
//!
//! Errors are read in the order of their keys, which never change, and their records too: what changes meanwhile is told
//! once, as it is when it is read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sea_orm::sea_query::SelectStatement;
use uuid::Uuid;

use crate::classify::Details;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::db::{Db, Snapshot};
use crate::kernel::error::Result;
use crate::portals;
use crate::sync_errors::report::StoredFailure;
use crate::sync_errors::tables::{affected_records, record_views, sync_errors};
use crate::sync_errors::{list, records, views};

/// Errors that are read at once.
const ERRORS: u64 = 50;
/// Records of each of them that are read with them.
const FIRST_RECORDS: usize = 10;
/// Records of one error that are read at once behind those.
const RECORDS: u64 = 500;

/// A row: an error with one of its records, or without where it has none.
pub(super) struct Row {
    pub(super) error: Arc<ExportedError>,
    pub(super) record: Option<affected_records::Model>,
}

/// An error of an export.
pub(super) struct ExportedError {
    pub(super) row: sync_errors::Model,
    pub(super) details: Details,
    /// Read only where it is wanted.
    pub(super) latest_failure: Option<StoredFailure>,
}

/// An error whose records are to be told from here on.
struct Open {
    error: Arc<ExportedError>,
    ready: Vec<affected_records::Model>,
    has_more: bool,
    /// Whether none of it was told yet.
    is_new: bool,
}

/// What is left of an export.
pub(super) struct Pages {
    db: Db,
    scope: Scope<Read>,
    /// The feed of the portal that the export began with: one that was forgotten meanwhile is cut off.
    epoch: i64,
    errors: SelectStatement,
    /// Only what this view shows, and no error without a record.
    view: Option<record_views::Model>,
    with_failures: bool,
    /// The last error that was read; absent before the first.
    after: Option<Uuid>,
    open: VecDeque<Open>,
}

impl Pages {
    pub(super) fn new(
        db: Db,
        (scope, epoch): (Scope<Read>, i64),
        (errors, view): (SelectStatement, Option<record_views::Model>),
        with_failures: bool,
    ) -> Self {
        Self {
            db,
            scope,
            epoch,
            errors,
            view,
            with_failures,
            after: None,
            open: VecDeque::new(),
        }
    }

    /// The next rows; none behind the last ones.
    pub(super) async fn next(&mut self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        while rows.is_empty() {
            if self.open.is_empty() && !self.read_errors().await? {
                break;
            }
            while let Some(mut open) = self.open.pop_front() {
                let last = open.ready.last().map(|record| record.id);
                self.tell(&mut open, &mut rows);
                if open.has_more {
                    self.read_on(&mut open, last).await?;
                    self.open.push_front(open);
                    break;
                }
            }
        }
        Ok(rows)
    }

    fn tell(&self, open: &mut Open, rows: &mut Vec<Row>) {
        let records = std::mem::take(&mut open.ready).into_iter();
        let shown = |record: &affected_records::Model| {
            let view = self.view.as_ref();
            view.is_none_or(|view| views::shows(view, record))
        };
        let row = |record| Row {
            error: open.error.clone(),
            record,
        };
        if open.is_new && records.len() == 0 && self.view.is_none() {
            rows.push(row(None));
        }
        rows.extend(records.filter(shown).map(|record| row(Some(record))));
        open.is_new = false;
    }

    /// Reads the next errors with their first records; answers whether there were any.
    async fn read_errors(&mut self) -> Result<bool> {
        let snapshot = self.db.snapshot().of_portal(self.scope.hub_id());
        self.check_portal(&snapshot).await?;
        let wanted = (self.after, ERRORS);
        let errors = list::in_order(&snapshot, self.errors.clone(), wanted).await?;
        let Some(last) = errors.last() else {
            return Ok(false);
        };
        self.after = Some(last.id);
        let ids: Vec<Uuid> = errors.iter().map(|error| error.id).collect();
        let mut ready: HashMap<Uuid, Vec<affected_records::Model>> = HashMap::new();
        let count = FIRST_RECORDS + 1;
        for record in records::first_of_each(&snapshot, &self.scope, &ids, count).await? {
            ready.entry(record.error_id).or_default().push(record);
        }
        let mut failures: HashMap<Uuid, String> = match self.with_failures {
            true => {
                let failures = records::latest_failures(&snapshot, &self.scope, &ids).await?;
                failures.into_iter().collect()
            }
            false => HashMap::new(),
        };
        self.open.extend(errors.into_iter().map(|row| {
            let mut ready = ready.remove(&row.id).unwrap_or_default();
            ready.sort_unstable_by_key(|record| record.id);
            let has_more = ready.len() > FIRST_RECORDS;
            ready.truncate(FIRST_RECORDS);
            let failure = failures.remove(&row.id);
            let latest_failure = failure.and_then(|text| serde_json::from_str(&text).ok());
            let details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
            Open {
                error: Arc::new(ExportedError {
                    row,
                    details,
                    latest_failure,
                }),
                ready,
                has_more,
                is_new: true,
            }
        }));
        Ok(true)
    }

    async fn check_portal(&self, snapshot: &Snapshot) -> Result<()> {
        match portals::epoch(snapshot, &self.scope).await? {
            Some(epoch) if epoch == self.epoch => Ok(()),
            _ => Err(portals::unknown_portal()),
        }
    }

    async fn read_on(&self, open: &mut Open, last: Option<Uuid>) -> Result<()> {
        let snapshot = self.db.snapshot().of_portal(self.scope.hub_id());
        self.check_portal(&snapshot).await?;
        let of = (open.error.row.id, None);
        open.ready = records::of(&snapshot, &self.scope, of, (last, RECORDS)).await?;
        open.has_more = open.ready.len() as u64 == RECORDS;
        Ok(())
    }
}
