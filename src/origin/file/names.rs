//! Lists the names in one folder.

use std::fs;
use std::io;

use super::io_error::is_not_found;
use super::layout::{Layout, RESERVED_FOLDER};
use crate::origin::object::Names;
use crate::variant::ObjectKey;

impl Layout {
    /// The names that start with the last part of `prefix`, in the folder that the rest of it names; at most
    /// `names_max`, in any order.
    pub(super) fn names(&self, prefix: &str, names_max: usize) -> io::Result<Names> {
        let (folder, start) = prefix.split_at(prefix.rfind('/').map_or(0, |slash| slash + 1));
        let mut names = Names { is_complete: true, ..Names::default() };
        let path = self.root.path().join(folder);
        match fs::canonicalize(&path) {
            Ok(real) if real.starts_with(self.root.path()) && !self.is_reserved(&path) => {}
            Ok(_) => return Ok(names),
            Err(error) if is_not_found(&error) => return Ok(names),
            Err(error) => return Err(error),
        }
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Some(name) = entry.file_name().into_string().ok().filter(|name| name.starts_with(start)) else {
                continue;
            };
            if names.objects.len() + names.folders.len() >= names_max {
                names.is_complete = false;
                break;
            }
            if !entry.file_type()?.is_dir() {
                names.objects.extend(ObjectKey::new(&format!("{folder}{name}")));
            } else if name != RESERVED_FOLDER {
                names.folders.push(name);
            }
        }
        Ok(names)
    }
}
