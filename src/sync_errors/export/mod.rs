//! Exports: what does not sync, as a file to be taken along. CSV and XLSX are for people, NDJSON is to be imported again.

mod columns;
mod lines;
mod pages;
mod table;
mod text;
mod ticket;
mod workbook;

use std::fs::File;

use async_graphql::Enum;
use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::kernel::auth::{Read, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::portals::{self, Locale, PortalRow};
use crate::sync_errors::api::SyncErrorFilter;
use crate::sync_errors::{SyncErrorStatus, filter, list, views};
use columns::Cell;
use pages::{Pages, Row};
use table::Table;
use workbook::Book;

pub use ticket::{Exports, Ordered};

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExportFormat {
    /// A table as text: UTF-8, separated by commas, instants in UTC. What a spreadsheet would calculate gets an apostrophe
    /// before it.
    Csv,
    /// A workbook for spreadsheets, instants in the portal's time zone. A further sheet begins behind each 1,048,575 rows;
    /// the first 20,000 links can be clicked.
    Xlsx,
    /// One JSON object a line with the keys of `SyncFailureInput`, which can be imported again. Resolved errors are left
    /// out: nothing fails. Without `raw` where a line would pass the limit ndjsonLineBytes.
    Ndjson,
}

/// What an export holds, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whose records.
    pub source: Source,
    /// What kind of file.
    pub format: ExportFormat,
    /// The language of headings and texts; the portal's when absent.
    pub locale: Option<Locale>,
}

/// Whose records an export holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Those of all errors of these statuses (none: of any) that match a filter, in its kept form.
    Errors(Vec<SyncErrorStatus>, String),
    /// Those that a saved view shows.
    View(Uuid),
}

/// A part of a file.
pub struct Part {
    /// Its bytes.
    pub bytes: Bytes,
    /// Rows that it holds.
    pub rows: u64,
}

/// An export on its way.
pub struct Export {
    format: ExportFormat,
    table: Table,
    pages: Pages,
    expected_rows: Option<u64>,
    /// Whether the first line was told.
    is_begun: bool,
}

/// Rows of a workbook on their way to where it is written.
const PAGES_ON_THE_WAY: usize = 2;

impl ExportFormat {
    /// The type of the file (RFC 4180, RFC 6838).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// How the names of its files end.
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Ndjson => "ndjson",
        }
    }
}

/// The name of a file: the portal, and the day there.
pub(super) fn file_name(portal: &PortalRow, format: ExportFormat, now: Micros) -> String {
    let now = DateTime::<Utc>::from_timestamp_micros(now).unwrap_or_default();
    let day = time_zone(portal).from_utc_datetime(&now.naive_utc());
    let (hub_id, day) = (portal.portal.hub_id, day.format("%Y-%m-%d"));
    format!("sync-errors-{hub_id}-{day}.{}", format.extension())
}

fn time_zone(portal: &PortalRow) -> Tz {
    portal.portal.time_zone.parse().unwrap_or(Tz::UTC)
}

/// The records of cards, and a row for each resolved error, which has none.
fn expected(
    portal: &PortalRow,
    statuses: &[SyncErrorStatus],
    filter: &SyncErrorFilter,
) -> Option<u64> {
    let wants = |status: &SyncErrorStatus| statuses.is_empty() || statuses.contains(status);
    let is_counted = list::UNRESOLVED.iter().all(wants) && filter.is_about_categories_only();
    let categories = filter.categories.as_deref().unwrap_or_default();
    let mut count = portal.sum(categories, |card| card.affected_record_count);
    if wants(&SyncErrorStatus::Resolved) {
        count += portal.sum(categories, |card| card.resolved_error_count);
    }
    is_counted.then(|| count.unsigned_abs())
}

impl Export {
    /// Begins an export. `None` when the portal or the view does not exist.
    pub async fn begin(env: &Env, scope: Scope<Read>, order: Order) -> Result<Option<Self>> {
        let snapshot = env.db.snapshot().of_portal(scope.hub_id());
        let Some(portal) = portals::find_in(&snapshot, &scope).await? else {
            return Ok(None);
        };
        let mut expected_rows = None;
        let (errors, view) = match order.source {
            Source::Errors(statuses, filter) => {
                let filter = filter::read(&filter)?;
                expected_rows = expected(&portal, &statuses, &filter);
                (list::matching(&scope, statuses, &filter)?, None)
            }
            Source::View(id) => match views::find(&snapshot, &scope, id).await? {
                Some(view) => (views::errors(&scope, &view)?, Some(view)),
                None => return Ok(None),
            },
        };
        let with_failures = order.format == ExportFormat::Ndjson;
        let locale = order.locale.unwrap_or(portal.portal.locale);
        Ok(Some(Self {
            format: order.format,
            pages: Pages::new(
                env.db.clone(),
                (scope.clone(), portal.head.epoch),
                (errors, view),
                with_failures,
            ),
            table: Table::new(portal, scope, locale),
            expected_rows,
            is_begun: false,
        }))
    }

    /// What its file is called when it is written now.
    pub fn file_name(&self, now: Micros) -> String {
        file_name(&self.table.portal, self.format, now)
    }

    /// How many rows to expect, where the counters of the cards tell.
    pub fn expected_rows(&self) -> Option<u64> {
        self.expected_rows
    }

    /// The next part of a CSV or of NDJSON; `None` behind the last one.
    pub async fn next(&mut self) -> Result<Option<Part>> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        if is_first && self.format == ExportFormat::Csv {
            let bytes = text::first_line(self.table.headings())?.into();
            return Ok(Some(Part { bytes, rows: 0 }));
        }
        let rows = self.pages.next().await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let count = match self.format {
            // Errors without a record have no line.
            ExportFormat::Ndjson => rows.iter().filter(|row| row.record.is_some()).count(),
            _ => rows.len(),
        };
        let bytes = match self.format {
            ExportFormat::Ndjson => lines::lines(rows).await?,
            _ => text::lines(rows.into_iter().map(|row| self.table.cells(row)))?,
        };
        let bytes = bytes.into();
        let rows = count as u64;
        Ok(Some(Part { bytes, rows }))
    }

    /// The whole workbook. Tells how many rows were written each time that some were.
    pub async fn workbook(mut self, mut told: impl FnMut(u64)) -> Result<File> {
        let zone = time_zone(&self.table.portal);
        let (sender, mut pages) = mpsc::channel::<Option<Vec<Vec<Cell>>>>(PAGES_ON_THE_WAY);
        let headings = self.table.headings_in(zone);
        let mut book = Book::new(headings, self.table.locale, zone);
        let written = tokio::task::spawn_blocking(move || {
            while let Some(rows) = pages.blocking_recv() {
                let Some(rows) = rows else {
                    return book.finish();
                };
                rows.into_iter().try_for_each(|row| book.write(row))?;
            }
            // Nobody waits for it any more.
            Err(Error::Internal("an export without its end".into()))
        });
        loop {
            let rows: Vec<Row> = self.pages.next().await?;
            let count = rows.len() as u64;
            let cells = rows.into_iter().map(|row| self.table.cells(row));
            let cells = (count > 0).then(|| cells.collect());
            // It does not listen any more where it could not write: it says why.
            if sender.send(cells).await.is_err() || count == 0 {
                break;
            }
            told(count);
        }
        written.await?
    }
}
