//! Requests and answers over real sockets.

mod access_log;
mod answers;
mod connections;
mod wire;
mod tls;
mod limits;
mod memory;
mod negotiation;
mod open_bodies;
mod isolation;
mod rates;
mod refusals;
mod sizes;
mod slow_readers;
mod svg;
mod streamed_variants;
mod traces;
