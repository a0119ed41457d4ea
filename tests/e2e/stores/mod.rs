//! Object stores.

mod conformance;
mod credentials;
mod fault_matrix;
mod folders;
mod interruptions;
mod permits;
mod s3_wire;
