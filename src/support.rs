//! Helpers that every layer may use.

pub mod circuit_breaker;
pub mod current;
pub mod error_chain;
pub mod https;
pub mod rate_limiter;
pub mod tasks;
pub mod priority;
