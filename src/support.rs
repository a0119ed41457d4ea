//! Helpers that every layer may use.

pub mod authority;
pub mod backoff;
pub mod characters;
pub mod circuit_breaker;
pub mod deadline;
pub mod descriptors;
pub mod error_chain;
pub mod field_value;
pub mod hex;
pub mod hot_swap;
pub mod https;
mod key_slots;
pub mod listener;
pub mod memory;
pub mod open_bodies;
pub mod pace;
pub mod per_client;
pub mod priority;
pub mod problem;
pub mod rate_limiter;
pub mod request_filter;
pub mod tasks;
pub mod threads;
pub mod token_buckets;
pub mod unix_time;
pub mod url_secrets;
