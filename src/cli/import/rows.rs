//! The rows of a file as failures with the keys of `SyncFailureInput`: NDJSON, or a [`Table`]. Salesforce's Bulk API
//! leaves `sf__Id`, `sf__Error` and the data's own columns
//! (<https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/get_job_failed_results.htm>), its Data
//! Loader a file with a last column `ERROR`.

use std::io::{BufRead, BufReader, Read};

use chrono::{DateTime, SecondsFormat, Utc};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::table::{self, Table};
use crate::cli::lines::{keys_of, next_line};

/// A row with the number of its line, from 1.
pub struct Row {
    pub line: u64,
    pub found: Found,
}

/// What a row is.
pub enum Found {
    Failure(Value),
    /// A row of a table that tells no error.
    Success,
    /// Why it is none.
    Refused(String),
}

/// The rows of a file.
pub struct Rows<R: Read> {
    source: Source<Decoded<R>>,
    defaults: Defaults,
}

/// UTF-16 as UTF-8, by its mark; the mark of UTF-8 left out.
type Decoded<R> = BufReader<DecodeReaderBytes<R, Vec<u8>>>;

enum Source<R: Read> {
    Ndjson { reader: R, line: u64 },
    Table(Box<Table<R>>),
}

/// What holds for each row that does not say otherwise.
struct Defaults {
    direction: &'static str,
    occurred_at: String,
    salesforce_object: Option<String>,
    hubspot_object: Option<String>,
}

impl<R: BufRead> Rows<R> {
    /// Finds out what the file is, by its name, else by how it begins.
    pub fn open(
        mut reader: R,
        options: &Arguments,
        written_at: DateTime<Utc>,
    ) -> Result<Self, String> {
        let begins = reader.fill_buf().map_err(|error| error.to_string())?;
        if begins.starts_with(&[0x1f, 0x8b]) || begins.starts_with(b"PK\x03\x04") {
            return Err("the file is compressed: unpack it first".into());
        }
        let decoded = DecodeReaderBytesBuilder::new()
            .bom_override(true)
            .utf8_passthru(true)
            .strip_bom(true)
            .build(reader);
        let mut reader = BufReader::new(decoded);
        let begins = reader.fill_buf().map_err(|error| error.to_string())?;
        let first = begins.iter().find(|byte| !byte.is_ascii_whitespace());
        let end = options.file.extension().and_then(|end| end.to_str());
        let is_table = match end.map(str::to_ascii_lowercase).as_deref() {
            Some("csv" | "tsv") => true,
            Some("ndjson" | "jsonl") => false,
            _ => first.is_some_and(|byte| !b"{[".contains(byte)),
        };
        if !is_table && first == Some(&b'[') {
            return Err(
                "the file is a JSON list: write one object a line, for example by jq -c '.[]'"
                    .into(),
            );
        }
        let source = match is_table {
            true => Source::Table(Box::new(Table::open(reader, options)?)),
            false => Source::Ndjson { reader, line: 0 },
        };
        let defaults = Defaults {
            direction: options.direction.name(),
            occurred_at: written_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            salesforce_object: options.object.clone(),
            hubspot_object: options.hubspot_object.clone(),
        };
        Ok(Self { source, defaults })
    }

    /// The next row; empty lines of NDJSON are passed over.
    pub fn next(&mut self) -> Result<Option<Row>, String> {
        let (line, keys) = match &mut self.source {
            Source::Ndjson { reader, line } => loop {
                *line += 1;
                match next_line(reader)? {
                    None => return Ok(None),
                    Some(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                    Some(text) => break (*line, keys_of(&text)),
                }
            },
            Source::Table(table) => match table.next()? {
                None => return Ok(None),
                Some(table::Row { line, keys: None }) => {
                    let found = Found::Success;
                    return Ok(Some(Row { line, found }));
                }
                Some(table::Row {
                    line,
                    keys: Some(keys),
                }) => (line, Ok(keys)),
            },
        };
        let found = match keys {
            Ok(keys) => Found::Failure(self.defaults.complete(keys)),
            Err(why) => Found::Refused(why),
        };
        Ok(Some(Row { line, found }))
    }
}

impl Defaults {
    fn complete(&self, mut keys: Map<String, Value>) -> Value {
        keys.entry("direction").or_insert(json!(self.direction));
        keys.entry("occurredAt").or_insert(json!(self.occurred_at));
        for (side, object) in [
            ("salesforceRecord", &self.salesforce_object),
            ("hubspotRecord", &self.hubspot_object),
        ] {
            let Some(object) = object else { continue };
            let record = keys.entry(side).or_insert_with(|| json!({}));
            if let Some(record) = record.as_object_mut() {
                record.entry("objectType").or_insert(json!(object));
            }
        }
        Value::Object(keys)
    }
}
