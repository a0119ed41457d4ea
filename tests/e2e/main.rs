//! End-to-end tests over real sockets and the S3 protocol.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by it")]

mod support;

mod serving;
mod variants;
mod stores;
mod uploads;
mod operating;
