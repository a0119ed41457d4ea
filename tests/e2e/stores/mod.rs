//! Object stores.

mod conformance;
mod s3_wire;
