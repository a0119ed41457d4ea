//! Turns: the right to run a job on one of a fixed number of threads. Owners with waiting jobs take turns, so an owner
//! with many jobs does not delay the others.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use crate::support::rate_limiter::client_network;

/// The client on whose behalf a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobOwner {
    /// A client of the server; an IPv6 client is its /64 network.
    Client(IpAddr),
    /// The operator: `resized warm`, previews and revalidations.
    Operator,
}

impl JobOwner {
    /// The owner of a job for a request of `client`, or of the operator.
    #[must_use]
    pub fn from_client(client: Option<IpAddr>) -> Self {
        client.map_or(Self::Operator, |client| Self::Client(client_network(client)))
    }
}

/// A fixed number of turns, with a bounded queue of waiting jobs.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    total: usize,
    waiting_max: NonZeroUsize,
    /// Notified of each turn that no job waits for, and of the end.
    returned: Notify,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    /// Jobs in `queues`, including those whose futures were dropped.
    waiting: usize,
    queues: HashMap<JobOwner, VecDeque<oneshot::Sender<Turn>>>,
    /// The owners in `queues`, in the order of their next turns.
    order: VecDeque<JobOwner>,
    is_closed: bool,
}

/// One turn. Dropping it gives it to the next waiting job.
#[derive(Debug)]
pub struct Turn {
    /// `None` once the turn was passed on.
    turns: Option<Arc<Turns>>,
}

/// Why a job got no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnError {
    /// The queue is full.
    Full,
    /// The turns were closed.
    Closed,
}

impl Turns {
    pub(super) fn new(total: usize, waiting_max: NonZeroUsize) -> Self {
        Self {
            state: Mutex::new(State { free: total, ..State::default() }),
            total,
            waiting_max,
            returned: Notify::new(),
        }
    }

    /// A turn, immediately or when it is the turn of `owner`.
    pub(super) async fn take(self: &Arc<Self>, owner: JobOwner) -> Result<Turn, TurnError> {
        let next = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(TurnError::Closed);
            }
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { turns: Some(self.clone()) });
            }
            if state.waiting >= self.waiting_max.get() {
                state.remove_cancelled();
            }
            if state.waiting >= self.waiting_max.get() {
                return Err(TurnError::Full);
            }
            let (sender, next) = oneshot::channel();
            state.push(owner, sender);
            next
        };
        next.await.map_err(|_| TurnError::Closed)
    }

    /// Refuses waiting and later jobs.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.queues.clear();
        state.order.clear();
        state.waiting = 0;
        self.returned.notify_waiters();
    }

    /// Number of turns.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Waits for the return of a turn, or for the end, from the call on.
    pub(super) fn returned(&self) -> Notified<'_> {
        self.returned.notified()
    }

    /// Number of waiting jobs.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Number of turns that are taken.
    pub(super) fn taken(&self) -> usize {
        self.total - self.lock().free
    }

    /// Gives a returned turn to the next job, or keeps it.
    fn pass_on(self: Arc<Self>) {
        let mut turn = Turn { turns: Some(self.clone()) };
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.pop();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { break };
            // The job may have been cancelled meanwhile. The lock is free, because a turn that is dropped takes it.
            match next.send(turn) {
                Ok(()) => return,
                Err(returned) => turn = returned,
            }
        }
        turn.turns = None;
        self.returned.notify_waiters();
    }

    /// Ignores poisoning: the state is consistent at every unlock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, owner: JobOwner, sender: oneshot::Sender<Turn>) {
        let queue = self.queues.entry(owner).or_default();
        if queue.is_empty() {
            self.order.push_back(owner);
        }
        queue.push_back(sender);
        self.waiting += 1;
    }

    /// The first job of the owner whose turn it is. That owner is last in the order afterwards.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        let owner = self.order.pop_front()?;
        let queue = self.queues.get_mut(&owner)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&owner);
        } else {
            self.order.push_back(owner);
        }
        self.waiting -= usize::from(next.is_some());
        next
    }

    fn remove_cancelled(&mut self) {
        self.queues.values_mut().for_each(|queue| queue.retain(|sender| !sender.is_closed()));
        self.queues.retain(|_, queue| !queue.is_empty());
        self.order.retain(|owner| self.queues.contains_key(owner));
        self.waiting = self.queues.values().map(VecDeque::len).sum();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use futures_util::poll;

    use super::*;

    fn turns(total: usize, waiting_max: usize) -> Arc<Turns> {
        Arc::new(Turns::new(total, NonZeroUsize::new(waiting_max).unwrap()))
    }

    fn client(n: u8) -> JobOwner {
        JobOwner::from_client(Some([192, 0, 2, n].into()))
    }

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn, TurnError>> + 'a>>;

    /// Adds a waiting job.
    async fn wait(turns: &Arc<Turns>, owner: JobOwner) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(turns.take(owner));
        assert!(poll!(&mut waiting).is_pending());
        waiting
    }

    #[tokio::test]
    async fn owners_take_turns_regardless_of_the_number_of_their_jobs() {
        let turns = turns(1, 100);
        let mut current = turns.take(client(1)).await.unwrap();
        let mut waiting = Vec::new();
        for owner in [1, 1, 1, 1, 2, 2, 3] {
            waiting.push((owner, wait(&turns, client(owner)).await));
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(current);
            let mut next = None;
            for (n, (owner, waiting)) in waiting.iter_mut().enumerate() {
                if let std::task::Poll::Ready(turn) = poll!(waiting) {
                    order.push(*owner);
                    next = Some((n, turn.unwrap()));
                    break;
                }
            }
            let (n, turn) = next.expect("a job gets the returned turn");
            drop(waiting.remove(n));
            current = turn;
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_jobs_and_cancelled_jobs_free_their_places() {
        let turns = turns(1, 2);
        let current = turns.take(client(1)).await.unwrap();
        let (first, second) = (wait(&turns, client(1)).await, wait(&turns, client(2)).await);
        assert_eq!(turns.take(client(3)).await.unwrap_err(), TurnError::Full);
        drop(first);
        let third = wait(&turns, client(3)).await;
        drop(current);
        drop(second.await.unwrap());
        drop(third.await.unwrap());
        assert_eq!((turns.waiting(), turns.taken()), (0, 0));
    }

    #[tokio::test]
    async fn a_turn_skips_cancelled_jobs() {
        let turns = turns(1, 10);
        let current = turns.take(client(1)).await.unwrap();
        let (cancelled, waits) = (wait(&turns, client(1)).await, wait(&turns, client(1)).await);
        drop(cancelled);
        drop(current);
        let turn = waits.await.unwrap();
        assert_eq!(turns.taken(), 1);
        drop(turn);
        assert_eq!(turns.taken(), 0);
    }

    #[tokio::test]
    async fn closed_turns_refuse_waiting_and_later_jobs() {
        let turns = turns(1, 10);
        let current = turns.take(client(1)).await.unwrap();
        let waits = wait(&turns, client(1)).await;
        turns.close();
        assert_eq!(waits.await.unwrap_err(), TurnError::Closed);
        assert_eq!(turns.take(client(1)).await.unwrap_err(), TurnError::Closed);
        drop(current);
    }
}
