//! CSV (RFC 4180), read right by spreadsheets: UTF-8 with its mark, and nothing that a provider or a user wrote is taken
//! for a formula.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};

use super::columns::Cell;
use crate::kernel::error::{Error, Result};

/// What tells spreadsheets that a file is UTF-8.
const MARK: &str = "\u{feff}";

/// The first line, behind the mark.
pub(super) fn first_line<'a>(headings: impl Iterator<Item = &'a str>) -> Result<Vec<u8>> {
    let mut line = MARK.as_bytes().to_vec();
    let mut writer = writer(&mut line);
    writer.write_record(headings).map_err(failed)?;
    writer
        .flush()
        .map_err(|error| Error::Internal(error.to_string()))?;
    drop(writer);
    Ok(line)
}

/// Further lines.
pub(super) fn lines(rows: impl Iterator<Item = Vec<Cell>>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut writer = writer(&mut lines);
    for row in rows {
        for cell in &row {
            writer.write_field(field(cell).as_bytes()).map_err(failed)?;
        }
        writer.write_record(None::<&[u8]>).map_err(failed)?;
    }
    writer
        .flush()
        .map_err(|error| Error::Internal(error.to_string()))?;
    drop(writer);
    Ok(lines)
}

fn writer(bytes: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(bytes)
}

fn failed(error: csv::Error) -> Error {
    Error::Internal(error.to_string())
}

fn field(cell: &Cell) -> Cow<'_, str> {
    match cell {
        Cell::Empty => Cow::Borrowed(""),
        Cell::Text(text) => harmless(text),
        Cell::Link(url) => Cow::Borrowed(url),
        Cell::Number(number) => Cow::Owned(number.to_string()),
        Cell::Instant(at) => match DateTime::from_timestamp_micros(*at) {
            Some(at) => Cow::Owned(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => Cow::Borrowed(""),
        },
    }
}

/// What spreadsheets would calculate becomes text by an apostrophe
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
///
/// Also inside of a text, behind what a spreadsheet of another country may take for the end of a cell; and behind what
/// spreadsheets trim or do not show.
fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(FORMULAS) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len() + 1);
    for cell in text.split_inclusive(ENDS) {
        if cell
            .trim_start_matches(is_passed_over)
            .starts_with(FORMULAS)
        {
            harmless.push('\'');
        }
        harmless.push_str(cell);
    }
    Cow::Owned(harmless)
}

/// What begins a formula, also as it is written in full width.
const FORMULAS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// What may end a cell.
const ENDS: [char; 4] = [';', '\t', '\r', '\n'];

/// Blanks of all kinds, quotes, and what is not seen: control characters, marks of direction and of byte order.
fn is_passed_over(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '"' | '\'' | '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{FEFF}'
        )
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
}
