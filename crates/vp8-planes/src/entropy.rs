//! Reads the bitstream of a frame: its header, the prediction modes and the coefficients.

pub(crate) mod bool_decoder;
pub(crate) mod coefficients;
pub(crate) mod frame;
pub(crate) mod modes;
pub(crate) mod tables;
