//! Writes each object to a temporary file first, which then replaces the object atomically.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use tempfile::NamedTempFile;

use super::sidecar::Sidecar;
use super::{FileStore, etag};
use crate::origin::object::{Precondition, PutOutcome};
use crate::origin::spool;
use crate::variant::ObjectKey;

impl FileStore {
    pub(super) fn write(
        &self,
        key: &ObjectKey,
        bytes: &[u8],
        sidecar: &Sidecar,
        precondition: &Precondition,
    ) -> io::Result<PutOutcome> {
        let folder = self.create_folder_for(key)?;
        let mut file = self.create_temporary()?;
        file.write_all(bytes)?;
        self.publish(key, &folder, file, sidecar, precondition)
    }

    /// Creates the folder of an object. Fails if a symbolic link in the path leads out of the root.
    pub(super) fn create_folder_for(&self, key: &ObjectKey) -> io::Result<PathBuf> {
        let denied = |reason| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        let (path, root) = (self.layout.object(key), self.layout.root.path());
        if self.layout.is_reserved(&path) {
            return denied("the folder is reserved for the store");
        }
        let folder = path.parent().unwrap_or(root);
        let existing = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(root);
        if !fs::canonicalize(existing)?.starts_with(root) {
            return denied("a link leads out of the store");
        }
        self.layout.root.create_below(folder)?;
        Ok(folder.to_owned())
    }

    /// Syncs a complete temporary file and turns it into the object.
    pub(super) fn publish(
        &self,
        key: &ObjectKey,
        folder: &Path,
        file: NamedTempFile,
        sidecar: &Sidecar,
        precondition: &Precondition,
    ) -> io::Result<PutOutcome> {
        let path = self.layout.object(key);
        file.as_file().sync_all()?;
        let etag = etag(&file.as_file().metadata()?)?;
        let sidecar_path = self.layout.sidecar(key, &etag);
        self.write_sidecar(&sidecar_path, sidecar)?;
        let published = match precondition {
            Precondition::Absent => link_if_absent(file, &path),
            Precondition::None | Precondition::Matches(_) => self.replace(file, key, &path, precondition),
        };
        if !matches!(published, Ok(true)) {
            // A sidecar without an object is never read; it only takes space.
            let _ = fs::remove_file(sidecar_path);
        }
        if published? {
            File::open(folder)?.sync_all()?;
            return Ok(PutOutcome::Stored(etag));
        }
        Ok(PutOutcome::PreconditionFailed)
    }

    /// Renames `file` to `path` if the precondition holds, and removes the attributes of the replaced object.
    fn replace(
        &self,
        file: NamedTempFile,
        key: &ObjectKey,
        path: &Path,
        precondition: &Precondition,
    ) -> io::Result<bool> {
        let _exclusive = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = match fs::metadata(path) {
            Ok(stat) => Some(etag(&stat)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if matches!(precondition, Precondition::Matches(expected) if replaced.as_ref() != Some(expected)) {
            return Ok(false);
        }
        file.persist(path)?;
        if let Some(replaced) = replaced {
            // A sidecar without an object is never read; it only takes space.
            let _ = fs::remove_file(self.layout.sidecar(key, &replaced));
        }
        Ok(true)
    }

    fn write_sidecar(&self, path: &Path, sidecar: &Sidecar) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            self.layout.root.create_below(folder)?;
        }
        let mut file = self.create_temporary()?;
        serde_json::to_writer(&mut file, sidecar)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Creates a temporary file on the same file system as the objects. Dropping the handle removes the file.
    pub(super) fn create_temporary(&self) -> io::Result<NamedTempFile> {
        let folder = self.layout.temporary_folder();
        self.layout.root.create_below(&folder)?;
        let file = tempfile::Builder::new().prefix(spool::PREFIX).tempfile_in(folder)?;
        // By default temporary files are private to their owner, but objects should be readable by others.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        Ok(file)
    }
}

/// Links `file` to `path` atomically; false if `path` exists.
fn link_if_absent(file: NamedTempFile, path: &Path) -> io::Result<bool> {
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}
