#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "bitstream values are converted between types of known width; each conversion is masked or bounded at its use"
)]

mod options;
mod marker;
mod segments;
mod header;
mod dct;
mod decode;
mod encode;

pub use decode::decode;
pub use encode::{Effort, EncodeError, EncodeOptions, PlaneLayout, Scans, encode, encode_with};
pub use header::{ColorModel, Header, Sampling};
pub use options::{Options, Plane, Scale, Scales};
pub use planes::{Error, Incomplete, Limits, PlaneRef};
