//! Whether a file is the copy of a database that this version knows.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sync_health::kernel::database_url;

/// Findings that are told.
const MOST_FINDINGS: usize = 5;

/// The name of a file beside a database.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Checks the copy from outside: nothing is opened, so that nothing is made beside it.
pub(super) fn copy_as_a_file(copy: &Path, target: &Path) -> Result<(), String> {
    let name = copy.display();
    let about = std::fs::metadata(copy).map_err(|error| format!("cannot read {name}: {error}"))?;
    if !about.is_file() {
        return Err(format!("{name} is no file"));
    }
    if let Ok(target) = std::fs::metadata(target)
        && (target.dev(), target.ino()) == (about.dev(), about.ino())
    {
        return Err(format!("{name} is the database itself"));
    }
    if about.len() == 0 {
        return Err(format!("{name} is empty"));
    }
    for ending in ["-wal", "-journal"] {
        let log = beside(copy, ending);
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(format!(
                "{} lies beside the copy: it was taken from a database in use, and is not whole without it. Make copies by: sync-health backup",
                log.display()
            ));
        }
    }
    if database_url::is_sqlite(copy).map_err(|error| format!("cannot read {name}: {error}"))? {
        return Ok(());
    }
    Err(format!("{name} is no SQLite database"))
}

/// Checks what a copy holds: a whole database of Sync Health, of this version or one before.
pub(super) async fn contents(db: &DatabaseConnection, copy: &Path) -> Result<(), String> {
    let of = |error: DbErr| of(copy, &error);
    let name = copy.display();
    let found = texts(db, "PRAGMA integrity_check(100)").await.map_err(of)?;
    if found != ["ok"] {
        let some = found.iter().take(MOST_FINDINGS).map(String::as_str);
        let some: Vec<&str> = some.collect();
        return Err(format!("{name} is damaged: {}", some.join("; ")));
    }
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('seaql_migrations', 'feed_heads')";
    if texts(db, sql).await.map_err(of)?.len() < 2 {
        return Err(format!("{name} is no database of Sync Health"));
    }
    let known: HashSet<String> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    let applied = texts(db, "SELECT version FROM seaql_migrations")
        .await
        .map_err(of)?;
    match applied.iter().find(|version| !known.contains(*version)) {
        Some(version) => Err(format!(
            "{name} was made by a newer version, this one does not know {version}: restore it by the version that made it"
        )),
        None => Ok(()),
    }
}

async fn texts(db: &DatabaseConnection, sql: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(DbBackend::Sqlite, sql);
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// What SQLite says of a copy.
pub(super) fn of(copy: &Path, error: &DbErr) -> String {
    let what = match code(error) {
        Some(11) => "is damaged",
        _ => "cannot be read",
    };
    format!("{} {what}: {error}", copy.display())
}

fn code(error: &DbErr) -> Option<i32> {
    let (DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error)) = error else {
        return None;
    };
    let sea_orm::RuntimeErr::SqlxError(error) = error else {
        return None;
    };
    // The lowest byte is the code, the others say more (https://www.sqlite.org/rescode.html).
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether others have the database.
pub(super) fn is_busy(error: &DbErr) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// Whether the disk is full, or does not take what is written.
pub(super) fn is_full(error: &DbErr) -> bool {
    matches!(code(error), Some(10 | 13))
}
