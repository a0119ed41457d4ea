//! Queue of ended spans that wait to be exported.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc::Sender;

use crate::observability::metrics::SpanMetrics;

/// Queues spans as they end, without waiting. Spans that do not fit are dropped and counted.
#[derive(Debug)]
pub(super) struct SpanQueue {
    sender: Sender<SpanData>,
    metrics: SpanMetrics,
}

impl SpanQueue {
    pub(super) fn new(sender: Sender<SpanData>, metrics: SpanMetrics) -> Self {
        Self { sender, metrics }
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.metrics.dropped.inc();
        }
    }

    /// Does nothing: the export task sends on its own schedule.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// Does nothing: [`super::Traces::shutdown`] stops the export task.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
