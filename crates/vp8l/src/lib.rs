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
mod bit_reader;
mod prefix_code;
mod code_lengths;
mod prefix_groups;
mod color_cache;
mod entropy_image;
mod transform;
mod decode;

pub use decode::{decode, decode_headerless};
pub use header::{Header, working_bytes};
pub use options::Options;
pub use planes::{Error, Limits};

/// A pixel: red, green, blue and alpha.
pub type Pixel = [u8; 4];
