//! Variants of one original that are asked for at the same time: they share its download and its decoding.
//!
//! A batch is open from when its original is first wanted until a resize thread begins with it; whoever comes meanwhile
//! joins. It knows who waits for what, and neither stores nor pixels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use super::invalidation_log::{Moment, Purges};
use super::rendition::Steps;
use crate::observability::traces;
use crate::proxy::error::Failure;
use crate::resize::OutputSpec;
use crate::variant::{ObjectKey, Variant};

/// The batches that may still be joined.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    open: Mutex<HashMap<ObjectKey, Arc<Batch>, RandomState>>,
}

/// Those who wait for variants of one original.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) original: ObjectKey,
    /// Before the original was read, as purges and as clocks tell it.
    pub(crate) as_of: Moment,
    pub(crate) began: Instant,
    /// Of the flight that sees to it.
    span: traces::SpanLink,
    members: Mutex<Vec<Member>>,
}

/// One who waits.
#[derive(Debug)]
struct Member {
    wanted: OutputSpec,
    is_taken: bool,
    /// `None` once it has been answered.
    reply: Option<oneshot::Sender<Result<Made, Failure>>>,
}

/// A variant's bytes, and what they were made of.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Bytes,
    pub(crate) original_etag: Box<str>,
    pub(crate) as_of: Moment,
    pub(crate) began: Instant,
    pub(crate) steps: Steps,
}

/// How one came to be a member.
pub(crate) enum Boarded {
    /// There was no batch: it has to see that this one is made.
    Opened(Arc<Batch>),
    /// A flight of this span sees to it.
    Joined(traces::SpanLink),
}

/// What a member waits for.
pub(crate) type Awaited = oneshot::Receiver<Result<Made, Failure>>;

/// Variants made by one decoding: a hundred of them would keep a thread, and those who wait, for too long.
const TAKEN_MAX: usize = 16;

impl Batches {
    /// Joins the open batch of the variant's original. Where there is none, or that was purged since, one is opened.
    pub(crate) fn board(&self, variant: &Variant, purges: &Purges) -> (Awaited, Boarded) {
        let (reply, awaited) = oneshot::channel();
        let wanted = OutputSpec { geometry: variant.geometry, encoding: variant.encoding };
        let member = Member { wanted, is_taken: false, reply: Some(reply) };
        let mut open = lock(&self.open);
        let joined = open.get(&variant.original).filter(|batch| !purges.since(batch.as_of, &batch.original));
        if let Some(batch) = joined {
            lock(&batch.members).push(member);
            return (awaited, Boarded::Joined(batch.span.clone()));
        }
        let members = Mutex::new(vec![member]);
        let batch = Arc::new(Batch {
            original: variant.original.clone(),
            as_of: purges.now(),
            began: Instant::now(),
            span: traces::SpanLink::current(),
            members,
        });
        open.insert(variant.original.clone(), batch.clone());
        (awaited, Boarded::Opened(batch))
    }

    /// How many wait in batches that may still be joined.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.open).values().map(|batch| lock(&batch.members).len()).sum()
    }

    /// Lets nobody join `batch` any more.
    pub(crate) fn close(&self, batch: &Arc<Batch>) {
        let mut open = lock(&self.open);
        if open.get(&batch.original).is_some_and(|open| Arc::ptr_eq(open, batch)) {
            open.remove(&batch.original);
        }
    }
}

impl Batch {
    /// What is waited for and has not been taken: in the order of its coming, no more than are made at once.
    pub(crate) fn wanted(&self) -> Vec<OutputSpec> {
        lock(&self.members).iter().filter(|member| member.waits()).map(|member| member.wanted).take(TAKEN_MAX).collect()
    }

    /// Takes as many of those as `fit` together, and says which members they are.
    pub(crate) fn take(&self, fit: impl Fn(&[OutputSpec]) -> bool) -> Vec<(usize, OutputSpec)> {
        let mut members = lock(&self.members);
        let (mut taken, mut wanted) = (Vec::new(), Vec::new());
        for (place, member) in members.iter_mut().enumerate().filter(|(_, member)| member.waits()) {
            wanted.push(member.wanted);
            if taken.len() == TAKEN_MAX || !fit(&wanted) {
                break;
            }
            member.is_taken = true;
            taken.push((place, member.wanted));
        }
        taken
    }

    /// Answers the first who waits: what it wants can never be made.
    pub(crate) fn refuse_first(&self, failure: Failure) {
        let first = lock(&self.members).iter_mut().find(|member| member.waits()).and_then(|member| member.reply.take());
        first.map(|reply| reply.send(Err(failure)));
    }

    /// Answers a member, if it has not been answered.
    pub(crate) fn answer(&self, place: usize, made: Result<Made, Failure>) {
        let reply = lock(&self.members).get_mut(place).and_then(|member| member.reply.take());
        // One that does not wait any more hears nothing.
        reply.map(|reply| reply.send(made));
    }

    /// Answers all who have not been answered.
    pub(crate) fn fail(&self, failure: &Failure) {
        for reply in lock(&self.members).iter_mut().filter_map(|member| member.reply.take()) {
            let _ = reply.send(Err(failure.clone()));
        }
    }
}

impl Member {
    fn waits(&self) -> bool {
        !self.is_taken && self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

/// What is locked is whole at every unlock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
