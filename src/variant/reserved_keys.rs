//! Keys of the originals' store that no client may address, and the maximum lengths of all other keys.

use super::{KeyError, ObjectKey};
use crate::config::StoreAddress;

/// Prefix of reserved names. File stores keep attributes and temporary files in a folder with this prefix.
const HIDDEN: &str = ".resized";

/// Longest path that is appended to an original's key: `/65535x65535_crop_bottom_right_q100.webp`.
const LEAF_BYTES_MAX: usize = 40;

/// Keys that belong to the proxy, and the maximum lengths of other keys, which depend on the prefixes of both stores.
#[derive(Debug, Clone)]
pub(super) struct ReservedKeys {
    /// Prefix of the variants within the originals' store, if they are stored there.
    variants: Option<String>,
    original_bytes_max: usize,
    /// Maximum for the original of a variant, whose key must leave room for the rest of the variant's key.
    parent_bytes_max: usize,
}

impl ReservedKeys {
    /// Compares `originals.store` with `variants.store`.
    ///
    /// # Errors
    /// Variants would be stored among the originals. The error is a phrase about `variants.store`.
    pub(super) fn new(originals: &StoreAddress, variants: &StoreAddress) -> Result<Self, &'static str> {
        let inside = variants.relative_to(originals);
        if inside.as_deref() == Some("") {
            return Err("is the same as originals.store: give the variants a separate prefix or folder");
        }
        if originals.relative_to(variants).is_some() {
            return Err(
                "contains originals.store: give the variants a prefix or folder next to or below the originals'",
            );
        }
        let parent_bytes_max = key_bytes_max(variants).saturating_sub(LEAF_BYTES_MAX);
        Ok(Self { variants: inside, original_bytes_max: key_bytes_max(originals), parent_bytes_max })
    }

    /// True if no client may address `key`: it is a variant or an internal file of a file store.
    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        let key = key.as_str();
        let is_below =
            |prefix: &str| key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // Some file systems ignore case.
        let is_hidden = |segment: &str| segment.get(..HIDDEN.len()).is_some_and(|s| s.eq_ignore_ascii_case(HIDDEN));
        self.variants.as_deref().is_some_and(is_below) || key.split('/').any(is_hidden)
    }

    /// Checks the length of the key of an original.
    ///
    /// # Errors
    /// `key` is too long with the prefix of the originals' store.
    pub(super) fn check_original(&self, key: &ObjectKey) -> Result<(), KeyError> {
        at_most(key, self.original_bytes_max)
    }

    /// Checks that the key of an original leaves room for the keys of its variants.
    ///
    /// # Errors
    /// The key of a variant of `key` is too long with the prefix of the variants' store.
    pub(super) fn check_parent(&self, key: &ObjectKey) -> Result<(), KeyError> {
        at_most(key, self.parent_bytes_max)
    }
}

fn at_most(key: &ObjectKey, max: usize) -> Result<(), KeyError> {
    let bytes = key.as_str().len();
    if bytes > max { Err(KeyError::TooLong { bytes, max }) } else { Ok(()) }
}

/// S3 limits the length of a key including the store's prefix and the slash after it. Paths of files have no such limit.
fn key_bytes_max(store: &StoreAddress) -> usize {
    let prefix_bytes = match store {
        StoreAddress::S3 { prefix, .. } if !prefix.is_empty() => prefix.len() + 1,
        StoreAddress::S3 { .. } | StoreAddress::File { .. } => 0,
    };
    ObjectKey::BYTES_MAX.saturating_sub(prefix_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(originals: &str, variants: &str) -> Result<ReservedKeys, &'static str> {
        ReservedKeys::new(&originals.parse().unwrap(), &variants.parse().unwrap())
    }

    #[test]
    fn variants_inside_the_originals_store_are_reserved() {
        let inside = reserved("s3://b/originals", "s3://b/originals/a/b/").unwrap();
        assert_eq!(inside.variants.as_deref(), Some("a/b"));
        let apart = reserved("file:samples", "file:variants").unwrap();
        assert_eq!(apart.variants, None);
    }

    #[test]
    fn variants_among_or_around_the_originals_are_refused() {
        let refused = [
            ("s3://b/a", "s3://b/a/"),
            ("s3://b/a", "s3://b"),
            ("file:data/originals", "file:data"),
            ("file:a", "file:./a"),
        ];
        for (originals, variants) in refused {
            assert!(reserved(originals, variants).is_err(), "{originals} {variants}");
        }
    }

    #[test]
    fn prefixes_of_the_stores_count_towards_the_length_of_a_key() {
        let keys = reserved("s3://b/abc", "s3://b/variants").unwrap();
        assert_eq!(keys.original_bytes_max, 1024 - 4);
        assert_eq!(keys.parent_bytes_max, 1024 - 9 - 40);
    }
}
