//! What may be answered: which version of each original was there when.

use std::array;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::fleet::{NODES, Place};
use crate::picture::Identity;

pub const PICTURES: usize = 40;

/// `cache.revalidate_after` of the processes.
pub const REVALIDATE_AFTER: Duration = Duration::from_secs(1);
/// `work.flight_time` of the processes: those who join a flight get what it read when it began.
pub const FLIGHT_TIME: Duration = Duration::from_secs(5);
/// How old an answer may be, and a little for a busy machine.
const BOUND: Duration = Duration::from_millis(1000 + 5000 + 1500);

pub struct Model {
    pictures: Mutex<[History; PICTURES]>,
    /// Held by whoever replaces a picture.
    writing: [tokio::sync::Mutex<()>; PICTURES],
}

#[derive(Default)]
struct History {
    /// The highest version that anybody tried to store.
    begun: u32,
    /// Versions that were seen to be there, and from when on, rising.
    known: Vec<(u32, Instant)>,
    /// For each node and its life: no request that begins now gets an older version, since it was told to forget them.
    floors: [(u64, u32); NODES],
    last_purge: Option<Instant>,
    /// Whether the last write failed, and was not seen to be there: it may be on its way still.
    is_uncertain: bool,
}

impl Model {
    /// No picture is there yet.
    pub fn new() -> Self {
        let pictures = Mutex::new(array::from_fn(|_| History::default()));
        Self { pictures, writing: array::from_fn(|_| tokio::sync::Mutex::default()) }
    }

    fn with<T>(&self, picture: usize, work: impl FnOnce(&mut History) -> T) -> T {
        work(&mut self.pictures.lock().unwrap()[picture])
    }

    /// The next version, if nobody else is replacing this picture now; hold the guard until it is known what came of it.
    pub fn next(&self, picture: usize) -> Option<(Identity, tokio::sync::MutexGuard<'_, ()>)> {
        let guard = self.writing[picture].try_lock().ok()?;
        let version = self.with(picture, |history| {
            history.begun += 1;
            history.begun
        });
        Some((Identity { number: u32::try_from(picture).unwrap(), version }, guard))
    }

    /// This version is there.
    pub fn known(&self, picture: usize, version: u32) {
        self.with(picture, |history| {
            history.known.push((version, Instant::now()));
            history.is_uncertain = false;
        });
    }

    /// This version is there after a write that failed, and may yet arrive.
    pub fn found(&self, picture: usize, version: u32) {
        self.known(picture, version);
        self.with(picture, |history| history.is_uncertain = true);
    }

    /// Looks once more where the last write failed: now it has arrived, or is lost.
    pub async fn settle(&self, bucket: &Bucket) {
        for picture in 0..PICTURES {
            if self.with(picture, |history| history.is_uncertain) {
                self.known(picture, bucket.read_original(picture).await.version);
            }
        }
    }

    /// The newest version that is known to be there.
    pub fn current(&self, picture: usize) -> u32 {
        self.with(picture, |history| history.known.last().unwrap().0)
    }

    /// Puts the next version into the bucket, and finds out what is there if that is not certain.
    pub async fn replace(&self, bucket: &Bucket, picture: usize) {
        let Some((identity, _guard)) = self.next(picture) else { return };
        match bucket.put_original(picture, identity).await {
            Ok(()) => self.known(picture, identity.version),
            Err(_) => self.found(picture, bucket.read_original(picture).await.version),
        }
    }

    /// A node, in this life, has forgotten all that is older than `version`.
    pub fn forgotten(&self, picture: usize, place: &Place, version: u32) {
        self.with(picture, |history| {
            let (life, floor) = &mut history.floors[place.node];
            if *life == place.life {
                *floor = version.max(*floor);
            } else {
                (*life, *floor) = (place.life, version);
            }
        });
    }

    /// Variants of this picture were deleted, or are about to be.
    pub fn purging(&self, picture: usize) {
        self.with(picture, |history| history.last_purge = Some(Instant::now()));
    }

    /// Whether a redirect may lead to nothing: another node may have purged what this one remembers.
    pub fn was_purged_lately(&self, picture: usize) -> bool {
        self.with(picture, |history| history.last_purge.is_some_and(|purge| purge.elapsed() < BOUND))
    }

    /// The oldest version that a request to this node which begins now may get, if the store answers.
    pub fn floor(&self, picture: usize, place: &Place) -> u32 {
        self.with(picture, |history| {
            let (life, floor) = history.floors[place.node];
            let forgotten = if life == place.life { floor } else { 0 };
            let outdated = |(_, from): &&(u32, Instant)| from.elapsed() > BOUND;
            let fresh = history.known.iter().rev().find(outdated).map_or(0, |(version, _)| *version);
            forgotten.max(fresh)
        })
    }

    /// The newest version there can be.
    pub fn ceiling(&self, picture: usize) -> u32 {
        self.with(picture, |history| history.begun)
    }
}
