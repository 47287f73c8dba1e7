//! `sync-health import`: old failures come in, from NDJSON or from the CSV files that Salesforce's tools leave behind.
//!
//! A file of any length takes as little memory as a thousand lines. A failure that does not say when it happened has
//! happened when the file was written, unless the command says otherwise, so that a second run of the same file changes
//! nothing.

mod arguments;
mod groups;
mod rows;
mod sink;
mod table;

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader};

use chrono::{DateTime, Datelike, Utc};
use indicatif::ProgressBar;
use serde_json::Value;
use sync_health::kernel::scalars::enum_name;
use sync_health::sync_errors::report::{CheckedFailure, check_failure};

use super::lines::{input_of, reasons, refused_lines};
use super::terminal::{progress, show};
pub use arguments::Arguments;
use groups::Groups;
use rows::{Found, Row, Rows};
use sink::Sink;

/// Failures that are committed together.
const BATCH: usize = 1_000;
/// Long ones are committed before they are so many: what waits is in memory.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// A failure as it goes on, and as it was checked.
type Failure = (Value, CheckedFailure);

/// What has become of a file.
#[derive(Default)]
struct Summary {
    by_type: BTreeMap<&'static str, u64>,
    recorded: u64,
    repeated: u64,
    refused: u64,
    /// Rows of a table that tell no error.
    passed_over: u64,
}

/// An import under way.
struct Import<'a> {
    sink: Option<Sink>,
    /// Failures that are to be committed, with their lines.
    batch: Vec<(u64, Failure)>,
    /// How long their texts are together.
    batch_bytes: usize,
    summary: Summary,
    groups: Groups,
    bar: &'a ProgressBar,
}

/// Imports a file, or shows what that would do. What was committed before an error is told too.
pub async fn run(options: Arguments) -> Result<(), String> {
    let path = options.file.display().to_string();
    let file = File::open(&options.file).map_err(|error| format!("cannot read {path}: {error}"))?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    let occurred_at = match options.occurred_at {
        Some(at) => at,
        None => time_of(&about)?,
    };
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let bar = progress(Some(about.len()), style);
    let reader = BufReader::new(bar.wrap_read(file));
    let mut rows = Rows::open(reader, &options, occurred_at)?;
    let sink = match options.dry_run {
        true => None,
        false => Some(Sink::open(&options).await?),
    };
    let mut import = Import {
        sink,
        batch: Vec::with_capacity(BATCH),
        batch_bytes: 0,
        summary: Summary::default(),
        groups: Groups::default(),
        bar: &bar,
    };
    let taken = import.take(&mut rows).await;
    let Import {
        sink,
        summary,
        groups,
        ..
    } = import;
    if let Some(sink) = sink {
        sink.close().await?;
    }
    bar.finish_and_clear();
    show(&groups.words());
    show(&summary.words(options.dry_run, options.portal));
    taken?;
    match summary.refused {
        0 => Ok(()),
        refused => Err(refused_lines(refused)),
    }
}

/// When the file was written; not a time that no failure can have.
fn time_of(about: &Metadata) -> Result<DateTime<Utc>, String> {
    let written = about.modified().map_err(|error| error.to_string())?;
    let written_at = DateTime::<Utc>::from(written).min(Utc::now());
    match written_at.year() {
        ..2000 => Err(format!(
            "the file is of {}: say by --occurred-at when the failures happened",
            written_at.date_naive()
        )),
        _ => Ok(written_at),
    }
}

impl Import<'_> {
    async fn take(&mut self, rows: &mut Rows<impl BufRead>) -> Result<(), String> {
        while let Some(Row { line, found }) = rows.next()? {
            let checked = match found {
                Found::Failure(value) => checked(value),
                Found::Refused(why) => Err(why),
                Found::Success => {
                    self.summary.passed_over += 1;
                    continue;
                }
            };
            match checked {
                Ok(failure) => self.add(line, failure),
                Err(why) => self.refuse(line, &why),
            }
            if self.batch.len() == BATCH || self.batch_bytes >= BATCH_BYTES {
                self.commit().await?;
            }
        }
        self.commit().await
    }

    fn add(&mut self, line: u64, failure: Failure) {
        for cause in &failure.1.causes {
            let name = enum_name(cause.error_type);
            *self.summary.by_type.entry(name).or_default() += 1;
        }
        match &self.sink {
            Some(_) => {
                let told = &failure.1.failure;
                let raw = told.raw.as_ref().map_or(0, String::len);
                self.batch_bytes += told.message.len() + raw;
                self.batch.push((line, failure));
            }
            None => self.groups.add(&failure.1),
        }
    }

    fn refuse(&mut self, line: u64, why: &str) {
        self.summary.refused += 1;
        self.bar.suspend(|| eprintln!("line {line}: {why}"));
    }

    async fn commit(&mut self) -> Result<(), String> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let Some(sink) = self.sink.as_mut().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let (lines, batch): (Vec<u64>, Vec<Failure>) = batch.into_iter().unzip();
        let taken = sink.take(batch).await?;
        self.summary.recorded += taken.recorded;
        self.summary.repeated += taken.repeated;
        for (place, why) in taken.refused {
            self.refuse(lines.get(place).copied().unwrap_or_default(), &why);
        }
        Ok(())
    }
}

/// The failure as it goes on, and as it was checked; why not, in words.
fn checked(value: Value) -> Result<Failure, String> {
    let input = input_of(value.clone())?;
    let now = Utc::now().timestamp_micros();
    let checked = check_failure(input, now).map_err(|errors| reasons(&errors))?;
    Ok((value, checked))
}

impl Summary {
    fn words(&self, is_dry: bool, portal: i64) -> String {
        let by_type = self.by_type.iter();
        let lines = by_type.map(|(error_type, count)| format!("{count:>10}  {error_type}\n"));
        let mut words: String = lines.collect();
        let line = |count: u64| if count == 1 { "line" } else { "lines" };
        if self.passed_over > 0 {
            let (count, word) = (self.passed_over, line(self.passed_over));
            words.push_str(&format!("{count} {word} without an error passed over\n"));
        }
        let (refused, word) = (self.refused, line(self.refused));
        words.push_str(&match is_dry {
            true => format!("nothing was written; {refused} {word} would be refused\n"),
            false => format!(
                "portal {portal}: {} recorded, {} known before, {refused} {word} refused\n",
                self.recorded, self.repeated
            ),
        });
        words
    }
}
