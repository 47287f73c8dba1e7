//! `sync-health backup`.

use std::path::PathBuf;

use clap::Args;
use sync_health::kernel::private_file;

use super::database::{DatabaseUrl, open_existing};
use super::terminal::text;

#[derive(Args)]
pub struct Backup {
    /// The copy; it must not exist.
    pub file: PathBuf,
    #[command(flatten)]
    pub database: DatabaseUrl,
}

/// Copies a SQLite database as of one instant.
pub async fn run(options: &Backup) -> Result<(), String> {
    let file = options.file.display().to_string();
    if !options.database.database_url.starts_with("sqlite:") {
        return Err("PostgreSQL has tools of its own: use pg_dump".into());
    }
    if options.file.exists() {
        return Err(format!("{file} exists: name a new file"));
    }
    let env = open_existing(&options.database).await?;
    // SQLite takes an empty file, and leaves to it who may read it.
    private_file::create_new(&options.file)
        .map_err(|error| format!("cannot make {file}: {error}"))?;
    let copied = env.db.copy_to(&file).await.map_err(text);
    if copied.is_err() {
        // Half a copy is none, and stands in the way of the next one.
        let _ = std::fs::remove_file(&options.file);
    }
    copied?;
    env.db.close().await.map_err(text)
}
