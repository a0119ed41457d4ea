//! Log events of `tracing`, written to standard error.

use std::fmt;
use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Handle to the running log, which can replace its filter.
pub struct LogHandle(Box<dyn Fn(EnvFilter) + Send + Sync>);

/// Parsed value of `log.level`: which events are logged.
#[derive(Debug)]
pub struct LogFilter(EnvFilter);

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
    // The formats have different types, and the type of the reload handle depends on the format.
    let builder = tracing_subscriber::fmt().with_writer(io::stderr);
    match log.format {
        LogFormat::Text => {
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init().map_err(LogError::AlreadyInitialized)?;
            Ok(LogHandle(Box::new(move |filter| drop(handle.reload(filter)))))
        }
        LogFormat::Json => {
            let builder = builder.json().with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init().map_err(LogError::AlreadyInitialized)?;
            Ok(LogHandle(Box::new(move |filter| drop(handle.reload(filter)))))
        }
    }
}

impl LogFilter {
    /// Parses a value of `log.level`.
    ///
    /// # Errors
    /// `level` is not a valid filter.
    pub fn parse(level: &str) -> Result<Self, LogError> {
        Ok(Self(EnvFilter::try_new(level)?))
    }
}

impl LogHandle {
    /// Replaces the filter of the running log.
    pub fn set_filter(&self, filter: LogFilter) {
        (self.0)(filter.0);
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").finish_non_exhaustive()
    }
}
