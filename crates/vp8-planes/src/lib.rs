#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "bitstream values are converted between types of known width; each conversion is masked or bounded at its use"
)]

mod options;
mod header;
mod macroblock;
mod samples;
mod strip;
mod plane_builder;
mod entropy;
mod predict;
mod filter;
mod decode;

pub use decode::decode;
pub use header::Header;
pub use options::{LoopFilter, Options, Plane};
pub use planes::{Error, Incomplete, Limits};
