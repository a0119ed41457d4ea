//! Object stores.

mod conformance;
mod interruptions;
mod s3_wire;
