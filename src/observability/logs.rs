//! Log events of `tracing`, written to standard error.

use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat};

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
    #[error("another subscriber already receives log events")]
    AlreadyInitialized(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts to log the events that `log.level` selects.
///
/// # Errors
/// `log.level` is invalid, or the process has a global subscriber already.
pub fn init(log: &Log) -> Result<LogHandle, LogError> {
    let LogFilter(filter) = LogFilter::parse(&log.level)?;
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let events = fmt::layer().with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => registry.with(events).try_init(),
        LogFormat::Json => registry.with(events.json()).try_init(),
    };
    started.map_err(|error| LogError::AlreadyInitialized(error.into()))?;
    Ok(LogHandle(handle))
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
