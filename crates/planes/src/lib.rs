#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod limits;
mod plane;

pub use error::Error;
pub use limits::{Incomplete, Limits};
pub use plane::{Plane, PlaneRef};
