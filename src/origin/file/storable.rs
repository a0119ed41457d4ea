//! Keys that a folder cannot hold, although they are valid keys.

use std::fs;
use std::io;

use super::layout::Layout;
use crate::origin::object::UnstorableKey;
use crate::variant::ObjectKey;

/// Longest name of a file or folder (limits.h, `NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;

impl Layout {
    /// The reason why no object can be stored under `key`, if there is one.
    pub(super) fn why_unstorable(&self, key: &ObjectKey) -> io::Result<Option<UnstorableKey>> {
        let path = self.object(key);
        if self.is_reserved(&path) {
            return Ok(Some(UnstorableKey::Reserved));
        }
        if let Some(name) = key.as_str().split('/').find(|name| name.len() > NAME_BYTES_MAX) {
            return Ok(Some(UnstorableKey::NameTooLong { bytes: name.len(), max: NAME_BYTES_MAX }));
        }
        let mut existing = self.root.path().to_owned();
        for (end, _) in key.as_str().match_indices('/') {
            let folder = self.root.path().join(&key.as_str()[..end]);
            match fs::metadata(&folder) {
                Ok(stat) if !stat.is_dir() => {
                    return Ok(Some(UnstorableKey::ParentIsObject { parent: key.as_str()[..end].to_owned() }));
                }
                Ok(_) => existing = folder,
                // A link that leads nowhere cannot become a folder.
                Err(_) if fs::symlink_metadata(&folder).is_ok() => return Ok(Some(UnstorableKey::LinkOutside)),
                // The folder will be created.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        if !fs::canonicalize(&existing)?.starts_with(self.root.path()) {
            return Ok(Some(UnstorableKey::LinkOutside));
        }
        match fs::metadata(&path) {
            Ok(stat) if stat.is_dir() => Ok(Some(UnstorableKey::IsFolder)),
            Ok(_) if !fs::canonicalize(&path)?.starts_with(self.root.path()) => Ok(Some(UnstorableKey::LinkOutside)),
            Err(_) if fs::symlink_metadata(&path).is_ok() => Ok(Some(UnstorableKey::LinkOutside)),
            Ok(_) | Err(_) => Ok(None),
        }
    }
}
