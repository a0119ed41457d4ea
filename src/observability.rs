//! Logs, access log, metrics and traces.

pub mod access_log;
#[cfg(test)]
mod blocked_writer;
pub mod logs;
pub mod metrics;
pub mod traces;
