//! The place of a database: who has it, and how a copy takes it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use sync_health::kernel::database_url;

use super::checks::beside;

/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Where a database is, or shall be.
pub(super) struct Place {
    path: PathBuf,
    folder: PathBuf,
}

/// A copy beside the database, removed unless it takes its place.
pub(super) struct Staged(tempfile::TempPath);

impl Place {
    /// The place behind a path; what stands there may be no database any more, but has to be a file.
    pub(super) fn of(path: &Path) -> Result<Self, String> {
        // A link stays, and the file that it leads to is replaced.
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(_) => {
                database_url::try_file(path)?;
                path.to_path_buf()
            }
        };
        if path.is_dir() {
            return Err(format!(
                "cannot restore to {}: it is a folder",
                path.display()
            ));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Ok(Self { path, folder })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn cannot(&self, error: &io::Error) -> String {
        format!("cannot restore to {}: {error}", self.path.display())
    }

    pub(super) fn in_use(&self) -> String {
        format!(
            "{} is in use: stop the server, and whatever else has it open",
            self.path.display()
        )
    }

    /// Refuses while another process has the database open.
    pub(super) fn refuse_in_use(&self) -> Result<(), String> {
        self.lock().map(drop)
    }

    /// Locks the database as SQLite's processes do among each other: whoever has it open holds a part of it in WAL mode
    /// the whole time, else while it reads or writes; a process that died holds nothing. Nobody opens it while it is locked.
    fn lock(&self) -> Result<Vec<File>, String> {
        let mut locked = Vec::new();
        for path in [self.path.clone(), beside(&self.path, "-shm")] {
            let file = match OpenOptions::new().read(true).write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.cannot(&error)),
            };
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => locked.push(file),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                    return Err(self.in_use());
                }
                Err(error) => return Err(self.cannot(&error.into())),
            }
        }
        Ok(locked)
    }

    /// Lets a copy take the place.
    pub(super) fn take(&self, staged: Staged) -> Result<(), String> {
        let locked = self.lock()?;
        let cannot = |error: io::Error| self.cannot(&error);
        // Only where SQLite could not fold them into what was here: that is no whole database without them either.
        let mut aside = Vec::new();
        for ending in BESIDE {
            let path = beside(&self.path, ending);
            let away = beside(&self.path, &format!("{ending}.replaced"));
            match std::fs::rename(&path, &away) {
                Ok(()) => aside.push(away),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        if !aside.is_empty() {
            self.sync_folder().map_err(cannot)?;
        }
        staged
            .0
            .persist(&self.path)
            .map_err(|error| cannot(error.error))?;
        self.sync_folder().map_err(cannot)?;
        for path in aside {
            std::fs::remove_file(path).map_err(cannot)?;
        }
        drop(locked);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Staged {
    /// Copies a file to beside the database, with the database's owner and mode.
    pub(super) fn copy(copy: &Path, place: &Place) -> Result<Self, String> {
        let staged = tempfile::Builder::new()
            .prefix(".sync-health-restore-")
            .tempfile_in(&place.folder)
            .map_err(|error| place.cannot(&error))?;
        let (mut to, path) = staged.into_parts();
        let copied = File::open(copy).and_then(|mut from| {
            io::copy(&mut from, &mut to)?;
            let like = std::fs::metadata(&place.path).or_else(|_| from.metadata())?;
            to.set_permissions(like.permissions())?;
            if place.path.exists() {
                // Only root may, and only root needs to.
                let _ = std::os::unix::fs::fchown(&to, Some(like.uid()), Some(like.gid()));
            }
            Ok(())
        });
        copied
            .map_err(|error| format!("{}: the old database is as it was", place.cannot(&error)))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What was copied is on the disk.
    pub(super) fn sync(&self) -> Result<(), String> {
        let synced = File::open(&self.0).and_then(|file| file.sync_all());
        synced.map_err(|error| format!("the copy cannot be written to the disk: {error}"))
    }
}
