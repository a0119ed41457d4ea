//! Objects as plain files below a folder.
//!
//! The folder `.resized` at the root belongs to the store: `tmp` contains files that are being written, `meta` the
//! attributes of objects. An object is written to `tmp`, synced, and then linked or renamed to its path, so readers see
//! all of it or nothing. Its attributes are written first, to a file whose name contains the object's ETag, so they
//! never apply to another version of the object. A file that was copied into the folder is an object without
//! attributes. If the root folder disappears, the store is unavailable ([`root`]).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::body::{Body, Object};
use super::error::{StoreError, StoreOpenError};
use super::object::{
    Attributes, ByteRange, DeleteOutcome, ListPage, ListedObject, Names, ObjectMeta, Precondition, PutOutcome,
    UnstorableKey,
};
use super::spool::{self, Spool, SpoolLocation};
use crate::support::priority;
use crate::variant::ObjectKey;

mod io_error;
mod layout;
mod list;
mod names;
mod root;
mod sidecar;
pub(super) mod slice;
mod storable;
mod write;

use io_error::{from_io, is_not_found};
use layout::{Layout, RESERVED_FOLDER};
use list::KeyFilter;
use root::Root;
use sidecar::Sidecar;
use slice::{CHUNK_BYTES, FileSlice};

#[derive(Debug)]
pub(super) struct FileStore {
    layout: Layout,
    /// Held from the check of a precondition to the replacement or deletion of the object.
    replacing: Mutex<()>,
}

/// The asynchronous operations of a store.
impl FileStore {
    /// # Errors
    /// The folder does not exist, or cannot be used.
    pub(super) fn open(directory: PathBuf) -> Result<Self, StoreOpenError> {
        let root = Root::open(&directory).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreOpenError::MissingFolder { directory },
            _ => StoreOpenError::Folder { directory, source },
        })?;
        let layout = Layout { root };
        spool::remove_abandoned(&layout.temporary_folder());
        Ok(Self { layout, replacing: Mutex::new(()) })
    }

    pub(super) async fn head(self: &Arc<Self>, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        self.with_key(key, |store, key| Ok(store.find(key)?.map(|(meta, _)| meta))).await
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<Object>, StoreError> {
        let opened = self.with_key(key, move |store, key| {
            let Some((meta, file)) = store.find(key)? else { return Ok(None) };
            let range = match range {
                None => 0..meta.bytes,
                Some(range) => {
                    range.resolve(meta.bytes).ok_or(StoreError::RangeNotSatisfiable { bytes: meta.bytes })?
                }
            };
            let slice = FileSlice { file: file.into(), first: range.start, bytes: range.end - range.start };
            let first = slice.read(CHUNK_BYTES).map_err(from_io)?;
            Ok(Some(Object { meta, body: Body::from_file(first, slice) }))
        });
        opened.await
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let sidecar = Sidecar::new(key, attributes);
        self.with_key(key, move |store, key| store.write(key, &bytes, &sidecar, &precondition).map_err(from_io)).await
    }

    pub(super) async fn spool(self: &Arc<Self>) -> Result<Spool, StoreError> {
        self.blocking(|store| store.create_temporary().map(Spool::in_store).map_err(from_io)).await
    }

    pub(super) async fn put_spooled(
        self: &Arc<Self>,
        key: &ObjectKey,
        spool: Spool,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let SpoolLocation::Store(file) = spool.location else {
            return Err(StoreError::other("the spool was created by another store"));
        };
        let sidecar = Sidecar::new(key, attributes);
        self.with_key(key, move |store, key| {
            let folder = store.create_folder_for(key).map_err(from_io)?;
            store.publish(key, &folder, file, &sidecar, &precondition).map_err(from_io)
        })
        .await
    }

    pub(super) async fn delete(
        self: &Arc<Self>,
        key: &ObjectKey,
        if_match: Option<&str>,
    ) -> Result<DeleteOutcome, StoreError> {
        let if_match = if_match.map(Box::<str>::from);
        self.with_key(key, move |store, key| store.remove(key, if_match.as_deref()).map_err(from_io)).await
    }

    pub(super) async fn list(
        self: &Arc<Self>,
        prefix: &str,
        after: Option<&str>,
        objects_max: usize,
    ) -> Result<ListPage, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |store| store.page(&prefix, after.as_deref(), objects_max)).await
    }

    pub(super) async fn list_names(self: &Arc<Self>, prefix: &str, names_max: usize) -> Result<Names, StoreError> {
        let prefix = prefix.to_owned();
        self.blocking(move |store| store.layout.names(&prefix, names_max).map_err(from_io)).await
    }

    pub(super) async fn why_unstorable(self: &Arc<Self>, key: &ObjectKey) -> Result<Option<UnstorableKey>, StoreError> {
        self.with_key(key, |store, key| store.layout.why_unstorable(key).map_err(from_io)).await
    }

    async fn with_key<T: Send + 'static>(
        self: &Arc<Self>,
        key: &ObjectKey,
        work: impl FnOnce(&Self, &ObjectKey) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let key = key.clone();
        self.blocking(move |store| work(store, &key)).await
    }

    /// Runs `work` while the root is there. The root is checked before, so that nothing is written in its place, and
    /// after, because objects are not found if it disappears meanwhile.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let checked = move || {
            store.layout.root.check()?;
            let result = work(&store);
            store.layout.root.check()?;
            result
        };
        priority::blocking(checked).await.unwrap_or_else(|panic| Err(StoreError::other(panic)))
    }
}

/// The blocking file operations.
impl FileStore {
    fn page(&self, prefix: &str, after: Option<&str>, objects_max: usize) -> Result<ListPage, StoreError> {
        // One key more than fits on the page shows that there is another page.
        let filter = KeyFilter { prefix, after, keys_max: objects_max + 1 };
        let mut keys = list::keys(self.layout.root.path(), RESERVED_FOLDER, filter).map_err(from_io)?;
        let is_last = keys.len() <= objects_max;
        keys.truncate(objects_max);
        let next = if is_last { None } else { keys.last().map(ToString::to_string) };
        let mut objects = Vec::with_capacity(keys.len());
        for key in keys {
            // Skips files that were deleted after they were listed, and entries that are not regular files.
            if let Some((meta, _)) = self.find(&key)? {
                let ObjectMeta { bytes, etag, last_modified, .. } = meta;
                objects.push(ListedObject { key, bytes, etag, last_modified });
            }
        }
        Ok(ListPage { objects, next })
    }

    fn remove(&self, key: &ObjectKey, if_match: Option<&str>) -> io::Result<DeleteOutcome> {
        let absent = if if_match.is_some() { DeleteOutcome::PreconditionFailed } else { DeleteOutcome::Deleted };
        let _exclusive = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = match self.open_file(key) {
            Ok(Some(file)) => etag(&file.metadata()?)?,
            Ok(None) => return Ok(absent),
            Err(error) if is_not_found(&error) => return Ok(absent),
            Err(error) => return Err(error),
        };
        if if_match.is_some_and(|expected| expected != &*current) {
            return Ok(DeleteOutcome::PreconditionFailed);
        }
        let path = self.layout.object(key);
        match fs::remove_file(&path) {
            // Another process deleted it first.
            Err(error) if is_not_found(&error) => return Ok(absent),
            removed => removed?,
        }
        // A sidecar without an object is never read; it only takes space.
        let _ = fs::remove_file(self.layout.sidecar(key, &current));
        File::open(path.parent().unwrap_or(self.layout.root.path()))?.sync_all()?;
        Ok(DeleteOutcome::Deleted)
    }

    /// The metadata of an object and its open file; `None` unless it is a regular file inside the root.
    fn find(&self, key: &ObjectKey) -> Result<Option<(ObjectMeta, File)>, StoreError> {
        let found = self.open_file(key).and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let stat = file.metadata()?;
            if !stat.is_file() {
                return Ok(None);
            }
            let etag = etag(&stat)?;
            let sidecar = Sidecar::read(&self.layout.sidecar(key, &etag));
            let (content_type, metadata) =
                sidecar.map(|sidecar| (Some(sidecar.content_type.into()), sidecar.metadata)).unwrap_or_default();
            let meta = ObjectMeta {
                bytes: stat.len(),
                etag,
                last_modified: stat.modified()?,
                content_type,
                content_encoding: None,
                metadata,
            };
            Ok(Some((meta, file)))
        });
        match found {
            Ok(found) => Ok(found),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(from_io(error)),
        }
    }

    fn open_file(&self, key: &ObjectKey) -> io::Result<Option<File>> {
        let path = self.layout.object(key);
        if self.layout.is_reserved(&path) || !fs::canonicalize(&path)?.starts_with(self.layout.root.path()) {
            return Ok(None);
        }
        // Opening a named pipe would block.
        if !fs::metadata(&path)?.is_file() {
            return Ok(None);
        }
        File::open(&path).map(Some)
    }
}

/// Creates the folder of a store if it does not exist.
pub(super) fn create_folder(directory: &Path) -> Result<(), StoreOpenError> {
    if directory.exists() {
        return Ok(());
    }
    let failed = |source| StoreOpenError::Folder { directory: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    tracing::warn!(directory = %directory.display(), "folder of a store created, because it did not exist");
    Ok(())
}

/// A strong entity tag, which is the same after a restart. Two existing files have different inodes. A file that reuses
/// the inode of a deleted one differs in modification time or length, unless it was copied into the folder within one
/// tick of the file system's clock.
fn etag(stat: &fs::Metadata) -> io::Result<Box<str>> {
    use std::os::unix::fs::MetadataExt;
    let modified = stat.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("\"{:x}-{:x}-{:x}\"", modified.as_nanos(), stat.ino(), stat.len()).into())
}
