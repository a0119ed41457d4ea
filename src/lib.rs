//! A caching image proxy in front of an object store: any size of an image by URL, each made once.
//!
//! The modules are listed in the order in which a request passes through them. A module uses only modules further down
//! the list, except that [`observability`] uses [`config`], and that [`observability`] and [`support`] use each other.
//!
//! - [`app`]: builds, runs and reloads the server
//! - [`admin`]: the admin listener with health checks, metrics, pages and commands
//! - [`server`]: sockets, TLS and connections
//! - [`proxy`]: handles an HTTP request and returns the response
//! - [`upload`]: the upload endpoint
//! - [`variants`]: finds or makes a variant: lookup, batches, leases, write-back and invalidation
//! - [`cache`]: the in-memory cache, in which concurrent requests share one flight
//! - [`resize`]: the resize service: threads, queues and the sandboxed decoder
//! - [`outbox`]: notifications to the API, stored until they are delivered
//! - [`origin`]: object stores: S3, directories and others
//! - [`variant`]: the URL grammar: parses and prints variants
//! - [`config`]: the settings as types
//! - [`observability`]: metrics, traces, the log and the access log
//! - [`support`]: helpers that every layer may use

pub mod app;
pub mod admin;
pub mod server;
pub mod proxy;
pub mod upload;
pub mod variants;
pub mod cache;
pub mod resize;
pub mod outbox;
pub mod origin;
pub mod variant;
pub mod config;
pub mod observability;
pub mod support;
