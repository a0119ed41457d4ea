//! Requests and answers over real sockets.

mod access_log;
mod answers;
mod connections;
mod wire;
mod tls;
mod limits;
mod isolation;
mod rates;
mod sizes;
mod traces;
