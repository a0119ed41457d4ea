//! Logs, metrics and traces.

pub mod metrics;
pub mod access_log;
pub mod traces;
