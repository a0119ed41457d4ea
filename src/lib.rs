//! A caching image proxy in front of a bucket: any size by URL, each made once.

pub mod config;
pub mod telemetry;
pub mod reload;
pub mod operate;
pub mod admin;
pub mod server;
pub mod proxy;
pub mod variant;
pub mod tasks;
pub mod current;
pub mod quota;
pub mod priority;
pub mod causes;
pub mod cache;
pub mod origin;
pub mod resize;
pub mod metrics;
pub mod traces;
pub mod https;
pub mod upload;
pub mod notify;
