//! Temporary files for uploads that are being received.
//!
//! An object does not exist before [`super::Store::put_spooled`], so an upload that is aborted, refused or dropped
//! leaves nothing in the store.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::error::StoreError;

/// The bytes received so far. Dropping the spool deletes them.
#[derive(Debug)]
pub struct Spool {
    pub(super) location: SpoolLocation,
    bytes: u64,
}

#[derive(Debug)]
pub(super) enum SpoolLocation {
    /// A file in the folder of the store, which a link or a rename turns into the object.
    Store(NamedTempFile),
    /// An unlinked file that the operating system removes when the process ends.
    Unlinked(File),
}

impl Spool {
    pub(super) fn in_store(file: NamedTempFile) -> Self {
        Self { location: SpoolLocation::Store(file), bytes: 0 }
    }

    pub(super) fn unlinked(file: File) -> Self {
        Self { location: SpoolLocation::Unlinked(file), bytes: 0 }
    }

    /// Number of bytes received so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a chunk. Blocks.
    ///
    /// # Errors
    /// The disk is full or failing.
    pub fn write(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        self.file_mut().write_all(chunk).map_err(StoreError::from_io)?;
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// A second handle for reading by position. Both handles share one cursor.
    ///
    /// # Errors
    /// The process has no file descriptors left.
    pub fn reader(&self) -> Result<File, StoreError> {
        let file = match &self.location {
            SpoolLocation::Store(file) => file.as_file(),
            SpoolLocation::Unlinked(file) => file,
        };
        file.try_clone().map_err(StoreError::from_io)
    }

    fn file_mut(&mut self) -> &mut File {
        match &mut self.location {
            SpoolLocation::Store(file) => file.as_file_mut(),
            SpoolLocation::Unlinked(file) => file,
        }
    }
}

/// Prefix of the names of temporary files.
pub(super) const PREFIX: &str = "put-";

/// Age after which a temporary file cannot belong to a running upload.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Removes temporary files that killed processes have left in `folder`. Files that were modified recently may belong to
/// other processes and stay. Failures are logged and do not prevent the start.
pub(super) fn remove_abandoned(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let is_abandoned = modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > ABANDONED_AFTER));
        if is_abandoned && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let path = entry.path();
            match std::fs::remove_file(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "abandoned temporary file removed"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove temporary file"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_full_disk_is_an_error_with_its_cause() {
        let mut spool = Spool::unlinked(File::options().write(true).open("/dev/full").unwrap());
        let error = spool.write(&Bytes::from_static(b"hello")).unwrap_err();
        let StoreError::Unavailable { source } = error else { panic!("{error:?}") };
        assert_eq!(source.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!(spool.bytes(), 0);
    }
}
