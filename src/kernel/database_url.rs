//! The address of a database: which forms are taken, and in words why a database cannot be opened. A password is never
//! told.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions, Connection};

use crate::kernel::db::postgres_options;
use crate::kernel::error::{Error, Result};
use crate::kernel::private_file;

/// The forms that are taken.
const FORMS: &str = "--database-url is sqlite://PATH, for example sqlite://sync-health.db, or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
/// How long PostgreSQL may take to answer at the start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// What an SQLite database begins with (<https://www.sqlite.org/fileformat.html#magic_header_string>).
const SQLITE_HEADER: &[u8] = b"SQLite format 3\0";

/// The file of an address of SQLite.
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") {
        return None;
    }
    let options = SqliteConnectOptions::from_str(url).ok()?;
    Some(options.get_filename().to_path_buf())
}

/// An address as it may be shown.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    match rest.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split_once(':').map_or(who, |(user, _)| user);
            format!("{scheme}://{user}@{place}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

/// Tries a database out and answers its address in the form that drivers take; else why it cannot be opened.
pub async fn tried(url: &str) -> Result<String> {
    let said = if url.starts_with("sqlite:") {
        try_sqlite(url).map(|()| url.to_owned())
    } else {
        let rest = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        match rest {
            Some(rest) => try_postgres(&format!("postgres://{rest}")).await,
            None => Err(FORMS.to_owned()),
        }
    };
    said.map_err(Error::Internal)
}

fn try_sqlite(url: &str) -> std::result::Result<(), String> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| FORMS.to_owned())?;
    let is_in_memory = url.contains(":memory:") || url.contains("mode=memory");
    if is_in_memory || options.get_filename().as_os_str().is_empty() {
        return Err(FORMS.to_owned());
    }
    try_file(options.get_filename())
}

/// Why a file cannot be opened as an SQLite database; one that is missing can be made in its folder.
pub fn try_file(path: &Path) -> std::result::Result<(), String> {
    let refused = |why: &str| {
        Err(format!(
            "cannot open the database {}: {why}",
            path.display()
        ))
    };
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return try_folder(path),
        Err(error) => return refused(&said(&error)),
    };
    if about.is_dir() {
        return refused("it is a folder");
    }
    // To write is asked first: SQLite opens what it may only read, and fails later.
    let written = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    match written.and_then(|_| is_sqlite(path)) {
        Ok(is_sqlite) if is_sqlite || about.len() == 0 => Ok(()),
        Ok(_) => refused("it is no SQLite database"),
        Err(error) => refused(&said(&error)),
    }
}

/// Makes an SQLite database, empty, where there is none.
pub fn make_file(path: &Path) -> std::result::Result<(), String> {
    // To open one that is there would be more than a look: closing it again lets go of SQLite's locks in this process.
    if path.exists() {
        return Ok(());
    }
    let made = private_file::create_new(path).map(|_| ());
    // Several servers may begin at once.
    let made = made.or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    });
    made.map_err(|error| {
        let why = said(&error);
        format!("cannot make the database {}: {why}", path.display())
    })
}

/// Whether a file begins as SQLite databases do.
pub fn is_sqlite(path: &Path) -> io::Result<bool> {
    let mut header = Vec::new();
    let mut first = std::fs::File::open(path)?.take(SQLITE_HEADER.len() as u64);
    first.read_to_end(&mut header)?;
    Ok(header == SQLITE_HEADER)
}

fn try_folder(path: &Path) -> std::result::Result<(), String> {
    let refused = |why: String| {
        Err(format!(
            "cannot make the database {}: {why}",
            path.display()
        ))
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match std::fs::metadata(folder) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => return refused(format!("{} is no folder", folder.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refused(format!("there is no folder {}", folder.display()));
        }
        Err(error) => return refused(said(&error)),
    }
    // SQLite makes other files beside it too, so this one says whether it may.
    match tempfile::Builder::new()
        .prefix(".sync-health-")
        .tempfile_in(folder)
    {
        Ok(_) => Ok(()),
        Err(error) => refused(said(&error)),
    }
}

/// What the system says, without the number.
fn said(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    };
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

async fn try_postgres(url: &str) -> std::result::Result<String, String> {
    let options = postgres_options(url).map_err(|_| FORMS.to_owned())?;
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let connected = tokio::time::timeout(ANSWER_TIMEOUT, options.connect()).await;
    match connected {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            Ok(url.to_owned())
        }
        Ok(Err(error)) => Err(refusal(&place, &options, error)),
        Err(_) => Err(format!(
            "PostgreSQL at {place} does not answer within {} seconds",
            ANSWER_TIMEOUT.as_secs()
        )),
    }
}

fn refusal(place: &str, options: &PgConnectOptions, error: sqlx::Error) -> String {
    let user = options.get_username();
    match error {
        sqlx::Error::Io(error) => format!("cannot reach PostgreSQL at {place}: {}", said(&error)),
        sqlx::Error::Tls(error) => {
            format!("PostgreSQL at {place} offers no TLS as wanted: {error}")
        }
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("28P01" | "28000") => {
                format!(
                    "PostgreSQL at {place} refuses the user {user}: {}",
                    error.message()
                )
            }
            _ => format!("PostgreSQL at {place}: {}", error.message()),
        },
        sqlx::Error::Protocol(_) => format!("what answers at {place} is no PostgreSQL"),
        error => format!("PostgreSQL at {place}: {error}"),
    }
}
