//! `sync-health import`: old failures come in, from NDJSON or from the CSV files that Salesforce's tools leave behind.
//!
//! A file of any length takes as little memory as a thousand lines. A failure that does not say when it happened has
//! happened when the file was written, so that a second run of the same file changes nothing.

mod groups;
mod rows;
mod sink;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use sync_health::kernel::scalars::enum_name;
use sync_health::sync_errors::report::input::SyncFailureInput;
use sync_health::sync_errors::report::{CheckedFailure, check_failure};

use crate::cli::Import;
use crate::{explain, show};
use groups::Groups;
use rows::Rows;
use sink::Sink;

/// Failures that are committed together.
const BATCH: usize = 1_000;

/// A failure as it goes on, and as it was checked.
type Failure = (Value, CheckedFailure);

/// What has become of a file.
#[derive(Default)]
struct Summary {
    by_type: BTreeMap<&'static str, u64>,
    recorded: u64,
    repeated: u64,
    refused: u64,
}

/// Imports a file, or shows what that would do.
pub async fn run(options: Import) -> Result<(), String> {
    let path = options.file.display().to_string();
    let file = File::open(&options.file).map_err(|error| format!("cannot read {path}: {error}"))?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    let written = about.modified().map_err(|error| error.to_string())?;
    let written_at = chrono::DateTime::<chrono::Utc>::from(written);
    let bar = progress(about.len());
    let reader = BufReader::new(bar.wrap_read(file));
    let mut rows = Rows::open(reader, &options, written_at)?;
    let mut sink = match options.dry_run {
        true => None,
        false => Some(Sink::open(&options).await?),
    };
    let (mut summary, mut groups) = (Summary::default(), Groups::default());
    let mut batch = Vec::with_capacity(BATCH);
    while let Some((number, row)) = rows.next()? {
        match row.and_then(checked) {
            Ok((value, checked)) => {
                for cause in &checked.causes {
                    *summary
                        .by_type
                        .entry(enum_name(cause.error_type))
                        .or_default() += 1;
                }
                match &sink {
                    Some(_) => batch.push((number, (value, checked))),
                    None => groups.add(&checked),
                }
            }
            Err(why) => {
                summary.refused += 1;
                bar.suspend(|| eprintln!("line {number}: {why}"));
            }
        }
        if batch.len() == BATCH {
            commit(&mut sink, &mut batch, (&mut summary, &bar)).await?;
        }
    }
    commit(&mut sink, &mut batch, (&mut summary, &bar)).await?;
    if let Some(sink) = sink {
        sink.close().await?;
    }
    bar.finish_and_clear();
    show(&groups.words());
    show(&summary.words(options.dry_run));
    Ok(())
}

async fn commit(
    sink: &mut Option<Sink>,
    batch: &mut Vec<(u64, Failure)>,
    (summary, bar): (&mut Summary, &ProgressBar),
) -> Result<(), String> {
    let batch = std::mem::take(batch);
    if let Some(sink) = sink.as_mut().filter(|_| !batch.is_empty()) {
        let numbers: Vec<u64> = batch.iter().map(|(number, _)| *number).collect();
        let batch = batch.into_iter().map(|(_, failure)| failure).collect();
        let taken = sink.take(batch).await?;
        summary.recorded += taken.recorded;
        summary.repeated += taken.repeated;
        summary.refused += taken.refused.len() as u64;
        for (place, why) in taken.refused {
            let number = numbers.get(place).copied().unwrap_or_default();
            bar.suspend(|| eprintln!("line {number}: {why}"));
        }
    }
    Ok(())
}

/// The failure as it goes on, and as it was checked; why not, in words.
fn checked(value: Value) -> Result<Failure, String> {
    let input: SyncFailureInput =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let now = chrono::Utc::now().timestamp_micros();
    let checked = check_failure(input, now).map_err(|errors| explain::reasons(&errors))?;
    Ok((value, checked))
}

fn progress(bytes: u64) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Summary {
    fn words(&self, is_dry: bool) -> String {
        let by_type = self.by_type.iter();
        let lines = by_type.map(|(error_type, count)| format!("{count:>10}  {error_type}\n"));
        let mut words: String = lines.collect();
        let refused = self.refused;
        words.push_str(&match is_dry {
            true => format!("nothing was written; {refused} lines would be refused\n"),
            false => format!(
                "{} recorded, {} known before, {refused} lines refused\n",
                self.recorded, self.repeated
            ),
        });
        words
    }
}
