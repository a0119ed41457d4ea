//! Which keys of the originals' store are not originals, and how long the others may be.
//!
//! Stores are compared as they are written in the config. Symbolic links, and one folder written once relative and
//! once absolute, are not seen through: this module reads no disk.

use super::{KeyError, ObjectKey};

/// Segments with this beginning are where a store of files keeps its own work.
const HIDDEN: &str = ".resized";

/// What `/{geometry}_q{Q}.{format}` takes at most: `/65535x65535_crop_bottom_right_q100.webp`.
const LEAF_BYTES_MAX: usize = 40;

/// The keys that belong to the proxy, and the room that prefixes leave to all others.
#[derive(Debug, Clone)]
pub(super) struct Territory {
    /// Where the variants lie within the originals' store, if they do.
    variants: Option<String>,
    original_bytes_max: usize,
    /// For the original of a variant: its key has to leave room for the variant's.
    parent_bytes_max: usize,
}

impl Territory {
    /// Compares the stores as `originals.store` and `variants.store` have them.
    ///
    /// # Errors
    /// A sentence on `variants.store`: variants would be written among the originals.
    pub(super) fn new(originals: &str, variants: &str) -> Result<Self, &'static str> {
        let (originals, variants) = (Place::of(originals), Place::of(variants));
        if originals == variants {
            return Err("is the same as originals.store: give the variants a prefix or folder of their own");
        }
        if originals.within(&variants).is_some() {
            return Err("holds originals.store: give the variants a prefix or folder beside or below the originals'");
        }
        let parent_bytes_max = variants.key_bytes_max().saturating_sub(LEAF_BYTES_MAX);
        let original_bytes_max = originals.key_bytes_max();
        Ok(Self { variants: variants.within(&originals), original_bytes_max, parent_bytes_max })
    }

    /// Whether no client may address `key`: it is a variant, or something a store of files keeps for itself.
    pub(super) fn holds(&self, key: &ObjectKey) -> bool {
        let key = key.as_str();
        let below =
            |prefix: &str| key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // File systems may fold case, so it is folded here.
        let hidden = |segment: &str| segment.get(..HIDDEN.len()).is_some_and(|s| s.eq_ignore_ascii_case(HIDDEN));
        self.variants.as_deref().is_some_and(below) || key.split('/').any(hidden)
    }

    /// # Errors
    /// `key` would be too long behind the prefix of the originals' store.
    pub(super) fn check_original(&self, key: &ObjectKey) -> Result<(), KeyError> {
        at_most(key, self.original_bytes_max)
    }

    /// # Errors
    /// The key of a variant of `key` would be too long behind the prefix of the variants' store.
    pub(super) fn check_parent(&self, key: &ObjectKey) -> Result<(), KeyError> {
        at_most(key, self.parent_bytes_max)
    }
}

fn at_most(key: &ObjectKey, max: usize) -> Result<(), KeyError> {
    let bytes = key.as_str().len();
    if bytes > max { Err(KeyError::TooLong { bytes, max }) } else { Ok(()) }
}

/// A store as the config names it, taken apart.
#[derive(Debug, PartialEq)]
struct Place<'t> {
    /// `s3` or `file`; anything else is for the store itself to refuse.
    kind: &'t str,
    /// Whether a folder starts at the root.
    absolute: bool,
    /// The bucket and the prefix, or the folders.
    segments: Vec<&'t str>,
}

impl<'t> Place<'t> {
    fn of(store: &'t str) -> Self {
        let (kind, rest) = store.split_once(':').unwrap_or(("", store));
        let segments = rest.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        Self { kind, absolute: kind == "file" && rest.starts_with('/'), segments }
    }

    /// The way from `outer` down to this, if this is inside: `variants` for `s3://b/a/variants` in `s3://b/a`.
    fn within(&self, outer: &Self) -> Option<String> {
        let same_root = self.kind == outer.kind && self.absolute == outer.absolute;
        let way = self.segments.strip_prefix(outer.segments.as_slice())?;
        (same_root && !way.is_empty()).then(|| way.join("/"))
    }

    /// What is left of S3's limit once the prefix and its slash are written. Paths of files have room enough.
    fn key_bytes_max(&self) -> usize {
        let prefix = match self.kind {
            "s3" => self.segments.iter().skip(1).map(|segment| segment.len() + 1).sum(),
            _ => 0,
        };
        ObjectKey::BYTES_MAX.saturating_sub(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(originals: &str, variants: &str) -> Option<String> {
        Territory::new(originals, variants).unwrap().variants
    }

    #[test]
    fn variants_inside_the_originals_are_found_however_the_stores_are_written() {
        let inside = [
            ("s3://b/originals", "s3://b/originals/variants", "variants"),
            ("s3://b/originals/", "s3://b/originals/a/b/", "a/b"),
            ("s3://b", "s3://b/variants", "variants"),
            ("file:data", "file:./data/variants/", "variants"),
            ("file:.", "file:variants", "variants"),
            ("file:/srv/data", "file:///srv/data/.v", ".v"),
        ];
        for (originals, variants, way) in inside {
            assert_eq!(reserved(originals, variants).as_deref(), Some(way), "{originals} {variants}");
        }
    }

    #[test]
    fn variants_beside_the_originals_reserve_nothing() {
        let beside = [
            ("s3://b/originals", "s3://b/originals-variants"),
            ("s3://b/originals", "s3://b/variants"),
            ("s3://b", "s3://c/b"),
            ("file:samples", "file:variants"),
            ("file:data", "file:/data/variants"),
            ("file:b/originals", "s3://b/originals/variants"),
        ];
        for (originals, variants) in beside {
            assert_eq!(reserved(originals, variants), None, "{originals} {variants}");
        }
    }

    #[test]
    fn variants_among_or_around_the_originals_are_refused() {
        for (originals, variants) in
            [("s3://b/a", "s3://b/a/"), ("s3://b/a", "s3://b"), ("file:data/originals", "file:data")]
        {
            assert!(Territory::new(originals, variants).is_err(), "{originals} {variants}");
        }
    }

    #[test]
    fn the_stores_prefixes_count_towards_the_length_of_a_key() {
        let territory = Territory::new("s3://b/abc", "s3://b/variants").unwrap();
        assert_eq!(territory.original_bytes_max, 1024 - 4);
        assert_eq!(territory.parent_bytes_max, 1024 - 9 - 40);
    }
}
