//! The arguments of `export`.

use std::path::PathBuf;

use clap::Args;

use super::{Database, Locale};

#[derive(Args)]
pub struct Export {
    /// The Hub ID of the portal.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub portal: i64,
    #[command(flatten)]
    pub database: Database,
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
