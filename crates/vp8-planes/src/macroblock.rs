//! A macroblock and its prediction modes (RFC 6386, section 8).

/// Prediction mode of 16 x 16 luma or 8 x 8 chroma samples (RFC 6386, section 12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PredictionMode {
    #[default]
    Dc,
    Vertical,
    Horizontal,
    TrueMotion,
}

/// Prediction mode of a subblock of 4 x 4 luma samples (RFC 6386, section 12.3), in the order of
/// [`SUBBLOCK_MODES`](crate::entropy::tables::SUBBLOCK_MODES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SubblockMode {
    #[default]
    Dc,
    TrueMotion,
    Vertical,
    Horizontal,
    LeftDown,
    RightDown,
    VerticalRight,
    VerticalLeft,
    HorizontalDown,
    HorizontalUp,
}

/// Prediction of the luma samples of a macroblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LumaPrediction {
    /// One mode for all samples.
    Whole(PredictionMode),
    /// One mode for each of the 16 subblocks.
    Subblocks([SubblockMode; 16]),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Macroblock {
    /// Index of its segment, 0 to 3.
    pub(crate) segment: u8,
    /// True if the bitstream contains no coefficients for it.
    pub(crate) is_skipped: bool,
    pub(crate) luma: LumaPrediction,
    pub(crate) chroma: PredictionMode,
    /// True if any of its blocks has nonzero coefficients. Set when they are read.
    pub(crate) has_coefficients: bool,
}

impl Macroblock {
    /// True if luma is predicted in subblocks. Such a macroblock has no Y2 block.
    pub(crate) fn has_subblocks(&self) -> bool {
        matches!(self.luma, LumaPrediction::Subblocks(_))
    }
}
