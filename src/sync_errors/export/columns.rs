//! The columns of a table: one list, in the order of the file.

use super::pages::ExportedError;
use super::table::Table;
use crate::classify::{Details, SyncDirection, System, category_title};
use crate::kernel::clock::Micros;
use crate::kernel::scalars::enum_name;
use crate::portals::Locale;
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::{AffectedRecord, RecordRef, advice, error_id, title_of};

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Empty,
    Text(String),
    Number(i64),
    Instant(Micros),
    Link(String),
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        text.clone().into()
    }
}

impl From<Option<i32>> for Cell {
    fn from(number: Option<i32>) -> Self {
        number.map_or(Self::Empty, |number| Self::Number(number.into()))
    }
}

/// An error with what its cells need.
pub(super) struct ErrorFacts<'a> {
    pub(super) error: &'a ExportedError,
    pub(super) table: &'a Table,
}

/// A column: its heading in English and German, and its cell, which is the error's or the record's.
pub(super) struct Column {
    pub(super) heading: [&'static str; 2],
    pub(super) cell: Of,
    pub(super) is_instant: bool,
}

pub(super) enum Of {
    Error(fn(&ErrorFacts<'_>) -> Cell),
    Record(fn(&AffectedRecord) -> Cell),
    /// The record's own text; the error's where there is no record.
    Message,
}

const fn of_error(en: &'static str, de: &'static str, cell: fn(&ErrorFacts<'_>) -> Cell) -> Column {
    Column {
        heading: [en, de],
        cell: Of::Error(cell),
        is_instant: false,
    }
}

const fn of_record(
    en: &'static str,
    de: &'static str,
    cell: fn(&AffectedRecord) -> Cell,
) -> Column {
    Column {
        heading: [en, de],
        cell: Of::Record(cell),
        is_instant: false,
    }
}

const fn instant(column: Column) -> Column {
    Column {
        is_instant: true,
        ..column
    }
}

pub(super) const COLUMNS: &[Column] = &[
    of_error("Category", "Kategorie", |of| {
        Cell::Text(category_title(of.error.row.category, of.table.locale))
    }),
    of_error("Error", "Fehler", |of| {
        Cell::Text(title_of(&of.error.row, of.table.locale))
    }),
    of_error("Error type", "Fehlertyp", |of| {
        Cell::Text(enum_name(of.error.row.error_type).to_owned())
    }),
    of_error("Status", "Status", |of| {
        Cell::Text(status(of.error.row.status, of.table.locale).to_owned())
    }),
    of_error("Refused by", "Abgelehnt von", |of| {
        Cell::Text(name(of.error.row.system).to_owned())
    }),
    of_error("Direction", "Richtung", |of| {
        Cell::Text(direction(of.error.row.direction, of.table.locale).to_owned())
    }),
    of_error("Code", "Code", |of| (&of.error.row.code).into()),
    Column {
        heading: ["Message", "Meldung"],
        cell: Of::Message,
        is_instant: false,
    },
    of_error("Cause", "Ursache", |of| {
        (&of.error.row.cause_message).into()
    }),
    of_record("Rejected value", "Abgelehnter Wert", |record| {
        (&record.row().rejected_value).into()
    }),
    of_record("HubSpot object", "HubSpot-Objekt", |record| {
        (&record.row().hubspot_object_type).into()
    }),
    of_record("HubSpot record ID", "HubSpot-Datensatz-ID", |record| {
        (&record.row().hubspot_record_id).into()
    }),
    of_record("HubSpot record", "HubSpot-Datensatz", |record| {
        (&record.row().hubspot_name).into()
    }),
    of_record("HubSpot link", "HubSpot-Link", |record| {
        link(record, System::Hubspot)
    }),
    of_record("Salesforce object", "Salesforce-Objekt", |record| {
        (&record.row().salesforce_object_type).into()
    }),
    of_record(
        "Salesforce record ID",
        "Salesforce-Datensatz-ID",
        |record| (&record.row().salesforce_record_id).into(),
    ),
    of_record("Salesforce record", "Salesforce-Datensatz", |record| {
        (&record.row().salesforce_name).into()
    }),
    of_record("Salesforce link", "Salesforce-Link", |record| {
        link(record, System::Salesforce)
    }),
    of_error("HubSpot property", "HubSpot-Eigenschaft", |of| {
        of.field(System::Hubspot)
    }),
    of_error("Salesforce field", "Salesforce-Feld", |of| {
        of.field(System::Salesforce)
    }),
    of_error("Maximum length", "Maximale Länge", |of| {
        match of.error.details {
            Details::PropertyValues { max_length, .. } => max_length.into(),
            _ => Cell::Empty,
        }
    }),
    of_error("Expected type", "Erwarteter Typ", |of| {
        match &of.error.details {
            Details::PropertyMappings { expected_type, .. } => expected_type.into(),
            _ => Cell::Empty,
        }
    }),
    of_error("Limit", "Grenze", |of| match of.error.details {
        Details::Picklists { option_limit, .. } => option_limit.into(),
        Details::Associations { limit, .. } => limit.into(),
        _ => Cell::Empty,
    }),
    of_error("Missing access", "Fehlender Zugriff", |of| {
        match of.error.details {
            Details::Permissions { missing_access, .. } => missing_access
                .map(|access| enum_name(access).to_owned())
                .into(),
            _ => Cell::Empty,
        }
    }),
    of_error("Automation", "Automatisierung", |of| {
        match &of.error.details {
            Details::CustomCode { component_name } => component_name.into(),
            _ => Cell::Empty,
        }
    }),
    of_error("Duplicate rule", "Duplikatregel", |of| {
        match &of.error.details {
            Details::Duplicates { duplicate_rule, .. } => duplicate_rule.into(),
            _ => Cell::Empty,
        }
    }),
    of_error("Waits for", "Wartet auf", |of| {
        of.blocking_record().map_or(Cell::Empty, known_by)
    }),
    of_error("Waits for (link)", "Wartet auf (Link)", |of| {
        of.blocking_record().map_or(Cell::Empty, page)
    }),
    of_record("Existing record", "Vorhandener Datensatz", |record| {
        record.existing().map_or(Cell::Empty, known_by)
    }),
    of_record(
        "Existing record (link)",
        "Vorhandener Datensatz (Link)",
        |record| record.existing().map_or(Cell::Empty, page),
    ),
    of_record("Attempts", "Versuche", |record| {
        Cell::Number(record.row().attempt_count.into())
    }),
    instant(of_record(
        "First failed",
        "Zuerst fehlgeschlagen",
        |record| Cell::Instant(record.row().first_seen_at),
    )),
    instant(of_record(
        "Last failed",
        "Zuletzt fehlgeschlagen",
        |record| Cell::Instant(record.row().last_seen_at),
    )),
    instant(of_error("Resolved", "Behoben", |of| {
        of.error.row.resolved_at.map_or(Cell::Empty, Cell::Instant)
    })),
    of_error("What to do", "Was zu tun ist", |of| {
        let ExportedError { row, details, .. } = of.error;
        Cell::Text(advice(&of.table.portal, of.table.locale, row, details))
    }),
    of_error("Error ID", "Fehler-ID", |of| {
        Cell::Text(error_id(of.error.row.hub_id, of.error.row.id).0)
    }),
];

impl ErrorFacts<'_> {
    /// The field on one side; several, where they are meant together.
    fn field(&self, system: System) -> Cell {
        let details = &self.error.details;
        let names = match details.field(system) {
            Some(field) => vec![field.name.clone()],
            None if self.error.row.system == system => details.field_names(system),
            None => Vec::new(),
        };
        Some(names.join(", "))
            .filter(|names| !names.is_empty())
            .into()
    }

    fn blocking_record(&self) -> Option<RecordRef> {
        match &self.error.details {
            Details::Associations {
                blocking_record: Some(record),
                ..
            } => Some(self.table.shown(record)),
            _ => None,
        }
    }
}

fn link(record: &AffectedRecord, system: System) -> Cell {
    let url = record.side(system).and_then(|side| side.url());
    url.map_or(Cell::Empty, |url| Cell::Link(url.0))
}

/// A record as people find it: name and id, or what it is known by.
fn known_by(record: RecordRef) -> Cell {
    let id = match (record.record_id, record.external_id) {
        (Some(id), _) => Some(id.0),
        (None, Some(external)) => Some(format!("{}: {}", external.field, external.value)),
        (None, None) => None,
    };
    match (record.name, id) {
        (Some(name), Some(id)) => Cell::Text(format!("{name} ({id})")),
        (name, id) => name.or(id).into(),
    }
}

fn page(record: RecordRef) -> Cell {
    record.url.map_or(Cell::Empty, |url| Cell::Link(url.0))
}

fn name(system: System) -> &'static str {
    match system {
        System::Hubspot => "HubSpot",
        System::Salesforce => "Salesforce",
    }
}

fn status(status: SyncErrorStatus, locale: Locale) -> &'static str {
    match (status, locale) {
        (SyncErrorStatus::Open, Locale::En) => "Open",
        (SyncErrorStatus::Open, Locale::De) => "Offen",
        (SyncErrorStatus::Resyncing, Locale::En) => "Resyncing",
        (SyncErrorStatus::Resyncing, Locale::De) => "Wird erneut synchronisiert",
        (SyncErrorStatus::Resolved, Locale::En) => "Resolved",
        (SyncErrorStatus::Resolved, Locale::De) => "Behoben",
    }
}

fn direction(direction: SyncDirection, locale: Locale) -> &'static str {
    match (direction, locale) {
        (SyncDirection::HubspotToSalesforce, Locale::En) => "HubSpot to Salesforce",
        (SyncDirection::HubspotToSalesforce, Locale::De) => "HubSpot nach Salesforce",
        (SyncDirection::SalesforceToHubspot, Locale::En) => "Salesforce to HubSpot",
        (SyncDirection::SalesforceToHubspot, Locale::De) => "Salesforce nach HubSpot",
    }
}
