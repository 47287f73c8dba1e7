//! The rows of a file as failures with the keys of `SyncFailureInput`.
//!
//! Salesforce's Bulk API leaves `sf__Id`, `sf__Error` and the data's own columns
//! (<https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/get_job_failed_results.htm>), its Data
//! Loader a file with a last column `ERROR`; any other CSV is read by `--map column=key`.

use std::io::{BufRead, Read};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::cli::Import;
use crate::explain::{keys_of, next_line};

/// A row with its number, from 1; why it is none.
type Row = (u64, Result<Value, String>);

/// The rows of a file.
pub struct Rows<R: Read> {
    source: Source<R>,
    defaults: Defaults,
    number: u64,
}

enum Source<R: Read> {
    Ndjson(R),
    Csv {
        reader: csv::Reader<R>,
        /// Which column goes where.
        columns: Vec<(usize, String)>,
    },
}

/// What holds for each row that does not say otherwise.
struct Defaults {
    direction: &'static str,
    occurred_at: String,
    salesforce_object: Option<String>,
    hubspot_object: Option<String>,
}

impl<R: BufRead> Rows<R> {
    /// Finds out what the file is, by its name and its first line.
    pub fn open(reader: R, options: &Import, written_at: DateTime<Utc>) -> Result<Self, String> {
        let is_csv = options
            .file
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let source = match is_csv {
            false => Source::Ndjson(reader),
            true => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
                let headers = reader.headers().map_err(|error| error.to_string())?.clone();
                let headers: Vec<&str> = headers
                    .iter()
                    .map(|name| name.trim_start_matches('\u{feff}'))
                    .collect();
                let columns = columns(&headers, options)?;
                Source::Csv { reader, columns }
            }
        };
        let defaults = Defaults {
            direction: options.direction.name(),
            occurred_at: written_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            salesforce_object: options.object.clone(),
            hubspot_object: options.hubspot_object.clone(),
        };
        Ok(Self {
            source,
            defaults,
            number: 0,
        })
    }

    /// The next row; empty lines of NDJSON are passed over.
    pub fn next(&mut self) -> Result<Option<Row>, String> {
        loop {
            self.number += 1;
            let row = match &mut self.source {
                Source::Ndjson(reader) => match next_line(reader)? {
                    None => return Ok(None),
                    Some(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                    Some(line) => keys_of(&line),
                },
                Source::Csv { reader, columns } => {
                    let mut record = csv::StringRecord::new();
                    match reader.read_record(&mut record) {
                        Ok(false) => return Ok(None),
                        Ok(true) => of_record(&record, columns),
                        Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => {
                            return Err(error.to_string());
                        }
                        Err(error) => Err(error.to_string()),
                    }
                }
            };
            let row = row.map(|keys| self.defaults.complete(keys));
            return Ok(Some((self.number, row)));
        }
    }
}

fn of_record(
    record: &csv::StringRecord,
    columns: &[(usize, String)],
) -> Result<Map<String, Value>, String> {
    let mut keys = Map::new();
    for (place, key) in columns {
        let text = record.get(*place).unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        match key.split_once('.') {
            None if key == "fields" => {
                let fields = text
                    .split([',', ';'])
                    .map(str::trim)
                    .filter(|field| !field.is_empty());
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
    Ok(keys)
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

/// Which column of a CSV goes where: as asked for, else as Salesforce's tools name them.
fn columns(headers: &[&str], options: &Import) -> Result<Vec<(usize, String)>, String> {
    let place = |name: &str| {
        headers
            .iter()
            .position(|header| header.eq_ignore_ascii_case(name))
    };
    let needed = |name: &str| {
        place(name).ok_or_else(|| {
            format!(
                "the file has no column {name}; it has: {}",
                headers.join(", ")
            )
        })
    };
    let mut columns = Vec::new();
    for pair in &options.map {
        let (column, key) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair} is not column=key"))?;
        if !KEYS.contains(&key) {
            return Err(format!("{key} is none of the keys: {}", KEYS.join(", ")));
        }
        columns.push((needed(column)?, key.to_owned()));
    }
    if options.map.is_empty() {
        let (message, id) = match (place("sf__Error"), place("ERROR")) {
            (Some(error), _) => (error, place("sf__Id")),
            (None, Some(error)) => (error, place("ID")),
            (None, None) => {
                let help = "neither sf__Error (Bulk API) nor ERROR (Data Loader) is among the columns: say which is which by --map column=key";
                return Err(format!("{help}; they are: {}", headers.join(", ")));
            }
        };
        columns.push((message, "message".into()));
        columns.extend(id.map(|id| (id, "salesforceRecord.recordId".into())));
    }
    if let Some(column) = &options.record_id_column {
        columns.push((needed(column)?, "hubspotRecord.recordId".into()));
    }
    Ok(columns)
}

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
