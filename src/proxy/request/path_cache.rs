//! A cache of parsed paths, so that the path of a cache hit is not parsed again.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use crate::variant::{Grammar, ParsedPath, PathError};

/// A direct-mapped table: each path has one slot, and the latest path with that slot is kept.
///
/// Parsing costs several times as much as the rest of a cache hit. The result depends only on the path and the grammar,
/// so entries never become stale.
#[derive(Debug)]
pub(in crate::proxy) struct PathCache {
    grammar: Grammar,
    slots: Box<[Mutex<Option<CachedPath>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct CachedPath {
    path: Box<str>,
    parsed: Arc<ParsedPath>,
}

/// Number of slots. A slot takes at most about a kilobyte.
const SLOTS: usize = 4096;

/// Longer paths are not cached, because they would fill memory and are unlikely to be requested often.
const PATH_BYTES_MAX: usize = 256;

impl PathCache {
    pub(in crate::proxy) fn new(grammar: Grammar) -> Self {
        let slots = std::iter::repeat_with(Mutex::default).take(SLOTS).collect();
        Self { grammar, slots, hasher: RandomState::default() }
    }

    /// The grammar of all paths in the cache.
    pub(in crate::proxy) fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// Returns the result of [`Grammar::parse`], from the cache if possible.
    pub(in crate::proxy) fn parse(&self, path: &str) -> Result<Arc<ParsedPath>, PathError> {
        if path.len() > PATH_BYTES_MAX {
            return self.grammar.parse(path).map(Arc::new);
        }
        // The cast is lossless: the remainder is below `SLOTS`.
        let slot = &self.slots[(self.hasher.hash_one(path) % SLOTS as u64) as usize];
        // A slot that another thread has locked counts as a miss, so no request waits here.
        if let Ok(entry) = slot.try_lock()
            && let Some(entry) = entry.as_ref().filter(|entry| *entry.path == *path)
        {
            return Ok(entry.parsed.clone());
        }
        let parsed = Arc::new(self.grammar.parse(path)?);
        if let Ok(mut entry) = slot.try_lock() {
            *entry = Some(CachedPath { path: path.into(), parsed: parsed.clone() });
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_cached_path_parses_as_the_grammar_parses_it() {
        let grammar = Grammar::new(&Config::default()).unwrap();
        let cache = PathCache::new(grammar.clone());
        // More paths than slots, so that paths evict each other many times.
        for _ in 0..2 {
            for n in 0..2 * SLOTS {
                let path = format!("/photos/cat{n}_{}x200.jpg", 1 + n % 500);
                let parsed = cache.parse(&path);
                assert_eq!(parsed, cache.parse(&path));
                assert_eq!(parsed.as_deref(), grammar.parse(&path).as_ref());
            }
        }
        assert_eq!(cache.parse("/a%2").unwrap_err(), grammar.parse("/a%2").unwrap_err());
        let long = format!("/{}_300x200.jpg", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(cache.parse(&long).as_deref(), grammar.parse(&long).as_ref());
    }
}
