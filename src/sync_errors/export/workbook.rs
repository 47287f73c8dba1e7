//! XLSX, written row by row into temporary files: a row that was written is not in memory any more.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::columns::Cell;
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::error::{Error, Result};
use crate::portals::Locale;

/// What Excel takes on a sheet beside the headings
/// (<https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3>).
pub(super) const SHEET_ROWS: u32 = 1_048_575;
/// Links that can be clicked; further ones are texts. They stay in memory, and Excel takes only 65,530 on a sheet.
const LINKS: u32 = 20_000;
/// How wide columns are, in characters.
const WIDTH: f64 = 24.0;
const DATE_FORMAT: &str = "yyyy-mm-dd hh:mm:ss";

/// Room that has to be left where temporary files are: the writer of workbooks panics where there is none.
const ROOM_BYTES: u64 = 64 * 1024 * 1024;
/// Rows that need less room than that.
const ROWS_PER_LOOK: u32 = 100;

/// UNAVAILABLE where temporary files have no room.
fn refuse_full() -> Result<()> {
    let about = rustix::fs::statvfs(std::env::temp_dir());
    let left = about.map_or(u64::MAX, |about| about.f_bavail * about.f_frsize);
    match left >= ROOM_BYTES {
        true => Ok(()),
        false => Err(no_room()),
    }
}

fn no_room() -> Error {
    tracing::error!(folder = %std::env::temp_dir().display(), "no room for a workbook");
    Error::Unavailable(
        "The server has no room for a workbook at present. Try again later, or take CSV.".into(),
    )
}

fn io(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => no_room(),
        _ => Error::Internal(error.to_string()),
    }
}

/// A workbook on its way.
pub(super) struct Book {
    workbook: Workbook,
    headings: Vec<String>,
    title: &'static str,
    time_zone: Tz,
    date_format: Format,
    sheet_rows: u32,
    /// Sheets so far, and the next row of the last one.
    sheets: u32,
    row: u32,
    links: u32,
}

impl Book {
    /// Instants are shown in `time_zone`, which the headings of their columns name.
    pub(super) fn new(headings: Vec<String>, locale: Locale, time_zone: Tz) -> Self {
        Self {
            workbook: Workbook::new(),
            headings,
            title: match locale {
                Locale::En => "Sync errors",
                Locale::De => "Synchronisationsfehler",
            },
            time_zone,
            date_format: Format::new().set_num_format(DATE_FORMAT),
            sheet_rows: SHEET_ROWS,
            sheets: 0,
            row: 0,
            links: 0,
        }
    }

    /// Writes a row, on a further sheet where the last one is full.
    pub(super) fn write(&mut self, cells: Vec<Cell>) -> Result<()> {
        if self.sheets == 0 || self.row > self.sheet_rows {
            self.begin_sheet().map_err(failed)?;
        }
        if self.row % ROWS_PER_LOOK == 1 {
            refuse_full()?;
        }
        let (row, zone) = (self.row, self.time_zone);
        let links_left = LINKS.saturating_sub(self.links);
        let sheet = self.workbook.worksheet_from_index(self.sheets as usize - 1);
        let sheet = sheet.map_err(failed)?;
        let mut links = 0;
        for (column, cell) in (0..).zip(cells) {
            let is_link = matches!(cell, Cell::Link(_)) && links < links_left;
            links += u32::from(is_link);
            let format = &self.date_format;
            write_cell(sheet, (row, column), cell, (is_link, zone, format)).map_err(failed)?;
        }
        self.links += links;
        self.row += 1;
        Ok(())
    }

    fn begin_sheet(&mut self) -> std::result::Result<(), XlsxError> {
        self.sheets += 1;
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_name(match self.sheets {
            1 => self.title.to_owned(),
            number => format!("{} {number}", self.title),
        })?;
        sheet.set_freeze_panes(1, 0)?;
        let bold = Format::new().set_bold();
        for (column, heading) in (0..).zip(&self.headings) {
            sheet.set_column_width(column, WIDTH)?;
            sheet.write_string_with_format(0, column, heading, &bold)?;
        }
        self.row = 1;
        Ok(())
    }

    /// The whole file, ready to be read from its beginning; it has no name and is gone when it is closed.
    pub(super) fn finish(mut self) -> Result<File> {
        if self.sheets == 0 {
            self.begin_sheet().map_err(failed)?;
        }
        refuse_full()?;
        let file = tempfile::tempfile().map_err(io)?;
        let mut buffered = BufWriter::new(file);
        self.workbook
            .save_to_writer(&mut buffered)
            .map_err(failed)?;
        buffered.flush().map_err(io)?;
        let mut file = buffered
            .into_inner()
            .map_err(|error| io(error.into_error()))?;
        file.rewind().map_err(io)?;
        Ok(file)
    }
}

fn failed(error: XlsxError) -> Error {
    match error {
        XlsxError::IoError(error) => io(error),
        error => Error::Internal(error.to_string()),
    }
}

/// Texts are written as texts: none of them is a formula.
fn write_cell(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    cell: Cell,
    (is_link, zone, date_format): (bool, Tz, &Format),
) -> std::result::Result<(), XlsxError> {
    match cell {
        Cell::Empty => {}
        Cell::Link(url) if is_link => {
            // Excel takes links of 2,079 characters: a longer one is a text.
            if sheet.write_url(row, column, url.as_str()).is_err() {
                sheet.write_string(row, column, url)?;
            }
        }
        Cell::Text(text) | Cell::Link(text) => {
            sheet.write_string(row, column, shortened(text))?;
        }
        Cell::Number(number) => {
            sheet.write_number(row, column, number as f64)?;
        }
        Cell::Instant(at) => {
            let date = ExcelDateTime::from_timestamp(local_seconds(at, zone))?;
            sheet.write_datetime_with_format(row, column, date, date_format)?;
        }
    }
    Ok(())
}

/// What Excel takes in a cell: 32,767 characters, as UTF-16 counts them.
fn shortened(text: String) -> String {
    const CELL_CHARACTERS: usize = 32_767;
    if text.encode_utf16().count() <= CELL_CHARACTERS {
        return text;
    }
    let mut left = CELL_CHARACTERS - 1;
    let fits = |c: &char| {
        let taken = left.checked_sub(c.len_utf16());
        left = taken.unwrap_or_default();
        taken.is_some()
    };
    let beginning: String = text.chars().take_while(fits).collect();
    beginning + "…"
}

/// The clock on the wall of a time zone, as seconds since 1970: a spreadsheet's dates know no zone.
fn local_seconds(at: Micros, zone: Tz) -> i64 {
    let at = DateTime::<Utc>::from_timestamp_micros(at).unwrap_or_default();
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    at.timestamp_micros().div_euclid(SECOND) + i64::from(offset.local_minus_utc())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use calamine::{Reader, Xlsx};

    use super::*;

    /// A further sheet with the same headings begins behind a full one.
    #[test]
    fn sheets() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let mut book = Book::new(vec!["Name".into()], Locale::En, Tz::UTC);
        book.sheet_rows = 2;
        for name in ["a", "b", "c", "d", "e"] {
            let row = book.write(vec![Cell::Text(name.into())]);
            row.map_err(|error| error.answer().message)?;
        }
        let file = book.finish().map_err(|error| error.answer().message)?;
        let mut book: Xlsx<_> = Xlsx::new(BufReader::new(file))?;
        let sheets = ["Sync errors", "Sync errors 2", "Sync errors 3"];
        assert_eq!(book.sheet_names(), sheets);
        for (sheet, cells) in sheets.iter().zip([
            vec!["Name", "a", "b"],
            vec!["Name", "c", "d"],
            vec!["Name", "e"],
        ]) {
            let range = book.worksheet_range(sheet)?;
            let found: Vec<String> = range
                .used_cells()
                .map(|(_, _, cell)| cell.to_string())
                .collect();
            assert_eq!(found, cells);
        }
        Ok(())
    }

    /// Links that can be clicked are limited; further ones are there as texts.
    #[test]
    fn links() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let mut book = Book::new(vec!["Page".into()], Locale::En, Tz::UTC);
        for number in 0..=LINKS {
            let row = book.write(vec![Cell::Link(format!("https://example.com/{number}"))]);
            row.map_err(|error| error.answer().message)?;
        }
        assert_eq!(book.links, LINKS);
        let file = book.finish().map_err(|error| error.answer().message)?;
        let mut book: Xlsx<_> = Xlsx::new(BufReader::new(file))?;
        let range = book.worksheet_range("Sync errors")?;
        let last = range.get_value((LINKS + 1, 0)).map(ToString::to_string);
        assert_eq!(last, Some(format!("https://example.com/{LINKS}")));
        Ok(())
    }

    /// What is too long for a cell is cut, whatever it is written in.
    #[test]
    fn long_texts() {
        for text in ["x".repeat(40_000), "😀".repeat(20_000)] {
            let cut = shortened(text);
            assert!((32_766..=32_767).contains(&cut.encode_utf16().count()) && cut.ends_with('…'));
        }
        assert_eq!(shortened("short".into()), "short");
    }
}
