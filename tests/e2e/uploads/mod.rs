//! Uploads and the outbox.

mod hostile;
mod http_semantics;
mod killed;
mod notifications;
mod outbox;
mod presigned;
pub mod receiving;
