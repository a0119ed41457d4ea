//! Reading a frame: its header, the modes and the coefficients.

pub(crate) mod bool_decoder;
pub(crate) mod coefficients;
pub(crate) mod frame;
pub(crate) mod modes;
mod tables;
