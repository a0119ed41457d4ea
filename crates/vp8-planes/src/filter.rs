//! The loop filter (RFC 6386, section 15), which smooths the edges of blocks. It processes 16 samples along an edge at
//! a time.

pub(crate) mod apply;
mod edge;
pub(crate) mod strength;
mod transpose;
