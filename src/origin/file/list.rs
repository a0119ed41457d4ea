//! The files below a folder, as keys in the order of their bytes: the order in which buckets list.

use std::fs;
use std::io;
use std::path::Path;

use crate::variant::ObjectKey;

/// Which keys are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// What they begin with.
    pub(super) prefix: &'a str,
    /// Only those behind it.
    pub(super) after: Option<&'a str>,
    /// At most so many.
    pub(super) keys_max: usize,
}

/// The first keys below `root` that are wanted, without the folder `own`. A link to a folder is not followed, since it could
/// lead round in a circle; a name that can be no key is passed over.
pub(super) fn keys(root: &Path, own: &str, wanted: Wanted<'_>) -> io::Result<Vec<ObjectKey>> {
    let mut keys = Vec::new();
    descend(root, "", own, wanted, &mut keys)?;
    Ok(keys)
}

fn descend(folder: &Path, base: &str, own: &str, wanted: Wanted<'_>, keys: &mut Vec<ObjectKey>) -> io::Result<()> {
    for path in children(folder, base)? {
        if keys.len() >= wanted.keys_max {
            return Ok(());
        }
        match path.strip_suffix('/') {
            Some(inner) if inner == own || !leads_to(&path, wanted) => {}
            Some(inner) => {
                let name = inner.rsplit('/').next().unwrap_or(inner);
                descend(&folder.join(name), &path, own, wanted, keys)?;
            }
            None if path.starts_with(wanted.prefix) && wanted.after.is_none_or(|after| path.as_str() > after) => {
                keys.extend(ObjectKey::new(&path));
            }
            None => {}
        }
    }
    Ok(())
}

/// The paths of a folder's entries below the root, in order. Folders end with a slash and are sorted with it: "a-b" comes
/// before what is in "a", since '-' comes before '/'.
fn children(folder: &Path, base: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        // It was deleted since its parent was read.
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

/// Whether a wanted key can be in a folder; `folder` ends with a slash.
fn leads_to(folder: &str, wanted: Wanted<'_>) -> bool {
    let prefix = wanted.prefix;
    let in_prefix = folder.starts_with(prefix) || prefix.starts_with(folder);
    // Everything in it lies before `after` if the folder does and is not on the way to it.
    let passed = wanted.after.is_some_and(|after| folder < after && !after.starts_with(folder));
    in_prefix && !passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_the_order_of_their_bytes_however_deep_they_are() {
        let root = tempfile::tempdir().unwrap();
        let names = ["a!b", "a-b/c", "a/b", "a/b.c", "a/b0/c", "a0", "b"];
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir_all(root.path().join("own/a")).unwrap();
        fs::write(root.path().join("own/a/b"), "").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("circle")).unwrap();
        let ask = |prefix, after, keys_max| -> Vec<String> {
            let keys = keys(root.path(), "own", Wanted { prefix, after, keys_max }).unwrap();
            keys.into_iter().map(|key| key.to_string()).filter(|key| key != "circle").collect()
        };
        assert_eq!(ask("", None, 100), names);
        for (n, name) in names.iter().enumerate() {
            assert_eq!(ask("", Some(name), 100), names[n + 1..], "after {name}");
            assert_eq!(ask("", None, n + 1), names[..=n], "the first {n}");
        }
        assert_eq!(ask("a/b", None, 100), ["a/b", "a/b.c", "a/b0/c"]);
        assert_eq!(ask("a/", Some("a/b"), 1), ["a/b.c"]);
        assert!(ask("c", None, 100).is_empty());
    }
}
