//! An object on its way in: in a file of its own until it is known to be whole and wanted.
//!
//! Nothing of it is in the store before [`super::Store::put_spooled`], so what is cut off, refused or dropped leaves nothing
//! behind there, neither half an object nor parts of one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::StoreError;

/// Bytes that have come so far. Dropping it removes them.
#[derive(Debug)]
pub struct Spool {
    pub(super) place: Place,
    bytes: u64,
}

#[derive(Debug)]
pub(super) enum Place {
    /// In the folder of the store itself, where it becomes the object by a link.
    Named(NamedTempFile),
    /// Without a name: gone with the process, however that ends.
    Unnamed(File),
}

impl Spool {
    pub(super) fn named(file: NamedTempFile) -> Self {
        Self { place: Place::Named(file), bytes: 0 }
    }

    pub(super) fn unnamed(file: File) -> Self {
        Self { place: Place::Unnamed(file), bytes: 0 }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a chunk; to be called where it may block.
    ///
    /// # Errors
    /// The disk is full or failing.
    pub fn write(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        self.file_mut().write_all(chunk).map_err(failed)?;
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// A second handle, to read what is there from a position of the caller's choice. Both share one position.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn reader(&self) -> Result<File, StoreError> {
        let file = match &self.place {
            Place::Named(file) => file.as_file(),
            Place::Unnamed(file) => file,
        };
        file.try_clone().map_err(failed)
    }

    fn file_mut(&mut self) -> &mut File {
        match &mut self.place {
            Place::Named(file) => file.as_file_mut(),
            Place::Unnamed(file) => file,
        }
    }
}

/// What the names of temporary files begin with.
pub(super) const PREFIX: &str = "put-";

/// Longer than any upload takes.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Removes what killed processes have left in a folder of temporary files. Others may be at work in it: only what nobody has
/// written to for a day goes. That something cannot be removed is no reason not to start.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let written = entry.metadata().and_then(|meta| meta.modified());
        let is_abandoned = written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age > ABANDONED));
        if is_abandoned && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let path = entry.path();
            match std::fs::remove_file(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed what a killed upload had left"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "a temporary file cannot be removed"),
            }
        }
    }
}

pub(super) fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::QuotaExceeded => {
            StoreError::Unavailable { source: error.into() }
        }
        _ => StoreError::Other { source: error.into() },
    }
}
