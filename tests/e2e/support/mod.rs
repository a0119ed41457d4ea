//! Stages, servers and pictures that the tests share.

pub mod bucket;
pub mod collector;
pub mod node;
pub mod pictures;
pub mod stage;
pub mod receiver;
pub mod s3_script;
pub mod api;
