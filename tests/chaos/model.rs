//! The model of the store: which version of each original existed at which time, and so which answers are allowed.

use std::array;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::fleet::{NODES, NodeInstance};
use crate::picture::Identity;

pub const PICTURES: usize = 40;

/// `cache.revalidate_after` of the processes.
pub const REVALIDATE_AFTER: Duration = Duration::from_secs(1);
/// `work.flight_time` of the processes: a request that joins a flight gets the version that the flight read when it began.
pub const FLIGHT_TIME: Duration = Duration::from_secs(5);
/// Highest age of an answer: one revalidation interval, one flight, and a margin for a busy machine.
const STALENESS_MAX: Duration = Duration::from_millis(1000 + 5000 + 1500);

pub struct Model {
    pictures: Mutex<[History; PICTURES]>,
    /// Held while a picture is replaced.
    writing: [tokio::sync::Mutex<()>; PICTURES],
}

#[derive(Default)]
struct History {
    /// Highest version that a client tried to store.
    begun: u32,
    /// Versions known to be stored, each with the time it was confirmed; ascending.
    known: Vec<(u32, Instant)>,
    /// For each node: its PID, and the oldest version that the process may still serve.
    floors: [(u64, u32); NODES],
    last_purge: Option<Instant>,
    /// True if the last write failed and may still arrive.
    is_uncertain: bool,
}

impl Model {
    /// An empty store.
    pub fn new() -> Self {
        let pictures = Mutex::new(array::from_fn(|_| History::default()));
        Self { pictures, writing: array::from_fn(|_| tokio::sync::Mutex::default()) }
    }

    fn with<T>(&self, picture: usize, work: impl FnOnce(&mut History) -> T) -> T {
        work(&mut self.pictures.lock().unwrap()[picture])
    }

    /// Reserves the next version; `None` if another client is replacing this picture. Hold the guard until the outcome is recorded.
    pub fn begin_replace(&self, picture: usize) -> Option<(Identity, tokio::sync::MutexGuard<'_, ()>)> {
        let guard = self.writing[picture].try_lock().ok()?;
        let version = self.with(picture, |history| {
            history.begun += 1;
            history.begun
        });
        Some((Identity { number: u32::try_from(picture).unwrap(), version }, guard))
    }

    /// Records that this version is stored.
    pub fn record_stored(&self, picture: usize, version: u32) {
        self.with(picture, |history| {
            history.known.push((version, Instant::now()));
            history.is_uncertain = false;
        });
    }

    /// Records the version found in the bucket after a failed write, which may still arrive.
    pub fn record_observed(&self, picture: usize, version: u32) {
        self.record_stored(picture, version);
        self.with(picture, |history| history.is_uncertain = true);
    }

    /// Reads every original whose last write failed: by now the write has arrived or is lost.
    pub async fn resolve_uncertain(&self, bucket: &Bucket) {
        for picture in 0..PICTURES {
            if self.with(picture, |history| history.is_uncertain) {
                self.record_stored(picture, bucket.read_original(picture).await.version);
            }
        }
    }

    /// Newest version known to be stored.
    pub fn current(&self, picture: usize) -> u32 {
        self.with(picture, |history| history.known.last().unwrap().0)
    }

    /// Stores the next version, and reads the original back if the write failed.
    pub async fn replace(&self, bucket: &Bucket, picture: usize) {
        let Some((identity, _guard)) = self.begin_replace(picture) else { return };
        match bucket.put_original(picture, identity).await {
            Ok(()) => self.record_stored(picture, identity.version),
            Err(_) => self.record_observed(picture, bucket.read_original(picture).await.version),
        }
    }

    /// Records that a process has dropped every version older than `version`.
    pub fn invalidated(&self, picture: usize, instance: &NodeInstance, version: u32) {
        self.with(picture, |history| {
            let (pid, floor) = &mut history.floors[instance.node];
            if *pid == instance.pid {
                *floor = version.max(*floor);
            } else {
                (*pid, *floor) = (instance.pid, version);
            }
        });
    }

    /// Records that variants of this picture are being deleted.
    pub fn record_purge(&self, picture: usize) {
        self.with(picture, |history| history.last_purge = Some(Instant::now()));
    }

    /// True while a redirect may lead to a deleted variant: another node may have purged what this one has cached.
    pub fn was_purged_recently(&self, picture: usize) -> bool {
        self.with(picture, |history| history.last_purge.is_some_and(|purge| purge.elapsed() < STALENESS_MAX))
    }

    /// Oldest version that a new request to this process may get while the store answers.
    pub fn oldest_allowed(&self, picture: usize, instance: &NodeInstance) -> u32 {
        self.with(picture, |history| {
            let (pid, floor) = history.floors[instance.node];
            let invalidated = if pid == instance.pid { floor } else { 0 };
            let is_outdated = |(_, from): &&(u32, Instant)| from.elapsed() > STALENESS_MAX;
            let fresh = history.known.iter().rev().find(is_outdated).map_or(0, |(version, _)| *version);
            invalidated.max(fresh)
        })
    }

    /// Newest version that any client tried to store.
    pub fn newest_possible(&self, picture: usize) -> u32 {
        self.with(picture, |history| history.begun)
    }
}
