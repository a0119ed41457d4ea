//! Objects as plain files below a folder, so that a person can look at them.
//!
//! The folder `.resized` at its root is our own: `tmp` has files that are being written, `meta` has the attributes of
//! objects. An object is written to `tmp`, made durable, and then linked or renamed to its place, so it is there whole or
//! not at all. Its attributes are written before, under a name that has the object's ETag in it: they are found only
//! for the object they were written with. A file that was put here by hand has none, and is an object all the same.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::spool::{self, Place, Spool};
use super::{
    Attributes, Body, ByteRange, Delete, Listed, Meta, Object, OpenError, Page, Precondition, Put, StoreError, resolve,
};
use crate::support::priority;
use crate::variant::ObjectKey;

mod list;
pub(super) mod part;

use list::Wanted;
use part::{CHUNK_BYTES, FilePart};

#[derive(Debug)]
pub(super) struct FileStore {
    /// Canonical: no link in it.
    root: PathBuf,
    /// Held while an object is compared and replaced.
    replacing: Mutex<()>,
}

/// The attributes of an object, in a file of their own.
#[derive(Debug, Serialize, Deserialize)]
struct Sidecar {
    key: String,
    content_type: String,
    cache_control: String,
    metadata: Vec<(String, String)>,
}

impl Sidecar {
    fn new(key: &ObjectKey, attributes: &Attributes) -> Self {
        Self {
            key: key.as_str().to_owned(),
            content_type: attributes.content_type.clone(),
            cache_control: attributes.cache_control.clone(),
            metadata: attributes.metadata.clone(),
        }
    }
}

const OWN_FOLDER: &str = ".resized";
/// In it: files that become objects.
const TEMPORARY: &str = "tmp";

impl FileStore {
    pub(super) async fn open(directory: PathBuf) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Folder { directory: directory.clone(), source };
        let root = fs::create_dir_all(&directory).and_then(|()| fs::canonicalize(&directory)).map_err(failed)?;
        spool::sweep(&root.join(OWN_FOLDER).join(TEMPORARY));
        Ok(Self { root, replacing: Mutex::new(()) })
    }

    pub(super) async fn head(self: &Arc<Self>, key: &ObjectKey) -> Result<Option<Meta>, StoreError> {
        self.blocking(key, |store, key| Ok(store.find(key)?.map(|(meta, _)| meta))).await
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<Object>, StoreError> {
        let opened = self.blocking(key, move |store, key| {
            let Some((meta, file)) = store.find(key)? else { return Ok(None) };
            let (first, bytes) = range.map_or(Ok((0, meta.bytes)), |range| resolve(range, meta.bytes))?;
            let part = FilePart { file: file.into(), first, bytes };
            let first = part.read(CHUNK_BYTES).map_err(failed)?;
            Ok(Some(Object { meta, body: Body::of_file(first, part) }))
        });
        opened.await
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<Put, StoreError> {
        let sidecar = Sidecar::new(key, attributes);
        self.blocking(key, move |store, key| store.write(key, &bytes, &sidecar, &precondition).map_err(failed)).await
    }

    pub(super) async fn spool(self: &Arc<Self>) -> Result<Spool, StoreError> {
        let store = self.clone();
        blocking(move || store.temporary().map(Spool::named).map_err(failed)).await
    }

    pub(super) async fn put_spooled(
        self: &Arc<Self>,
        key: &ObjectKey,
        spool: Spool,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<Put, StoreError> {
        let Place::Named(file) = spool.place else {
            return Err(StoreError::Other { source: "the spool is another store's".into() });
        };
        let sidecar = Sidecar::new(key, attributes);
        self.blocking(key, move |store, key| {
            let folder = store.folder_of(key).map_err(failed)?;
            store.place(key, &folder, file, &sidecar, &precondition).map_err(failed)
        })
        .await
    }

    pub(super) async fn delete(
        self: &Arc<Self>,
        key: &ObjectKey,
        if_match: Option<&str>,
    ) -> Result<Delete, StoreError> {
        let if_match = if_match.map(Box::<str>::from);
        self.blocking(key, move |store, key| store.remove(key, if_match.as_deref()).map_err(failed)).await
    }

    pub(super) async fn list(
        self: &Arc<Self>,
        prefix: &str,
        after: Option<&str>,
        objects_max: usize,
    ) -> Result<Page, StoreError> {
        let (store, prefix, after) = (self.clone(), prefix.to_owned(), after.map(str::to_owned));
        blocking(move || store.page(&prefix, after.as_deref(), objects_max)).await
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        key: &ObjectKey,
        work: impl FnOnce(&Self, &ObjectKey) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, key) = (self.clone(), key.clone());
        blocking(move || work(&store, &key)).await
    }

    fn page(&self, prefix: &str, after: Option<&str>, objects_max: usize) -> Result<Page, StoreError> {
        // One more than the page holds says whether there is another page.
        let mut keys =
            list::keys(&self.root, OWN_FOLDER, Wanted { prefix, after, keys_max: objects_max + 1 }).map_err(failed)?;
        let is_last = keys.len() <= objects_max;
        keys.truncate(objects_max);
        let next = if is_last { None } else { keys.last().map(ToString::to_string) };
        let mut objects = Vec::with_capacity(keys.len());
        for key in keys {
            // One that has been deleted since, or is no regular file, is passed over.
            if let Some((meta, _)) = self.find(&key)? {
                let Meta { bytes, etag, last_modified, .. } = meta;
                objects.push(Listed { key, bytes, etag, last_modified });
            }
        }
        Ok(Page { objects, next })
    }

    /// Deletes what is there if it has the wanted ETag, and its attributes.
    fn remove(&self, key: &ObjectKey, if_match: Option<&str>) -> io::Result<Delete> {
        let absent = if if_match.is_some() { Delete::PreconditionFailed } else { Delete::Gone };
        let _alone = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = match self.open_inside(key) {
            Ok(Some(file)) => etag(&file.metadata()?)?,
            Ok(None) => return Ok(absent),
            Err(error) if is_absence(&error) => return Ok(absent),
            Err(error) => return Err(error),
        };
        if if_match.is_some_and(|wanted| wanted != &*there) {
            return Ok(Delete::PreconditionFailed);
        }
        let path = self.path(key);
        match fs::remove_file(&path) {
            // Another process was first.
            Err(error) if is_absence(&error) => return Ok(absent),
            removed => removed?,
        }
        // They name no object any more; to leave them behind would only waste room.
        let _ = fs::remove_file(self.sidecar(key, &there));
        File::open(path.parent().unwrap_or(&self.root))?.sync_all()?;
        Ok(Delete::Gone)
    }

    /// An object's description and its open file. What is no regular file, or lies outside of the folder by way of a link,
    /// is no object.
    fn find(&self, key: &ObjectKey) -> Result<Option<(Meta, File)>, StoreError> {
        let found = self.open_inside(key).and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let stat = file.metadata()?;
            if !stat.is_file() {
                return Ok(None);
            }
            let etag = etag(&stat)?;
            let sidecar = fs::read(self.sidecar(key, &etag)).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let (content_type, metadata) = sidecar
                .map(|sidecar: Sidecar| (Some(sidecar.content_type.into()), sidecar.metadata))
                .unwrap_or_default();
            let meta = Meta { bytes: stat.len(), etag, last_modified: stat.modified()?, content_type, metadata };
            Ok(Some((meta, file)))
        });
        match found {
            Ok(found) => Ok(found),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn open_inside(&self, key: &ObjectKey) -> io::Result<Option<File>> {
        let path = self.path(key);
        if self.is_own(&path) || !fs::canonicalize(&path)?.starts_with(&self.root) {
            return Ok(None);
        }
        // A pipe would block whoever opens it.
        if !fs::metadata(&path)?.is_file() {
            return Ok(None);
        }
        File::open(&path).map(Some)
    }

    fn write(&self, key: &ObjectKey, bytes: &[u8], sidecar: &Sidecar, precondition: &Precondition) -> io::Result<Put> {
        let folder = self.folder_of(key)?;
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        self.place(key, &folder, file, sidecar, precondition)
    }

    /// The folder that `key` belongs into, made if it is missing.
    fn folder_of(&self, key: &ObjectKey) -> io::Result<PathBuf> {
        let path = self.path(key);
        if self.is_own(&path) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "this folder is the store's own"));
        }
        let folder = path.parent().unwrap_or(&self.root);
        self.make_folder(folder)?;
        Ok(folder.to_owned())
    }

    /// Makes a whole temporary file durable, and then the object.
    fn place(
        &self,
        key: &ObjectKey,
        folder: &Path,
        file: NamedTempFile,
        sidecar: &Sidecar,
        precondition: &Precondition,
    ) -> io::Result<Put> {
        let path = self.path(key);
        file.as_file().sync_all()?;
        let etag = etag(&file.as_file().metadata()?)?;
        let attributes = self.sidecar(key, &etag);
        self.write_sidecar(&attributes, sidecar)?;
        let placed = match precondition {
            Precondition::Absent => persisted_absent(file, &path),
            Precondition::None | Precondition::Matches(_) => self.replace(file, key, &path, precondition),
        };
        if !matches!(placed, Ok(true)) {
            // They name no object; to leave them behind would only waste room.
            let _ = fs::remove_file(attributes);
        }
        if placed? {
            File::open(folder)?.sync_all()?;
            return Ok(Put::Stored(etag));
        }
        Ok(Put::PreconditionFailed)
    }

    /// Renames `file` to `path` if the precondition holds, and removes the attributes of what was there.
    fn replace(&self, file: NamedTempFile, key: &ObjectKey, path: &Path, condition: &Precondition) -> io::Result<bool> {
        let _alone = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match fs::metadata(path) {
            Ok(stat) => Some(etag(&stat)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if matches!(condition, Precondition::Matches(wanted) if before.as_ref() != Some(wanted)) {
            return Ok(false);
        }
        file.persist(path)?;
        if let Some(before) = before {
            // As above.
            let _ = fs::remove_file(self.sidecar(key, &before));
        }
        Ok(true)
    }

    fn write_sidecar(&self, path: &Path, sidecar: &Sidecar) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = self.temporary()?;
        serde_json::to_writer(&mut file, sidecar)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// A file that is removed when it is dropped, on the same file system as the objects.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let folder = self.root.join(OWN_FOLDER).join(TEMPORARY);
        fs::create_dir_all(&folder)?;
        let file = tempfile::Builder::new().prefix(spool::PREFIX).tempfile_in(folder)?;
        // Temporary files are for their owner alone; objects are as readable as the umask lets new files be.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        Ok(file)
    }

    /// Makes an object's folder, never through a link that leads out of the root.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let nearest = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(&self.root);
        if !fs::canonicalize(nearest)?.starts_with(&self.root) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder is a link out of the store"));
        }
        fs::create_dir_all(folder)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn is_own(&self, path: &Path) -> bool {
        path.starts_with(self.root.join(OWN_FOLDER))
    }

    /// Where the attributes are of the object that has `etag`. Keys are hashed, as a name can be no longer than 255 bytes.
    fn sidecar(&self, key: &ObjectKey, etag: &str) -> PathBuf {
        let hash = ring::digest::digest(&ring::digest::SHA256, key.as_str().as_bytes());
        let hash: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{hash}-{}.json", etag.trim_matches('"'));
        self.root.join(OWN_FOLDER).join("meta").join(&hash[..2]).join(name)
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = priority::blocking(work).await;
    done.unwrap_or_else(|panic| Err(StoreError::Other { source: panic.into() }))
}

/// Links `file` to `path` if nothing is there: atomic, and never in place of another.
fn persisted_absent(file: NamedTempFile, path: &Path) -> io::Result<bool> {
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Strong: two files that are there at once differ in their inode, and one that took a deleted file's inode in its time or
/// length, unless it was put there by hand within the same tick of the file system's clock. The same after every restart.
fn etag(stat: &fs::Metadata) -> io::Result<Box<str>> {
    use std::os::unix::fs::MetadataExt;
    let modified = stat.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("\"{:x}-{:x}-{:x}\"", modified.as_nanos(), stat.ino(), stat.len()).into())
}

/// Whether an error says that there is no such object: no file, a file where a folder should be, or a name too long.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}

pub(super) fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Forbidden { source: error.into() },
        io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::QuotaExceeded => {
            StoreError::Unavailable { source: error.into() }
        }
        _ => StoreError::Other { source: error.into() },
    }
}
