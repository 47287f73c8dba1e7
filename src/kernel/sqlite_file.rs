//! Whether the file of an SQLite database is still the one that was opened: what is written into a file that was replaced
//! or removed is seen by nobody.

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

/// Device and inode of a file that is there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

impl SqliteFile {
    /// The file at a path, where there is one.
    pub fn at(path: PathBuf) -> Option<Self> {
        let identity = identity(&path)?;
        Some(Self { path, identity })
    }

    /// UNAVAILABLE when the path leads to another file by now, or to none.
    pub fn check(&self) -> Result<()> {
        let happened = match identity(&self.path) {
            Some(identity) if identity == self.identity => return Ok(()),
            Some(_) => "replaced",
            None => "removed",
        };
        Err(Error::Unavailable(format!(
            "The file of the database was {happened} while the server had it open. Nothing can be written until the server is started again."
        )))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
