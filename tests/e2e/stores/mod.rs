//! Object stores.

mod conformance;
mod interruptions;
mod permits;
mod s3_wire;
