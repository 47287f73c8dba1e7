//! `sync-health export`: what does not sync, from a database into a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sync_health::classify::Language;
use sync_health::kernel::auth::Scope;
use sync_health::kernel::env::Env;
use sync_health::kernel::private_file;
use sync_health::sync_errors::SyncErrorStatus;
use sync_health::sync_errors::export::{self, ExportFormat, Order, Source};
use sync_health::sync_errors::filter;

use super::Locale;
use super::database::{self, DatabaseUrl};
use super::terminal::{progress, text};

#[derive(Args)]
pub struct Export {
    /// The Hub ID of the portal.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub portal: i64,
    #[command(flatten)]
    pub database: DatabaseUrl,
    /// What kind of file.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
    /// The file, which must not exist; - for standard output. Named after the portal and the day when left out.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Errors in this status; may be given several times. Open and resyncing ones when left out.
    #[arg(long, value_enum)]
    pub status: Vec<Status>,
    /// Only errors that it holds for: JSON of the contract's SyncErrorFilter, for example {"categories":["PICKLISTS"]}.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub filter: String,
    /// The language of headings and texts; the portal's when left out.
    #[arg(long, value_enum)]
    pub locale: Option<Locale>,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table as text.
    Csv,
    /// A workbook.
    Xlsx,
    /// What import takes.
    Ndjson,
}

/// Whether errors still hold records back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Status {
    /// They do.
    Open,
    /// A resync has not ended.
    Resyncing,
    /// They do not.
    Resolved,
}

/// Exports; the file is complete when the command ends well.
pub async fn run(options: Export) -> Result<(), String> {
    let env = database::open_existing(&options.database).await?;
    let written = write(&env, options).await;
    env.db.close().await.map_err(text)?;
    written
}

async fn write(env: &Env, options: Export) -> Result<(), String> {
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
    let export = export::Export::begin(env, scope, order)
        .await
        .map_err(text)?;
    let mut export = export.ok_or_else(|| format!("there is no portal {}", options.portal))?;
    let path = options.output;
    let path = path.unwrap_or_else(|| PathBuf::from(export.file_name(env.clock.now())));
    let mut output = open(&path)?;
    let rows = export.expected_rows();
    let bar = progress(
        rows,
        match rows {
            Some(_) => "{bar:40} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
            None => "{spinner} {human_pos} rows, {per_sec}",
        },
    );
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
