//! A caching image proxy in front of a bucket: any size by URL, each made once.

pub mod config;
pub mod app;
pub mod admin;
pub mod server;
pub mod proxy;
pub mod variants;
pub mod variant;
pub mod cache;
pub mod origin;
pub mod resize;
pub mod upload;
pub mod outbox;
pub mod observability;
pub mod support;
