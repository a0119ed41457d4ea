//! Spans that have ended and wait to be sent.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc::Sender;

use crate::observability::metrics;

/// Takes spans as they end, without waiting: one that finds no room is counted and lost.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Sender<SpanData>,
    counts: metrics::Spans,
}

impl Queue {
    pub(super) fn new(waiting: Sender<SpanData>, counts: metrics::Spans) -> Self {
        Self { waiting, counts }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.waiting.try_send(span).is_err() {
            self.counts.dropped.inc();
        }
    }

    /// The collector's task sends and stops as it is told by others.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
