//! `sync-health export`: what does not sync, from a database into a file.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sync_health::classify::Language;
use sync_health::kernel::auth::Scope;
use sync_health::kernel::env::Env;
use sync_health::kernel::private_file;
use sync_health::sync_errors::SyncErrorStatus;
use sync_health::sync_errors::export::{Export, ExportFormat, Order, Source};
use sync_health::sync_errors::filter;

use crate::cli::{self, Format, Locale, Status};
use crate::{operator, text};

/// Exports; the file is complete when the command ends well.
pub async fn run(options: cli::Export) -> Result<(), String> {
    let env = operator::open_existing(&options.database).await?;
    let written = write(&env, options).await;
    env.db.close().await.map_err(text)?;
    written
}

async fn write(env: &Env, options: cli::Export) -> Result<(), String> {
    filter::parse(&options.filter).map_err(|why| format!("--filter: {why}"))?;
    let order = Order {
        source: Source::Errors(statuses(&options.status), options.filter),
        format: match options.format {
            Format::Csv => ExportFormat::Csv,
            Format::Xlsx => ExportFormat::Xlsx,
            Format::Ndjson => ExportFormat::Ndjson,
        },
        locale: options.locale.map(|locale| match locale {
            Locale::En => Language::En,
            Locale::De => Language::De,
        }),
    };
    let scope = Scope::of_operator(options.portal);
    let export = Export::begin(env, scope, order).await.map_err(text)?;
    let mut export = export.ok_or_else(|| format!("there is no portal {}", options.portal))?;
    let path = options.output;
    let path = path.unwrap_or_else(|| PathBuf::from(export.file_name(env.clock.now())));
    let mut output = open(&path)?;
    let bar = progress(export.expected_rows());
    let ended = |error: io::Error| format!("cannot write {}: {error}", path.display());
    if options.format == Format::Xlsx {
        let mut file = export.workbook(|rows| bar.inc(rows)).await.map_err(text)?;
        io::copy(&mut file, &mut output).map_err(ended)?;
    } else {
        while let Some(part) = export.next().await.map_err(text)? {
            output.write_all(&part.bytes).map_err(ended)?;
            bar.inc(part.rows);
        }
    }
    output.flush().map_err(ended)?;
    bar.finish_and_clear();
    eprintln!("{} rows in {}", bar.position(), path.display());
    Ok(())
}

fn statuses(told: &[Status]) -> Vec<SyncErrorStatus> {
    let status = |status: &Status| match status {
        Status::Open => SyncErrorStatus::Open,
        Status::Resyncing => SyncErrorStatus::Resyncing,
        Status::Resolved => SyncErrorStatus::Resolved,
    };
    match told {
        [] => vec![SyncErrorStatus::Open, SyncErrorStatus::Resyncing],
        told => told.iter().map(status).collect(),
    }
}

fn open(path: &Path) -> Result<Box<dyn Write>, String> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file = private_file::create_new(path);
    let file = file.map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    Ok(Box::new(io::BufWriter::new(file)))
}

fn progress(rows: Option<u64>) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(rows, target);
    let style = match rows {
        Some(_) => "{bar:40} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        None => "{spinner} {human_pos} rows, {per_sec}",
    };
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
