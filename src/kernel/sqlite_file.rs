//! Whether the file of an SQLite database is still the one that was opened: what is written into a file that was replaced
//! or removed is seen by nobody.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::kernel::error::{Error, Result};

/// The file as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Device and inode of a file; none where there is none.
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match std::fs::metadata(path) {
        Ok(about) => Ok(Some((about.dev(), about.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file of the database is not the one any more that was opened; `what` names it and what happened to it.
pub fn taken_away(what: &str) -> Error {
    Error::Unavailable(format!(
        "The {what} while the server had it open. Nothing can be written until it is back in its place, or the server is started again."
    ))
}

impl SqliteFile {
    /// The file at a path, where there is one.
    pub fn at(path: PathBuf) -> Option<Self> {
        let identity = identity(&path).ok()??;
        Some(Self { path, identity })
    }

    /// UNAVAILABLE when the path leads to another file by now, or to none.
    pub fn check(&self) -> Result<()> {
        match identity(&self.path) {
            Ok(Some(identity)) if identity == self.identity => Ok(()),
            Ok(Some(_)) => Err(taken_away("file of the database was replaced")),
            Ok(None) => Err(taken_away("file of the database was removed")),
            Err(error) => Err(Error::Unavailable(format!(
                "The file of the database cannot be looked at: {}. Nothing can be written until it can.",
                error.kind()
            ))),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
