//! A CSV as Salesforce's tools and others write it: comma, semicolon, tab and the Bulk API's other delimiters, UTF-8,
//! UTF-16 (by its mark) or Windows-1252, line feeds inside of quotes. It is read row by row; a quotation mark that is
//! missing stops the reading instead of swallowing what follows.

use std::cell::Cell;
use std::io::{self, BufRead, Cursor, Read};
use std::rc::Rc;

use encoding_rs::WINDOWS_1252;
use serde_json::{Map, Value, json};
use sync_health::kernel::limits;

use super::arguments::Arguments;

/// What the Bulk API calls COMMA, SEMICOLON, TAB, PIPE, CARET and BACKQUOTE
/// (<https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/create_job.htm>).
const DELIMITERS: [u8; 6] = *b",;\t|^`";
/// What the reader of rows reads ahead.
const READ_AHEAD: u64 = 64 * 1024;

/// A row, and where it begins.
pub struct Row {
    pub line: u64,
    /// None where it tells no error.
    pub keys: Option<Map<String, Value>>,
}

/// The rows of a table.
pub struct Table<R: Read> {
    reader: csv::Reader<Guard<io::Chain<Cursor<Vec<u8>>, R>>>,
    watch: Rc<Watch>,
    columns: Vec<(usize, String)>,
    record: csv::ByteRecord,
}

/// What has been read so far, and how much may be.
#[derive(Default)]
struct Watch {
    read: Cell<u64>,
    may_read: Cell<u64>,
    quotes: Cell<u64>,
    is_at_end: Cell<bool>,
}

/// Stops where a row becomes too long.
struct Guard<R> {
    inner: R,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let watch = &self.watch;
        if watch.read.get() > watch.may_read.get() {
            return Err(io::Error::other("a row without an end"));
        }
        let count = self.inner.read(buffer)?;
        let quotes = buffer[..count].iter().filter(|byte| **byte == b'"').count();
        watch.read.set(watch.read.get() + count as u64);
        watch.quotes.set(watch.quotes.get() + quotes as u64);
        watch.is_at_end.set(count == 0);
        Ok(count)
    }
}

impl<R: BufRead> Table<R> {
    /// Reads the headers, and finds out by them what separates the columns.
    pub fn open(mut reader: R, options: &Arguments) -> Result<Self, String> {
        let mut first = Vec::new();
        let most = limits::NDJSON_LINE_BYTES.value as u64;
        let line = reader.by_ref().take(most).read_until(b'\n', &mut first);
        line.map_err(|error| error.to_string())?;
        let delimiter = match options.delimiter {
            Some(delimiter) => delimiter as u8,
            None => delimiter_of(&first, options),
        };
        let headers = headers_of(&first, delimiter);
        let columns = columns(&headers, options)?;
        let watch = Rc::new(Watch::default());
        watch.may_read.set(2 * most);
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(READ_AHEAD as usize)
            .from_reader(Guard {
                inner: Cursor::new(first).chain(reader),
                watch: watch.clone(),
            });
        reader.byte_headers().map_err(|error| error.to_string())?;
        Ok(Self {
            reader,
            watch,
            columns,
            record: csv::ByteRecord::new(),
        })
    }

    /// The next row.
    pub fn next(&mut self) -> Result<Option<Row>, String> {
        let limit = limits::NDJSON_LINE_BYTES;
        let begins = self.reader.position().clone();
        let most = begins.byte() + limit.value as u64 + READ_AHEAD;
        self.watch.may_read.set(most);
        let found = self.reader.read_byte_record(&mut self.record);
        let line = self
            .record
            .position()
            .map_or(begins.line(), csv::Position::line);
        let unended = |line: u64| {
            format!(
                "line {line}: the row that begins here never ends: is a quotation mark missing? Nothing behind it was read"
            )
        };
        match found {
            Ok(false) => return Ok(None),
            Ok(true) if self.watch.is_at_end.get() && self.watch.quotes.get() % 2 == 1 => {
                return Err(unended(line));
            }
            Ok(true) => {}
            Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => {
                return Err(match self.watch.read.get() > most {
                    true => unended(begins.line()),
                    false => error.to_string(),
                });
            }
            Err(error) => return Err(format!("line {line}: {error}")),
        }
        let keys = self.keys();
        let tells = ["message", "code", "raw"];
        let is_failure = tells.iter().any(|key| keys.contains_key(*key));
        Ok(Some(Row {
            line,
            keys: is_failure.then_some(keys),
        }))
    }

    fn keys(&self) -> Map<String, Value> {
        let mut keys = Map::new();
        for (place, key) in &self.columns {
            let text = text_of(self.record.get(*place).unwrap_or_default());
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            match key.split_once('.') {
                None if key == "fields" => {
                    let fields = text.split([',', ';']).map(str::trim);
                    let fields = fields.filter(|field| !field.is_empty());
                    keys.insert(key.clone(), fields.collect());
                }
                None => {
                    keys.insert(key.clone(), json!(text));
                }
                Some((outer, inner)) => {
                    let object = keys.entry(outer).or_insert_with(|| json!({}));
                    object[inner] = json!(text);
                }
            }
        }
        keys
    }
}

/// A cell in UTF-8, else as Windows writes it: Data Loader uses the system's encoding unless it is told otherwise.
fn text_of(cell: &[u8]) -> String {
    match std::str::from_utf8(cell) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252
            .decode_without_bom_handling(cell)
            .0
            .into_owned(),
    }
}

fn headers_of(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .from_reader(line);
    let mut record = csv::ByteRecord::new();
    let is_read = reader.read_byte_record(&mut record);
    match is_read {
        Ok(true) => record
            .iter()
            .map(|cell| text_of(cell).trim().to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

/// What separates the headers so that those that are needed are among them; else so that they are the most.
fn delimiter_of(line: &[u8], options: &Arguments) -> u8 {
    let fits = |delimiter: &u8| {
        let headers = headers_of(line, *delimiter);
        (columns(&headers, options).is_ok(), headers.len())
    };
    // Of several that fit alike the last is taken: the comma shall win.
    let best = DELIMITERS.into_iter().rev().max_by_key(fits);
    best.unwrap_or(b',')
}

/// Which column goes where: as Salesforce's tools name them, and as asked for.
fn columns(headers: &[String], options: &Arguments) -> Result<Vec<(usize, String)>, String> {
    let place = |name: &str| {
        headers
            .iter()
            .position(|header| header.eq_ignore_ascii_case(name))
    };
    let listed = || headers.join(", ");
    let needed = |name: &str| {
        place(name).ok_or_else(|| format!("the file has no column {name}; it has: {}", listed()))
    };
    let mut asked = Vec::new();
    for pair in &options.map {
        let (column, key) = pair
            .rsplit_once('=')
            .ok_or_else(|| format!("{pair} is not column=key"))?;
        if !KEYS.contains(&key) {
            return Err(format!("{key} is none of the keys: {}", KEYS.join(", ")));
        }
        asked.push((needed(column)?, key.to_owned()));
    }
    if let Some(column) = &options.record_id_column {
        asked.push((needed(column)?, "hubspotRecord.recordId".to_owned()));
    }
    let tools = match (place("sf__Error"), place("ERROR")) {
        (Some(error), _) => [
            Some((error, "message")),
            place("sf__Id").map(|id| (id, RECORD)),
        ],
        (None, Some(error)) => [Some((error, "message")), place("ID").map(|id| (id, RECORD))],
        (None, None) => [None, None],
    };
    for (place, key) in tools.into_iter().flatten() {
        let is_asked = asked
            .iter()
            .any(|(other, asked)| *other == place || asked == key);
        if !is_asked {
            asked.push((place, key.to_owned()));
        }
    }
    match asked
        .iter()
        .any(|(_, key)| ["message", "code", "raw"].contains(&key.as_str()))
    {
        true => Ok(asked),
        false => Err(format!(
            "no column holds the error: neither sf__Error (Bulk API) nor ERROR (Data Loader) is there; say which does by --map COLUMN=message. The columns are: {}",
            listed()
        )),
    }
}

const RECORD: &str = "salesforceRecord.recordId";

/// What a column can be.
const KEYS: &[&str] = &[
    "reportId",
    "occurredAt",
    "direction",
    "system",
    "code",
    "message",
    "fields",
    "raw",
    "value",
    "category",
    "hubspotProperty",
    "salesforceField",
    "hubspotRecord.objectType",
    "hubspotRecord.recordId",
    "hubspotRecord.name",
    "salesforceRecord.objectType",
    "salesforceRecord.recordId",
    "salesforceRecord.name",
];
