//! `sync-health restore`: a copy takes the place of the database, and every feed gets another name, so that cursors from
//! before are refused instead of going on in another history.
//!
//! The old SQLite database stays whole until the copy, checked and on the disk, takes its place by one rename; the files
//! that SQLite keeps beside the old one are folded into it before, for they would be played into the copy.

mod checks;
mod place;

use std::path::{Path, PathBuf};

use clap::Args;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sync_health::kernel::database_url;
use sync_health::upkeep;

use super::database::{self, DatabaseUrl};
use super::terminal::{show, text};
use place::{Place, Staged};

#[derive(Args)]
pub struct Restore {
    /// The copy, as the command backup makes it; left out for PostgreSQL, which pg_restore has restored.
    pub copy: Option<PathBuf>,
    #[command(flatten)]
    pub database: DatabaseUrl,
}

/// Restores a SQLite database from a copy; on PostgreSQL, behind pg_restore, only names the feeds anew.
pub async fn run(options: &Restore) -> Result<(), String> {
    let url = &options.database.database_url;
    match (database_url::sqlite_path(url), &options.copy) {
        (Some(path), Some(copy)) => restore_file(copy, &path).await,
        (Some(_), None) => Err("name the copy that is to take the database's place".into()),
        (None, Some(_)) if url.starts_with("postgres") => Err(
            "PostgreSQL has tools of its own: use pg_restore, then this command without a file"
                .into(),
        ),
        (None, _) => name_feeds(options).await,
    }
}

async fn name_feeds(options: &Restore) -> Result<(), String> {
    let env = database::open_existing(&options.database).await?;
    let count = upkeep::name_feeds_anew(&env.db).await.map_err(text)?;
    env.db.close().await.map_err(text)?;
    told(count);
    Ok(())
}

fn told(count: u64) {
    show(&format!(
        "restored: {count} portals; cursors from before are CURSOR_EXPIRED\n"
    ));
}

async fn restore_file(copy: &Path, path: &Path) -> Result<(), String> {
    let place = Place::of(path)?;
    checks::copy_as_a_file(copy, place.path())?;
    place.refuse_in_use()?;
    let staged = Staged::copy(copy, &place)?;
    let count = prepare(copy, staged.path()).await?;
    staged.sync()?;
    fold(&place).await?;
    place.take(staged)?;
    told(count);
    Ok(())
}

/// Checks what was copied, and names its feeds anew.
async fn prepare(copy: &Path, staged: &Path) -> Result<u64, String> {
    let db = open(staged)
        .await
        .map_err(|error| checks::of(copy, &error))?;
    let checked = checks::contents(&db, copy).await;
    let count = match checked {
        Ok(()) => upkeep::name_feeds(&db).await.map_err(text),
        Err(why) => Err(why),
    };
    let closed = db.close().await.map_err(|error| checks::of(copy, &error));
    let count = count?;
    closed.map(|()| count)
}

/// Folds what stands beside the old database into it, so that it is whole without. One that SQLite cannot read cannot be
/// made whole.
async fn fold(place: &Place) -> Result<(), String> {
    if !place.path().exists() {
        return Ok(());
    }
    match open(place.path()).await {
        Ok(db) => {
            let _ = db.close().await;
            Ok(())
        }
        Err(error) if checks::is_busy(&error) => Err(place.in_use()),
        Err(error) if checks::is_full(&error) => {
            Err(format!("the old database cannot be closed: {error}"))
        }
        Err(_) => Ok(()),
    }
}

/// Opens a file alone and without files beside it: SQLite folds these into it, and refuses where others have it.
async fn open(path: &Path) -> Result<DatabaseConnection, sea_orm::DbErr> {
    use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
    let path = path.to_path_buf();
    let mut options = ConnectOptions::new("sqlite://restored");
    options.sqlx_logging(false).max_connections(1);
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .filename(&path)
            .create_if_missing(false)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Full)
    });
    Database::connect(options).await
}
