//! Reconstructs the samples of a macroblock: prediction plus the inverse transform of its coefficients.

mod intra;
pub(crate) mod reconstruct;
pub(crate) mod transform;
