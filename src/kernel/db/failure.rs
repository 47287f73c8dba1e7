//! Why a database refused, as far as that decides what a client is told: what passes by itself is worth another try.

use sea_orm::sqlx::{self, sqlite::SqliteError};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It does not answer, or ended the connection.
    Unreachable,
    /// Somebody else holds what is needed.
    Locked,
    /// It has no room, or its disk fails.
    Full,
    /// It takes no writes.
    ReadOnly,
    /// It does not let the server's role do what the server has to.
    Denied,
    /// Its tables are not those of this version.
    Unmigrated,
    /// Another transaction changed the same at the same moment: it goes through when it is tried again.
    Conflict,
    /// A statement took longer than it may.
    Slow,
    /// Anything else: a fault of ours.
    Fault,
}

/// How often something is tried that another transaction came between each time.
pub const ATTEMPTS: u32 = 3;

/// What stands for a statement that PostgreSQL ended because it took too long.
pub(super) const SLOW: &str = "the statement took longer than it may";

/// What stands for a lock that was waited for too long.
const LOCKED: &str = "the lock was not free in time";

/// A statement that does nothing but wait for a lock was slow because of who has it.
pub fn of_waiting(error: DbErr) -> DbErr {
    match of(&error) {
        Failure::Slow => DbErr::Custom(LOCKED.into()),
        _ => error,
    }
}

const UNSYNCED: &str = "the log could not be synced";

/// What stands for a commit that may not be on the disk.
pub(super) fn unsynced(why: &str) -> DbErr {
    DbErr::Custom(format!("{UNSYNCED}: {why}"))
}

/// What stands for a database that does not answer any more.
pub(super) fn silent() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the database does not answer".into()))
}

/// Which kind an error is.
pub fn of(error: &DbErr) -> Failure {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed) => {
            Failure::Unreachable
        }
        DbErr::Custom(text) if text == SLOW => Failure::Slow,
        DbErr::Custom(text) if text == LOCKED => Failure::Locked,
        DbErr::Custom(text) if text.starts_with(UNSYNCED) => Failure::Full,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error)) => of_sqlx(error),
        DbErr::Conn(_) => Failure::Unreachable,
        _ => Failure::Fault,
    }
}

/// Whether this server has closed its connections, because it stops.
pub fn is_closed(error: &DbErr) -> bool {
    matches!(
        error,
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
    )
}

/// Whether PostgreSQL ended a statement: it took too long, or somebody asked for that.
pub(super) fn is_cancelled(error: &DbErr) -> bool {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    matches!(&**error, sqlx::Error::Database(refused) if refused.code().as_deref() == Some("57014"))
}

/// Whether the connection is gone: a statement that nothing depends on may be run on another one.
pub(super) fn is_lost(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    match &**error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(refused) => {
            let code = refused.code().unwrap_or_default();
            matches!(&*code, "57P01" | "57P02" | "57P03" | "57P05") || code.starts_with("08")
        }
        _ => false,
    }
}

fn of_sqlx(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(refused) => {
            let code = refused.code().unwrap_or_default();
            match refused.try_downcast_ref::<SqliteError>() {
                Some(_) => of_sqlite(&code, refused.message()),
                None => of_postgres(&code),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Failure::Unreachable,
        _ => Failure::Fault,
    }
}

/// <https://www.sqlite.org/rescode.html>: the lowest byte of an extended code is its kind.
fn of_sqlite(code: &str, message: &str) -> Failure {
    let kind = code.parse::<i32>().unwrap_or_default() & 0xff;
    match kind {
        5 | 6 => Failure::Locked,
        8 => Failure::ReadOnly,
        7 | 10 | 13 => Failure::Full,
        14 => Failure::Unreachable,
        1 if message.starts_with("no such table") || message.starts_with("no such column") => {
            Failure::Unmigrated
        }
        // What SQLite ended by itself, because its disk was full or failed.
        1 if message.contains("no transaction is active") => Failure::Full,
        _ => Failure::Fault,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_postgres(code: &str) -> Failure {
    match code {
        "40001" | "40P01" => Failure::Conflict,
        "55P03" => Failure::Locked,
        "25006" => Failure::ReadOnly,
        // The last one: a key that is not there yet, while a copy is being restored.
        "42P01" | "42703" | "3F000" | "42P10" => Failure::Unmigrated,
        "42501" => Failure::Denied,
        "58030" | "58P01" => Failure::Full,
        "57014" | "25P03" | "25P04" | "3D000" => Failure::Unreachable,
        // Prepared statements of another session: a pooler came between.
        "26000" | "42P05" => Failure::Unreachable,
        _ => match code.get(..2) {
            Some("08" | "28" | "57") => Failure::Unreachable,
            Some("53") => Failure::Full,
            _ => Failure::Fault,
        },
    }
}
