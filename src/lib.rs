//! A caching image proxy in front of a bucket: any size by URL, each made once.

pub mod config;
pub mod variant;
pub mod tasks;
pub mod cache;
