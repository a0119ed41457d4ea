//! The export task: collects spans into batches and sends them to the collector.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collector::{CollectorClient, ExportError};
use crate::config::SpanExport;
use crate::observability::metrics::SpanMetrics;

/// Handle to the export task.
pub(super) struct Exporter {
    client: Arc<CollectorClient>,
    task: TaskTracker,
    stop: CancellationToken,
    shutdown_timeout: Duration,
}

struct ExportTask {
    client: Arc<CollectorClient>,
    spans: Receiver<SpanData>,
    stop: CancellationToken,
    interval: Duration,
    batch_max: usize,
    metrics: SpanMetrics,
}

/// Pauses before the second and later attempts to send a batch. Newer spans wait in the queue meanwhile.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Longest pause that a `Retry-After` header of the collector can cause.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

impl Exporter {
    /// Starts a task on the current runtime that exports `spans`.
    pub(super) fn start(
        tuning: &SpanExport,
        client: CollectorClient,
        spans: Receiver<SpanData>,
        metrics: SpanMetrics,
    ) -> Self {
        let (client, stop, task) = (Arc::new(client), CancellationToken::new(), TaskTracker::new());
        let export = ExportTask {
            client: client.clone(),
            spans,
            stop: stop.clone(),
            interval: tuning.interval,
            batch_max: tuning.batch_length,
            metrics,
        };
        task.spawn(export.run());
        Self { client, task, stop, shutdown_timeout: tuning.timeout }
    }

    /// Sends an empty batch and returns the status of the response.
    pub(super) async fn probe(&self) -> Result<u16, String> {
        let result = self.client.export(Vec::new()).await;
        result.map(|accepted| accepted.status.as_u16()).map_err(|error| error.to_string())
    }

    /// Sends the queued spans, within the export timeout, and ends the task.
    pub(super) async fn shutdown(&self) {
        self.stop.cancel();
        self.task.close();
        if tokio::time::timeout(self.shutdown_timeout, self.task.wait()).await.is_err() {
            tracing::warn!("last spans not sent in time");
        }
    }
}

impl ExportTask {
    /// Exports spans until `stop`, then the spans that are still queued.
    async fn run(mut self) {
        let mut is_healthy = true;
        loop {
            let batch = self.next_batch().await;
            if batch.is_empty() {
                return;
            }
            let count = batch.len() as u64;
            let result = self.send(batch).await;
            match &result {
                Ok(rejected) => {
                    let rejected = (*rejected).min(count);
                    self.metrics.sent.inc_by(count - rejected);
                    self.metrics.failed.inc_by(rejected);
                    if !is_healthy {
                        tracing::info!("trace collector accepts spans again");
                    }
                }
                Err(error) => {
                    self.metrics.failed.inc_by(count);
                    if is_healthy {
                        tracing::warn!(%error, "trace collector does not accept spans; they are lost until it does");
                    }
                }
            }
            is_healthy = result.is_ok();
        }
    }

    /// Waits for a full batch, or for the spans that arrive within the interval. After `stop` it returns queued spans without
    /// waiting. An empty batch means that no more spans will come.
    async fn next_batch(&mut self) -> Vec<SpanData> {
        let mut batch = Vec::new();
        let filled = async {
            self.spans.recv_many(&mut batch, self.batch_max).await;
            let rest = async {
                while let room @ 1.. = self.batch_max - batch.len() {
                    if self.spans.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            // A timeout is not an error here: the batch is sent as it is.
            let _ = tokio::time::timeout(self.interval, rest).await;
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = filled => {}
        }
        if self.stop.is_cancelled() {
            while batch.len() < self.batch_max {
                let Ok(span) = self.spans.try_recv() else { break };
                batch.push(span);
            }
        }
        batch
    }

    /// Sends a batch, with retries, and returns how many of its spans the collector rejected.
    async fn send(&self, batch: Vec<SpanData>) -> Result<u64, ExportError> {
        let body = self.client.encode(batch);
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            let error = match self.client.post(body.clone()).await {
                Ok(accepted) => return Ok(accepted.rejected_spans),
                Err(error) => error,
            };
            let (Some(retry_after), Some(pause), false) = (error.retry_after, pauses.next(), self.stop.is_cancelled())
            else {
                return Err(error);
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause.max(retry_after.min(RETRY_AFTER_MAX))) => {}
            }
        }
    }
}
