//! Uploads and the outbox.

pub mod receiving;
mod presigned;
mod hostile;
mod killed;
mod outbox;
mod http_semantics;
