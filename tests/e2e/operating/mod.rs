//! Commands, the admin listener, reloads and restarts.

mod admin;
pub mod check;
mod commands;
mod first_day;
mod logging;
mod reload;
mod restarts;
mod descriptors;
