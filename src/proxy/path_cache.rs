//! What paths name, remembered: the path of a hit is read once.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use crate::variant::{Grammar, Named, PathError};

/// A table in which each path has one place, and the latest to come there keeps it.
///
/// Reading a path costs several times what all else does that finds an answer in memory. A reading depends on the path and the
/// grammar alone, so it is never out of date.
#[derive(Debug)]
pub(super) struct Readings {
    places: Box<[Mutex<Option<Reading>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Reading {
    path: Box<str>,
    named: Arc<Named>,
}

/// Of a kilobyte each, at most.
const PLACES: usize = 4096;

/// Longer paths are read each time: they are no one's hits, and would fill memory.
const PATH_BYTES_MAX: usize = 256;

impl Default for Readings {
    fn default() -> Self {
        let places = std::iter::repeat_with(Mutex::default).take(PLACES).collect();
        Self { places, hasher: RandomState::default() }
    }
}

impl Readings {
    /// As [`Grammar::parse`]; always by the same grammar.
    pub(super) fn parse(&self, grammar: &Grammar, path: &str) -> Result<Arc<Named>, PathError> {
        if path.len() > PATH_BYTES_MAX {
            return grammar.parse(path).map(Arc::new);
        }
        // The hash fits: its remainder is below `PLACES`.
        let place = &self.places[(self.hasher.hash_one(path) % PLACES as u64) as usize];
        // Nobody waits here: a place that another thread looks at is as good as empty.
        if let Ok(reading) = place.try_lock()
            && let Some(reading) = reading.as_ref().filter(|reading| *reading.path == *path)
        {
            return Ok(reading.named.clone());
        }
        let named = Arc::new(grammar.parse(path)?);
        if let Ok(mut reading) = place.try_lock() {
            *reading = Some(Reading { path: path.into(), named: named.clone() });
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_remembered_reading_is_the_grammars_own_whatever_was_read_in_between() {
        let grammar = Grammar::new(&Config::default()).unwrap();
        let readings = Readings::default();
        // More paths than places, so that each place is taken from others many times.
        for _ in 0..2 {
            for n in 0..2 * PLACES {
                let path = format!("/photos/cat{n}_{}x200.jpg", 1 + n % 500);
                let again = readings.parse(&grammar, &path);
                assert_eq!(again, readings.parse(&grammar, &path));
                assert_eq!(again.as_deref(), grammar.parse(&path).as_ref());
            }
        }
        assert_eq!(readings.parse(&grammar, "/a%2").unwrap_err(), grammar.parse("/a%2").unwrap_err());
        let long = format!("/{}_300x200.jpg", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(readings.parse(&grammar, &long).as_deref(), grammar.parse(&long).as_ref());
    }
}
