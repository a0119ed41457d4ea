//! Logs, access log, metrics and traces.

pub mod access_log;
pub mod logs;
pub mod metrics;
pub mod traces;
