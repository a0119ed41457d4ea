//! Log events of `tracing`, written to standard error.
//!
//! The log never affects the work: events wait in a [`LineQueue`] until a thread has written them. If
//! standard error is closed, full or not read, events are lost and counted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use crate::observability::metrics::LOST_EVENTS;

mod queue;

pub(super) use queue::write_lines;
pub use queue::{LineQueue, LogFlush};

/// Handle to the running log, which can replace its filter.
#[derive(Debug)]
pub struct LogHandle(reload::Handle<Targets, Registry>);

/// Parsed value of `log.level`, which selects the events to log.
#[derive(Debug)]
pub struct LogFilter(Targets);

/// Reasons why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log.level")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("cannot start the thread of the log")]
    Thread(#[source] io::Error),
    #[error("another subscriber already receives log events")]
    AlreadyInitialized(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts to log the events that `log.level` selects, and panics.
///
/// # Errors
/// `log.level` is invalid, the thread of the log cannot be started, or the process has a global subscriber already.
pub fn init(log: &Log) -> Result<(LogHandle, LogFlush), LogError> {
    let LogFilter(filter) = LogFilter::parse(&log.level)?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let (queue, flush) = LineQueue::start(io::stderr(), &LOST_EVENTS).map_err(LogError::Thread)?;
    // By default a failed write is reported with `eprintln!`, which panics if standard error is closed.
    let events = fmt::layer().with_writer(move || queue.clone()).log_internal_errors(false);
    let started = match log.format {
        LogFormat::Text => registry.with(events).try_init(),
        LogFormat::Json => registry.with(events.json()).try_init(),
    };
    started.map_err(|error| LogError::AlreadyInitialized(error.into()))?;
    // The default hook blocks while standard error is not read.
    panic::set_hook(Box::new(log_panic));
    Ok((LogHandle(handle), flush))
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        thread = thread::current().name(),
        location = panic.location().map(ToString::to_string),
        reason = panic.payload_as_str(),
        backtrace,
        "panic"
    );
}

impl LogFilter {
    /// Parses a value of `log.level`.
    ///
    /// # Errors
    /// `level` is not a valid filter.
    pub fn parse(level: &str) -> Result<Self, LogError> {
        Ok(Self(level.parse()?))
    }
}

impl LogHandle {
    /// Replaces the filter of the running log.
    pub fn set_filter(&self, filter: LogFilter) {
        // It fails only if the subscriber is gone, and then there is no log to filter.
        let _ = self.0.reload(filter.0);
    }
}
