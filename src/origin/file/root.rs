//! The root folder of a store. It may disappear while the server runs, for example when its file system is unmounted.
//!
//! The root is missing if its path does not exist, if the file system that contained it at the start is no longer
//! mounted there, or if an empty folder is in its place. A missing root is not an empty store: its objects are
//! unavailable, not deleted, and nothing is written in its place. If a folder with content replaces the root, it is
//! used as the root. A file system that was not mounted at the start cannot be detected.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::origin::error::StoreError;

#[derive(Debug)]
pub(super) struct Root {
    /// Canonical, without symbolic links.
    path: PathBuf,
    /// The mount point of the file system; `None` if it is that of `/`.
    mount_point: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    folder: FolderId,
    is_missing: bool,
}

/// Device and inode of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FolderId {
    device: u64,
    inode: u64,
}

impl Root {
    /// # Errors
    /// The path does not lead to a folder.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(directory)?;
        // Unlike the metadata, this fails for a file.
        fs::read_dir(&path)?;
        let folder = FolderId::of(&fs::metadata(&path)?);
        let mount_point = path.ancestors().find(|path| is_mount_point(path)).map(Path::to_owned);
        Ok(Self { path, mount_point, state: Mutex::new(State { folder, is_missing: false }) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// [`StoreError::RootMissing`]. The first such error is logged.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let found = fs::metadata(&self.path).ok().filter(Metadata::is_dir).map(|stat| FolderId::of(&stat));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = found.filter(|found| *found == state.folder || self.is_replacement());
        let was_missing = std::mem::replace(&mut state.is_missing, folder.is_none());
        let root = self.path.display();
        match folder {
            Some(_) if was_missing => tracing::info!(%root, "folder of a store is back"),
            Some(folder) if folder != state.folder => tracing::warn!(%root, "folder of a store was replaced"),
            None if !was_missing => tracing::error!(%root, "folder of a store has disappeared"),
            Some(_) | None => {}
        }
        let folder = folder.ok_or_else(|| StoreError::RootMissing { root: self.path.clone() })?;
        state.folder = folder;
        Ok(())
    }

    /// True if another folder at the path may be the root: its file system is mounted, and it has content or is that
    /// file system's root.
    fn is_replacement(&self) -> bool {
        let is_mounted = self.mount_point.as_ref().is_none_or(|mount_point| is_mount_point(mount_point));
        let has_content = || fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_some());
        is_mounted && (self.mount_point.as_ref() == Some(&self.path) || has_content())
    }

    /// Creates a folder below the root, but not the root itself.
    pub(super) fn create_below(&self, folder: &Path) -> io::Result<()> {
        let Ok(below) = folder.strip_prefix(&self.path) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the folder is outside the store"));
        };
        let mut path = self.path.clone();
        for name in below {
            path.push(name);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                created => created?,
            }
        }
        Ok(())
    }
}

impl FolderId {
    fn of(stat: &Metadata) -> Self {
        Self { device: stat.dev(), inode: stat.ino() }
    }
}

/// True if a file system is mounted at `path`, other than that of `/`.
fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|stat| stat.dev());
    path.parent().is_some_and(|parent| device(path) != device(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_missing(root: &Root) -> bool {
        root.check().is_err()
    }

    #[test]
    fn a_root_is_missing_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("root"), folder.path().join("aside"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("cat.jpg"), "cat").unwrap();
        let root = Root::open(&path).unwrap();
        assert!(!is_missing(&root));
        fs::rename(&path, &aside).unwrap();
        assert!(is_missing(&root));
        fs::create_dir(&path).unwrap();
        assert!(is_missing(&root), "an empty folder is in its place, as after an unmount");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        assert!(is_missing(&root));
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert!(!is_missing(&root));
        fs::rename(&path, &aside).unwrap();
        fs::create_dir_all(path.join("restored")).unwrap();
        assert!(!is_missing(&root), "a folder with content replaces the root");
    }

    #[test]
    fn folders_are_created_below_the_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let path = root.path().join("a/b");
        for _ in 0..2 {
            root.create_below(&path).unwrap();
        }
        assert!(path.is_dir() && root.create_below(Path::new("/elsewhere")).is_err());
        fs::write(path.join("file"), "").unwrap();
        assert!(root.create_below(&path.join("file/c")).is_err());
        folder.close().unwrap();
        assert_eq!(root.create_below(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
