//! The API that hears of every upload, and the outbox where what it has not heard yet waits.
//!
//! A notification is an object in a store, its marker, before anybody is told that the upload is done; it goes when the
//! API has answered 2xx. So it outlives the process and the node. It may arrive twice, always with the same id
//! (Standard Webhooks). Every node looks through the outbox; who sends a marker takes it first by a conditional write.
//! This module knows no pictures and no uploads, only texts to be delivered.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::observability::metrics::{self, Metrics};
use crate::origin::probe::Capabilities;
use crate::origin::{Store, StoreError};
use crate::support::backoff::jitter;
use crate::support::circuit_breaker::RequestPermit;
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;

mod backlog;
mod breaker;
mod client;
mod entry;
mod signature;

pub use client::Verdict;
pub use entry::Letter;
pub use signature::SecretError;

use backlog::Backlog;
use breaker::ApiBreaker;
use client::Client;
use entry::{Marker, Outbox, Waiting};
use signature::Signer;

/// The way to the API. Clones share it.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    outbox: Outbox,
    retries: Vec<Duration>,
    wait: Duration,
    poll: Duration,
    /// How long a marker belongs to the one who sends it.
    lease: Duration,
    sending: Semaphore,
    concurrency: usize,
    breaker: ApiBreaker,
    backlog: Arc<Backlog>,
    counts: metrics::NotificationMetrics,
    tasks: Tasks,
}

/// Why notifications cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    #[error("notify.url: {url:?} is no http or https URL")]
    Url { url: String },
    #[error("notify.secret")]
    Secret(#[from] SecretError),
    #[error("notify.url: the system's root certificates cannot be read")]
    Roots(#[source] std::io::Error),
}

/// What a sender may take besides the API's answer: two writes to the store.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is taken at its word.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

impl Notifier {
    /// Tries are counted in `metrics`, and what waits is watched there. Nothing is sent before it is asked for; see [`Notifier::sweep`].
    ///
    /// # Errors
    /// A URL or secret that cannot be used.
    pub fn new(
        settings: &config::Notify,
        store: Store,
        metrics: &Metrics,
        tasks: Tasks,
    ) -> Result<Self, NotifierError> {
        let signer = Signer::new(settings)?;
        let concurrency = settings.concurrency.get();
        let backlog = Arc::new(Backlog::default());
        backlog.watch(metrics);
        Ok(Self(Arc::new(Inner {
            client: Client::new(&settings.url, signer, settings.timeout, metrics.notifications.clone())?,
            outbox: Outbox::new(store),
            retries: settings.retries.iter().map(|pause| **pause).collect(),
            wait: settings.wait,
            poll: settings.poll,
            lease: settings.timeout + LEASE_MARGIN,
            sending: Semaphore::new(concurrency),
            concurrency,
            breaker: ApiBreaker::new(settings.poll),
            backlog,
            counts: metrics.notifications.clone(),
            tasks,
        })))
    }

    /// Whether the API answers at all: the status of a HEAD, or why there is none.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn reach(&self) -> Result<u16, String> {
        self.0.client.reach().await
    }

    /// Tries what is needed of the outbox's store.
    ///
    /// # Errors
    /// It cannot be reached or written at all.
    pub async fn probe_outbox(&self) -> Result<Capabilities, StoreError> {
        self.0.outbox.probe().await
    }

    /// Writes a notification's marker. Once this returns, the notification will be delivered or become a dead letter.
    ///
    /// # Errors
    /// The store's.
    pub async fn accept(&self, id: &str, body: String) -> Result<Letter, StoreError> {
        let due = millis() + as_millis(self.0.lease);
        let marker = Marker { id: id.to_owned(), attempts: 0, leased_until: due, body };
        self.0.outbox.add(due, marker).await
    }

    /// Sends a letter that was just accepted; `true` if the API has it within `notify.wait`. Otherwise it is sent, or
    /// tried again, behind the answer.
    pub async fn deliver(&self, letter: Letter) -> bool {
        let this = self.0.clone();
        let sending = self.0.tasks.spawn(async move {
            let Some(permit) = this.breaker.try_acquire() else {
                // This is not an attempt: nothing was sent.
                this.postpone(letter, None).await;
                return false;
            };
            this.send(letter, permit).await
        });
        matches!(tokio::time::timeout(self.0.wait, sending).await, Ok(Ok(true)))
    }

    /// Looks through the outbox for what is due, again and again until `stop`.
    pub async fn sweep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(with_jitter(self.0.poll)) => {}
            }
            if let Err(error) = self.0.sweep_once(&stop).await {
                tracing::error!(%error, "the outbox cannot be read");
            }
        }
    }

    /// The ids of the letters that were given up on, at most 1000.
    ///
    /// # Errors
    /// The store's.
    pub async fn dead_letters(&self) -> Result<Vec<String>, StoreError> {
        self.0.outbox.dead().await
    }

    /// Makes a dead letter due again, with all its tries; `false` if there is none with this id.
    ///
    /// # Errors
    /// The store's.
    pub async fn redeliver(&self, id: &str) -> Result<bool, StoreError> {
        self.0.outbox.revive(id, millis()).await
    }
}

impl Inner {
    async fn sweep_once(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), StoreError> {
        let Waiting { pending, first_due, mut due } = self.outbox.look(millis()).await?;
        self.backlog.saw(pending, first_due);
        // Nodes that look at the same time begin at different letters.
        let start = usize::try_from(millis()).unwrap_or_default() % due.len().max(1);
        due.rotate_left(start);
        stream::iter(due)
            .for_each_concurrent(self.concurrency, |key| async move {
                if stop.is_cancelled() {
                    return;
                }
                // A task that the shutdown waits for.
                let this = self.clone();
                let _ = self.tasks.spawn(async move { this.claim_and_send(&key).await }).await;
            })
            .await;
        Ok(())
    }

    /// Sends a notification of the outbox unless another node has claimed it or the API is paused.
    async fn claim_and_send(&self, key: &ObjectKey) {
        let Some(permit) = self.breaker.try_acquire() else { return };
        let now = millis();
        match self.outbox.claim(key, now, now + as_millis(self.lease)).await {
            Ok(Some(letter)) => drop(self.send(letter, permit).await),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a notification could not be taken"),
        }
    }

    /// One try. What happens next is in the store before this returns, as far as the store works.
    async fn send(&self, letter: Letter, permit: RequestPermit<'_>) -> bool {
        let Ok(_permit) = self.sending.acquire().await else { return false };
        let body = Bytes::from(letter.marker.body.clone());
        let verdict = self.client.post(&letter.marker.id, body).await;
        let id = letter.marker.id.clone();
        self.breaker.record(permit, &verdict);
        match verdict {
            Verdict::Delivered => {
                if let Err(error) = self.outbox.remove(&letter).await {
                    tracing::warn!(id, %error, "a delivered notification stays in the outbox and will be sent again");
                }
                return true;
            }
            Verdict::Gone => tracing::error!(id, "the API answered 410: nothing more is sent to it until a restart"),
            Verdict::Failed { ref reason, .. } => tracing::warn!(id, reason, "a notification was not delivered"),
        }
        let after = match verdict {
            Verdict::Failed { retry_after, .. } => retry_after.map(|after| after.min(RETRY_AFTER_MAX)),
            Verdict::Delivered | Verdict::Gone => None,
        };
        self.retry(letter, after).await;
        false
    }

    /// Counts a try that failed: the letter is due again, or dead.
    async fn retry(&self, mut letter: Letter, after: Option<Duration>) {
        let pause = self.retries.get(letter.marker.attempts as usize).copied();
        letter.marker.attempts += 1;
        let Some(pause) = pause else {
            tracing::error!(id = letter.marker.id, "a notification is given up on; it is a dead letter now");
            self.counts.dead.inc();
            if let Err(error) = self.outbox.bury(&letter).await {
                tracing::error!(id = letter.marker.id, %error, "a dead letter could not be put away");
            }
            return;
        };
        self.postpone(letter, Some(with_jitter(pause).max(after.unwrap_or_default()))).await;
    }

    async fn postpone(&self, letter: Letter, pause: Option<Duration>) {
        let pause = pause.or_else(|| self.retries.first().map(|first| with_jitter(*first))).unwrap_or(self.poll);
        let id = letter.marker.id.clone();
        if let Err(error) = self.outbox.reschedule(letter, millis() + as_millis(pause)).await {
            // It is still there as it was, and due when its lease ends.
            tracing::error!(id, %error, "a notification could not be rescheduled");
        }
    }
}

/// Milliseconds since 1970.
fn millis() -> u64 {
    as_millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Adds up to a quarter, so that notifications that failed together are not retried together.
fn with_jitter(pause: Duration) -> Duration {
    pause + jitter(pause / 4)
}
