//! Uploads and the outbox.

pub mod receiving;
mod presigned;
mod hostile_uploads;
mod killed;
mod outbox;
mod http_semantics;
