//! Batches: variants of one original that are requested at the same time share its download and decoding.
//!
//! A batch is open from the first request for its original until a resize thread starts with it, or until it waits for
//! the slow lane; requests that arrive meanwhile join. A batch records which requests wait for which variant. It does not access stores or pixels.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(super) mod idle;
pub(super) mod job;
pub(super) mod preview;
pub(super) mod sanitize;
pub(super) mod run;

use super::error::Error;
use super::memory::MadeMemory;
use super::store::invalidation_log::{Epoch, InvalidationLog};
use super::timings::Timings;
use crate::observability::traces;
use crate::resize::{JobOwner, OutputSpec};
use crate::variant::{ObjectKey, Variant};

/// The open batches by original.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: Mutex<HashMap<ObjectKey, Arc<Batch>, RandomState>>,
}

/// The requests for variants of one original.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) original: ObjectKey,
    /// End of the invalidation log before the original was read.
    pub(super) epoch: Epoch,
    /// A time before the original was read.
    pub(super) opened_at: Instant,
    /// Span of the flight that runs the batch.
    span: traces::SpanLink,
    members: Mutex<Vec<Member>>,
}

/// A request that waits for one variant.
#[derive(Debug)]
struct Member {
    output: OutputSpec,
    client: BatchClient,
    choice: FormatChoice,
    is_claimed: bool,
    /// `None` once the reply is sent.
    reply: Option<oneshot::Sender<Result<MadeVariant, Error>>>,
}

/// The client on whose behalf a member waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchClient {
    /// A client that is charged for the variant, because it is new.
    Charged(IpAddr),
    /// A client that is not charged.
    Free(IpAddr),
    /// The operator.
    Operator,
}

/// How the format of a variant was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormatChoice {
    /// The URL names it.
    Url,
    /// `Accept` prefers it to the format in the URL.
    Accept,
    /// `Accept` prefers it, but it is only looked up, because it is made later.
    Later,
}

/// The client that asks for a variant, and how its format was chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub(super) client: BatchClient,
    pub(super) choice: FormatChoice,
}

/// A member whose variant is being made.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimedMember {
    pub(super) index: usize,
    pub(super) output: OutputSpec,
    pub(super) client: BatchClient,
    /// CPU time that the client was charged.
    pub(super) charged: Duration,
}

/// The bytes of a variant, and the version of the original that they were made from.
#[derive(Debug)]
pub(super) struct MadeVariant {
    pub(super) bytes: Bytes,
    pub(super) memory: MadeMemory,
    pub(super) original_etag: Box<str>,
    /// End of the invalidation log before the original was read.
    pub(super) epoch: Epoch,
    /// A time before the original was read.
    pub(super) checked_at: Instant,
    /// True if the original has a gain map.
    pub(super) has_gain_map: bool,
    pub(super) timings: Timings,
}

/// How a request became a member of a batch.
pub(super) enum Membership {
    /// It opened the batch and has to run it.
    Opened(Arc<Batch>),
    /// It joined the batch of the flight with this span.
    Joined(traces::SpanLink),
}

/// The reply that a member waits for.
pub(super) type PendingVariant = oneshot::Receiver<Result<MadeVariant, Error>>;

/// Maximum number of variants per decoding. More would occupy a resize thread for too long.
pub(super) const DECODING_VARIANTS_MAX: usize = 16;

impl Batches {
    /// Joins the open batch of the variant's original. Opens a new batch if the original has no open one or was purged
    /// since that batch was opened.
    pub(super) fn join_or_open(
        &self,
        variant: &Variant,
        Demand { client, choice }: Demand,
        log: &InvalidationLog,
    ) -> (PendingVariant, Membership) {
        let (reply, pending) = oneshot::channel();
        let member = Member {
            output: OutputSpec { geometry: variant.geometry, encoding: variant.encoding },
            client,
            choice,
            is_claimed: false,
            reply: Some(reply),
        };
        let mut open = lock(&self.open);
        let current = open.get(&variant.original).filter(|batch| !log.invalidated_since(batch.epoch, &batch.original));
        if let Some(batch) = current {
            lock(&batch.members).push(member);
            return (pending, Membership::Joined(batch.span.clone()));
        }
        let batch = Arc::new(Batch {
            original: variant.original.clone(),
            epoch: log.current(),
            opened_at: Instant::now(),
            span: traces::SpanLink::current(),
            members: Mutex::new(vec![member]),
        });
        open.insert(variant.original.clone(), batch.clone());
        (pending, Membership::Opened(batch))
    }

    /// Number of requests in open batches.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.open).values().map(|batch| lock(&batch.members).len()).sum()
    }

    /// Closes `batch` to further members.
    pub(super) fn close(&self, batch: &Arc<Batch>) {
        let mut open = lock(&self.open);
        if open.get(&batch.original).is_some_and(|open| Arc::ptr_eq(open, batch)) {
            open.remove(&batch.original);
        }
    }
}

impl Batch {
    /// The outputs of waiting members in order of arrival, and the client of the first.
    pub(super) fn pending(&self) -> (Vec<OutputSpec>, BatchClient) {
        let members = lock(&self.members);
        let waiting = || members.iter().filter(|member| member.waits());
        let client = waiting().next().map_or(BatchClient::Operator, |member| member.client);
        (waiting().map(|member| member.output).collect(), client)
    }

    /// Claims the first waiting members that `is_wanted` accepts and whose outputs together satisfy `fits`. A member for
    /// which `charge` fails gets the error as its reply instead.
    pub(super) fn claim(
        &self,
        is_wanted: impl Fn(OutputSpec) -> bool,
        fits: impl Fn(&[OutputSpec]) -> bool,
        charge: impl Fn(OutputSpec, BatchClient) -> Result<Duration, Error>,
    ) -> Vec<ClaimedMember> {
        let mut members = lock(&self.members);
        let (mut claimed, mut outputs) = (Vec::new(), Vec::new());
        let waiting = members.iter_mut().enumerate().filter(|(_, member)| member.waits() && is_wanted(member.output));
        for (index, member) in waiting {
            outputs.push(member.output);
            if claimed.len() == DECODING_VARIANTS_MAX || !fits(&outputs) {
                break;
            }
            let (output, client) = (member.output, member.client);
            match charge(output, client) {
                Ok(charged) => {
                    member.is_claimed = true;
                    claimed.push(ClaimedMember { index, output, client, charged });
                }
                Err(error) => {
                    outputs.pop();
                    member.answer(Err(error));
                }
            }
        }
        claimed
    }

    /// Replies to all waiting members with this output, which can never be made.
    pub(super) fn reject(&self, output: OutputSpec, error: &Error) {
        for member in lock(&self.members).iter_mut().filter(|member| member.waits() && member.output == output) {
            member.answer(Err(error.clone()));
        }
    }

    /// Replies to all waiting members whose format `Accept` chose: the original has a gain map.
    pub(super) fn keep_gain_map(&self) {
        let chosen = |member: &&mut Member| member.waits() && member.choice != FormatChoice::Url;
        for member in lock(&self.members).iter_mut().filter(chosen) {
            member.answer(Err(Error::HasGainMap));
        }
    }

    /// Replies to a member, unless it already has a reply.
    pub(super) fn reply(&self, index: usize, made: Result<MadeVariant, Error>) {
        if let Some(member) = lock(&self.members).get_mut(index) {
            member.answer(made);
        }
    }

    /// Replies to all members that have no reply yet.
    pub(super) fn fail(&self, error: &Error) {
        lock(&self.members).iter_mut().for_each(|member| member.answer(Err(error.clone())));
    }
}

impl FormatChoice {
    /// The choice of a flight that revalidates a variant in memory.
    pub(super) fn revalidating(self) -> Self {
        match self {
            Self::Url | Self::Accept => Self::Url,
            Self::Later => Self::Later,
        }
    }
}

impl Demand {
    pub(super) const OPERATOR: Self = Self { client: BatchClient::Operator, choice: FormatChoice::Url };

    /// The same demand of a client that is not charged.
    pub(super) fn free(self) -> Self {
        let client = match self.client {
            BatchClient::Charged(client) => BatchClient::Free(client),
            BatchClient::Free(_) | BatchClient::Operator => self.client,
        };
        Self { client, ..self }
    }
}

impl BatchClient {
    /// The owner of the resize job.
    pub(super) fn owner(self) -> JobOwner {
        JobOwner::from_client(match self {
            Self::Charged(client) | Self::Free(client) => Some(client),
            Self::Operator => None,
        })
    }
}

impl Member {
    /// Replies, unless the member has a reply. The request may have stopped waiting.
    fn answer(&mut self, made: Result<MadeVariant, Error>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(made);
        }
    }

    fn waits(&self) -> bool {
        !self.is_claimed && self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

/// Ignores poisoning: the locked values are consistent at every unlock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
