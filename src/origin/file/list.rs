//! Lists the files below a folder as keys, ordered by their bytes like an S3 listing.

use std::fs;
use std::io;
use std::path::Path;

use crate::variant::ObjectKey;

/// Selects the keys of a listing.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyFilter<'a> {
    /// Only keys with this prefix.
    pub(super) prefix: &'a str,
    /// Only keys after this one.
    pub(super) after: Option<&'a str>,
    /// Maximum number of keys.
    pub(super) keys_max: usize,
}

/// The first keys below `root` that `filter` selects, without those in the folder `reserved`. Links to folders are not
/// followed, as they may form a cycle. Names that are not valid keys are skipped.
pub(super) fn keys(root: &Path, reserved: &str, filter: KeyFilter<'_>) -> io::Result<Vec<ObjectKey>> {
    let mut keys = Vec::new();
    descend(root, "", reserved, filter, &mut keys)?;
    Ok(keys)
}

fn descend(
    folder: &Path,
    base: &str,
    reserved: &str,
    filter: KeyFilter<'_>,
    keys: &mut Vec<ObjectKey>,
) -> io::Result<()> {
    for path in children(folder, base)? {
        if keys.len() >= filter.keys_max {
            return Ok(());
        }
        match path.strip_suffix('/') {
            Some(inner) if inner == reserved || !may_contain(&path, filter) => {}
            Some(inner) => {
                let name = inner.rsplit('/').next().unwrap_or(inner);
                descend(&folder.join(name), &path, reserved, filter, keys)?;
            }
            None if path.starts_with(filter.prefix) && filter.after.is_none_or(|after| path.as_str() > after) => {
                keys.extend(ObjectKey::new(&path));
            }
            None => {}
        }
    }
    Ok(())
}

/// The paths of a folder's entries relative to the root, sorted. Paths of folders end with a slash, which is part of
/// the sort order: "a-b" precedes the contents of "a" because '-' precedes '/'.
fn children(folder: &Path, base: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        // The folder was deleted after its parent was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        paths.push(format!("{base}{name}{slash}"));
    }
    paths.sort_unstable();
    Ok(paths)
}

/// True if a folder can contain a selected key. `folder` ends with a slash.
fn may_contain(folder: &str, filter: KeyFilter<'_>) -> bool {
    let prefix = filter.prefix;
    let has_prefix = folder.starts_with(prefix) || prefix.starts_with(folder);
    // If the folder precedes `after` and is not a parent of it, all keys in the folder precede `after` too.
    let is_before = filter.after.is_some_and(|after| folder < after && !after.starts_with(folder));
    has_prefix && !is_before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_their_bytes_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        let names = ["a!b", "a-b/c", "a/b", "a/b.c", "a/b0/c", "a0", "b"];
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir_all(root.path().join("reserved/a")).unwrap();
        fs::write(root.path().join("reserved/a/b"), "").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("cycle")).unwrap();
        let list = |prefix, after, keys_max| -> Vec<String> {
            let keys = keys(root.path(), "reserved", KeyFilter { prefix, after, keys_max }).unwrap();
            keys.into_iter().map(|key| key.to_string()).filter(|key| key != "cycle").collect()
        };
        assert_eq!(list("", None, 100), names);
        for (n, name) in names.iter().enumerate() {
            assert_eq!(list("", Some(name), 100), names[n + 1..], "after {name}");
            assert_eq!(list("", None, n + 1), names[..=n], "the first {n}");
        }
        assert_eq!(list("a/b", None, 100), ["a/b", "a/b.c", "a/b0/c"]);
        assert_eq!(list("a/", Some("a/b"), 1), ["a/b.c"]);
        assert!(list("c", None, 100).is_empty());
    }
}
