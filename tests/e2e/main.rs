//! The whole, over real sockets and the real S3 protocol.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by it")]

mod bucket;
mod collector;
mod node;
mod pictures;
mod stage;

mod access;
mod answers;
mod check;
mod commands;
mod connections;
mod faults;
mod first_day;
mod fleet;
mod flights;
mod fresh;
mod operating;
mod reload;
mod restarts;
mod stores;
mod reads;
mod receiver;
mod uploads;
mod direct;
mod hostile;
mod promises;
mod api;
mod outbox;
mod killed;
mod tls;
mod warm;
mod wire;
mod sizes;
mod rates;
mod limits;
mod isolation;
mod traces;
#[cfg(all(target_os = "linux", feature = "avif", feature = "avif-originals"))]
mod avif;
