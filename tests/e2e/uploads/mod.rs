//! Uploads and the outbox.

mod hanging_store;
mod hostile;
mod http_semantics;
mod keys;
mod killed;
mod lost_responses;
mod memory;
mod notifications;
mod outbox;
mod presigned;
pub mod receiving;
