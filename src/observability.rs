//! Logs, metrics and traces.

pub mod metrics;
pub mod telemetry;
pub mod traces;
