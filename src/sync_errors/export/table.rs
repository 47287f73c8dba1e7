//! Rows as the cells of a table.

use std::sync::Arc;

use chrono_tz::Tz;
use uuid::Uuid;

use super::columns::{COLUMNS, Cell, Column, ErrorFacts, Of};
use super::pages::{ExportedError, Row};
use crate::classify::RelatedRecord;
use crate::kernel::auth::{Read, Scope};
use crate::portals::{Locale, PortalRow};
use crate::sync_errors::api::{AffectedRecord, Links, RecordRef};

/// The table of a portal in one language.
pub(super) struct Table {
    pub(super) portal: Arc<PortalRow>,
    scope: Scope<Read>,
    links: Arc<Links>,
    pub(super) locale: Locale,
    /// The cells of the error that the last row was about: rows of one error come together.
    known: Option<(Uuid, Vec<Cell>)>,
}

impl Table {
    pub(super) fn new(portal: Arc<PortalRow>, scope: Scope<Read>, locale: Locale) -> Self {
        Self {
            links: Arc::new(Links::of(&portal)),
            portal,
            scope,
            locale,
            known: None,
        }
    }

    pub(super) fn headings(&self) -> impl Iterator<Item = &'static str> {
        let place = match self.locale {
            Locale::En => 0,
            Locale::De => 1,
        };
        COLUMNS.iter().map(move |column| column.heading[place])
    }

    /// The headings, where instants are shown in a time zone.
    pub(super) fn headings_in(&self, zone: Tz) -> Vec<String> {
        let headings = self.headings().zip(COLUMNS);
        let heading = |(heading, column): (&str, &Column)| match column.is_instant {
            true => format!("{heading} ({zone})"),
            false => heading.to_owned(),
        };
        headings.map(heading).collect()
    }

    /// The cells of a row, one for each heading.
    pub(super) fn cells(&mut self, row: Row) -> Vec<Cell> {
        let mut cells = self.cells_of(&row.error);
        let Some(record) = row.record else {
            return cells;
        };
        let links = self.links.clone();
        let record = AffectedRecord::new(self.scope.clone(), Arc::new(record), links, None);
        for (cell, column) in cells.iter_mut().zip(COLUMNS) {
            match column.cell {
                Of::Error(_) => {}
                Of::Record(of_record) => *cell = of_record(&record),
                Of::Message => *cell = Cell::Text(record.row().message.clone()),
            }
        }
        cells
    }

    fn cells_of(&mut self, error: &ExportedError) -> Vec<Cell> {
        if let Some((id, cells)) = &self.known
            && *id == error.row.id
        {
            return cells.clone();
        }
        let facts = ErrorFacts { error, table: self };
        let cell = |column: &Column| match column.cell {
            Of::Error(of_error) => of_error(&facts),
            Of::Record(_) => Cell::Empty,
            Of::Message => Cell::Text(error.row.message.clone()),
        };
        let cells: Vec<Cell> = COLUMNS.iter().map(cell).collect();
        self.known = Some((error.row.id, cells.clone()));
        cells
    }

    /// A record as clients see it, with its page.
    pub(super) fn shown(&self, record: &RelatedRecord) -> RecordRef {
        RecordRef::of_related(record.clone(), &self.links)
    }
}
