//! The running program.

pub mod reload;
