//! Delivers notifications to the API, with an outbox for notifications that are not delivered yet.
//!
//! A notification is stored as an outbox entry before the client gets its response, and removed after the API has
//! answered 2xx. It therefore survives the process and the node. The API may receive a notification twice, always with
//! the same id (Standard Webhooks). Every node sweeps the outbox; a node claims an entry by a conditional write before
//! it sends it. This module treats notifications as opaque text and does not depend on images or uploads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::observability::metrics::{Metrics, NotificationMetrics};
use crate::origin::probe::Capabilities;
use crate::origin::{ListedObject, Store, StoreError};
use crate::support::backoff::jitter;
use crate::support::circuit_breaker::RequestPermit;
use crate::support::tasks::Tasks;
use crate::support::unix_time::{duration_millis, now_millis};
use crate::variant::ObjectKey;

mod backlog;
mod breaker;
mod client;
mod entry;
mod signature;
mod unreadable;

pub use client::NotifierError;
pub use entry::{ClaimedEntry, Redelivery};
pub use signature::WebhookSecretError;

use backlog::Backlog;
use breaker::ApiBreaker;
use client::{Delivery, WebhookClient};
use entry::{Claim, Outbox, OutboxEntry, PendingEntries};
use unreadable::UnreadableEntries;

/// Sends notifications to the API. Clones share the outbox and its state.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: WebhookClient,
    outbox: Outbox,
    /// Pauses before the second and later attempts.
    retries: Vec<Duration>,
    /// How long a client waits for the delivery of its notification.
    wait: Duration,
    /// Interval of sweeps.
    poll: Duration,
    /// How long a claim lasts.
    lease: Duration,
    sending: Semaphore,
    breaker: ApiBreaker,
    backlog: Arc<Backlog>,
    unreadable: Arc<UnreadableEntries>,
    metrics: NotificationMetrics,
    tasks: Tasks,
}

/// Time that a claim lasts beyond the timeout of the request, for two writes to the store.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Concurrent deliveries.
const DELIVERIES_MAX: usize = 8;

impl Notifier {
    /// Opens the outbox in `store` and registers its gauges in `metrics`. Pending notifications are sent by
    /// [`Notifier::sweep`].
    ///
    /// # Errors
    /// The URL or the secret cannot be used.
    pub fn new(
        settings: &config::Notify,
        store: Store,
        metrics: &Metrics,
        tasks: Tasks,
    ) -> Result<Self, NotifierError> {
        Ok(Self(Arc::new(Inner {
            client: WebhookClient::new(settings, metrics.notifications.clone())?,
            outbox: Outbox::new(store),
            retries: settings.retries.iter().map(|pause| **pause).collect(),
            wait: settings.wait,
            poll: settings.poll_interval,
            lease: settings.timeout + LEASE_MARGIN,
            sending: Semaphore::new(DELIVERIES_MAX),
            breaker: ApiBreaker::new(settings.poll_interval),
            backlog: Backlog::register(metrics),
            unreadable: UnreadableEntries::register(metrics),
            metrics: metrics.notifications.clone(),
            tasks,
        })))
    }

    /// Sends a HEAD request to the API and returns the status of the response.
    ///
    /// # Errors
    /// The reason why there is no response.
    pub async fn probe_api(&self) -> Result<u16, String> {
        self.0.client.probe().await.map(|status| status.as_u16()).map_err(|error| error.to_string())
    }

    /// Checks that the store of the outbox supports all operations of the outbox.
    ///
    /// # Errors
    /// The store cannot be reached or written.
    pub async fn probe_outbox(&self) -> Result<Capabilities, StoreError> {
        self.0.outbox.probe().await
    }

    /// Stores a notification in the outbox, claimed by this process. Once this returns, the notification will be
    /// delivered or become a dead letter.
    ///
    /// # Errors
    /// The store failed.
    pub async fn enqueue(&self, id: &str, body: String) -> Result<ClaimedEntry, StoreError> {
        let due = self.0.outbox.now().await + duration_millis(self.0.lease);
        let entry = OutboxEntry { id: id.to_owned(), attempts: 0, leased_until: due, body };
        self.0.outbox.add(due, entry).await
    }

    /// Sends a notification that was just enqueued. Returns `true` if the API accepts it within `notify.wait`. The
    /// attempt goes on after that time, and retries follow if it fails.
    pub async fn deliver(&self, claimed: ClaimedEntry) -> bool {
        let this = self.0.clone();
        let sending = self.0.tasks.spawn(async move {
            let Some(permit) = this.breaker.try_acquire() else {
                // Nothing was sent, so this does not count as an attempt.
                this.postpone(claimed, this.first_pause()).await;
                return false;
            };
            this.send(claimed, permit).await
        });
        matches!(tokio::time::timeout(self.0.wait, sending).await, Ok(Ok(true)))
    }

    /// Sweeps the outbox at intervals of `notify.poll` until `stop`.
    pub async fn sweep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(with_jitter(self.0.poll)) => {}
            }
            if let Err(error) = self.0.sweep_once(&stop).await {
                tracing::error!(%error, "outbox listing failed");
            }
        }
    }

    /// Lists the ids of dead letters, at most 1000.
    ///
    /// # Errors
    /// The store failed.
    pub async fn dead_letters(&self) -> Result<Vec<String>, StoreError> {
        self.0.outbox.dead_letters().await
    }

    /// Lists the keys of entries that cannot be read, among the first 1000 pending ones and the first 1000 dead letters.
    ///
    /// # Errors
    /// The store failed.
    pub async fn unreadable(&self) -> Result<Vec<ObjectKey>, StoreError> {
        self.0.outbox.list_unreadable().await
    }

    /// Makes a dead letter due now and resets its number of attempts.
    ///
    /// # Errors
    /// The store failed.
    pub async fn redeliver(&self, id: &str) -> Result<Redelivery, StoreError> {
        self.0.outbox.redeliver(id).await
    }
}

impl Inner {
    /// Sends the first notifications that are due.
    async fn sweep_once(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), StoreError> {
        let PendingEntries { entries, first_due, now, mut due } = self.outbox.list_pending(&self.unreadable).await?;
        self.backlog.update(entries, first_due, now);
        // Nodes that sweep at the same time start at different entries.
        let start = usize::try_from(now_millis()).unwrap_or_default() % due.len().max(1);
        due.rotate_left(start);
        stream::iter(due)
            .for_each_concurrent(DELIVERIES_MAX, |listed| async move {
                if stop.is_cancelled() {
                    return;
                }
                // Spawned, so that a shutdown waits for the attempt instead of canceling it.
                let this = self.clone();
                let _ = self.tasks.spawn(async move { this.claim_and_send(&listed).await }).await;
            })
            .await;
        Ok(())
    }

    /// Sends a notification of the outbox, unless another node has claimed it or deliveries are paused.
    async fn claim_and_send(&self, listed: &ListedObject) {
        let Some(permit) = self.breaker.try_acquire() else { return };
        match self.outbox.claim(&listed.key, duration_millis(self.lease)).await {
            Ok(Claim::Claimed(claimed)) => drop(self.send(claimed, permit).await),
            Ok(Claim::Taken) => {}
            Ok(Claim::Unreadable) => self.unreadable.add(listed),
            Err(error) => tracing::error!(%error, "notification claim failed"),
        }
    }

    /// Makes one delivery attempt and stores its result. Returns `true` if the API accepted the notification.
    async fn send(&self, claimed: ClaimedEntry, permit: RequestPermit<'_>) -> bool {
        let Ok(_sending) = self.sending.acquire().await else { return false };
        let id = &claimed.entry.id;
        let now = self.outbox.now().await / 1000;
        let delivery = self.client.post(id, now, Bytes::from(claimed.entry.body.clone())).await;
        self.breaker.record(permit, &delivery);
        let retry_after = match delivery {
            Delivery::Accepted => {
                if let Err(error) = self.outbox.remove(&claimed).await {
                    tracing::warn!(id, %error, "delivered notification not removed from the outbox; it will be sent again");
                }
                return true;
            }
            Delivery::Gone => {
                tracing::error!(id, "the API answered 410; no notifications are sent until a restart");
                None
            }
            Delivery::Failed { error, retry_after } => {
                tracing::warn!(id, %error, "notification delivery failed");
                retry_after
            }
        };
        self.schedule_retry(claimed, retry_after).await;
        false
    }

    /// Counts a failed attempt and reschedules the notification, or makes it a dead letter after the last attempt.
    async fn schedule_retry(&self, mut claimed: ClaimedEntry, retry_after: Option<Duration>) {
        let pause = self.retries.get(claimed.entry.attempts as usize).copied();
        claimed.entry.attempts += 1;
        let Some(pause) = pause else {
            let id = &claimed.entry.id;
            tracing::error!(id, "notification became a dead letter");
            self.metrics.dead.inc();
            if let Err(error) = self.outbox.dead_letter(&claimed).await {
                tracing::error!(id, %error, "dead letter not stored");
            }
            return;
        };
        self.postpone(claimed, with_jitter(pause).max(retry_after.unwrap_or_default())).await;
    }

    async fn postpone(&self, claimed: ClaimedEntry, pause: Duration) {
        let id = claimed.entry.id.clone();
        let due = self.outbox.now().await + duration_millis(pause);
        if let Err(error) = self.outbox.reschedule(claimed, due).await {
            // The entry is unchanged and becomes due when its lease expires.
            tracing::error!(id, %error, "notification not rescheduled");
        }
    }

    /// Pause before the first attempt to send a notification that could not be sent immediately.
    fn first_pause(&self) -> Duration {
        self.retries.first().map_or(self.poll, |first| with_jitter(*first))
    }
}

/// Adds up to a quarter of `pause`, so that notifications that failed together are not retried together.
fn with_jitter(pause: Duration) -> Duration {
    pause + jitter(pause / 4)
}
