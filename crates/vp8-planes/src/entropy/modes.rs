//! Reads the prediction modes of macroblocks (RFC 6386, sections 9.3 and 11).

use super::bool_decoder::BoolDecoder;
use super::tables::SUBBLOCK_MODES;
use crate::macroblock::{LumaPrediction, Macroblock, PredictionMode, SubblockMode};

/// The frame header's parameters for reading modes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModeParameters {
    /// Probabilities in the tree of segment indices. `None` if all macroblocks are in segment 0.
    pub(crate) segment_tree: Option<[u8; 3]>,
    /// Probability that a macroblock is not skipped. `None` if no macroblock is skipped.
    pub(crate) not_skipped: Option<u8>,
}

/// Reads modes row by row. The context of a subblock mode is the mode above and the one to the left.
#[derive(Debug)]
pub(crate) struct ModeReader {
    /// By column: the modes of the subblocks at the bottom of the row above.
    above: Vec<[SubblockMode; 4]>,
}

impl ModeReader {
    pub(crate) fn new(columns: usize) -> Self {
        Self { above: vec![[SubblockMode::Dc; 4]; columns] }
    }

    /// Replaces the content of `row` by the next row of macroblocks.
    #[inline(never)]
    pub(crate) fn read(&mut self, bits: &mut BoolDecoder<'_>, parameters: &ModeParameters, row: &mut Vec<Macroblock>) {
        let mut left = [SubblockMode::Dc; 4];
        row.clear();
        // A local copy, which the compiler keeps in registers.
        let mut reader = *bits;
        for above in &mut self.above {
            let segment = parameters.segment_tree.map_or(0, |tree| read_segment(&mut reader, tree));
            let is_skipped = parameters.not_skipped.is_some_and(|probability| reader.read_bool(probability));
            let luma = read_luma(&mut reader, above, &mut left);
            let chroma = read_chroma_mode(&mut reader);
            row.push(Macroblock { segment, is_skipped, luma, chroma, has_coefficients: false });
        }
        *bits = reader;
    }
}

#[inline(always)]
fn read_segment(bits: &mut BoolDecoder<'_>, tree: [u8; 3]) -> u8 {
    if bits.read_bool(tree[0]) { 2 + u8::from(bits.read_bool(tree[2])) } else { u8::from(bits.read_bool(tree[1])) }
}

/// The tree of luma modes with the probabilities of key frames (RFC 6386, section 11.2).
#[inline(always)]
fn read_luma(
    bits: &mut BoolDecoder<'_>,
    above: &mut [SubblockMode; 4],
    left: &mut [SubblockMode; 4],
) -> LumaPrediction {
    if !bits.read_bool(145) {
        let mut modes = [SubblockMode::Dc; 16];
        for (row, left) in modes.as_chunks_mut::<4>().0.iter_mut().zip(left) {
            for (mode, above) in row.iter_mut().zip(above.iter_mut()) {
                *mode = read_subblock_mode(bits, &SUBBLOCK_MODES[*above as usize][*left as usize]);
                (*above, *left) = (*mode, *mode);
            }
        }
        return LumaPrediction::Subblocks(modes);
    }
    let mode = match bits.read_bool(156) {
        false if bits.read_bool(163) => PredictionMode::Vertical,
        false => PredictionMode::Dc,
        true if bits.read_bool(128) => PredictionMode::TrueMotion,
        true => PredictionMode::Horizontal,
    };
    // The equivalent subblock mode is the context of later subblocks (RFC 6386, section 11.3).
    let equivalent = match mode {
        PredictionMode::Dc => SubblockMode::Dc,
        PredictionMode::Vertical => SubblockMode::Vertical,
        PredictionMode::Horizontal => SubblockMode::Horizontal,
        PredictionMode::TrueMotion => SubblockMode::TrueMotion,
    };
    (*above, *left) = ([equivalent; 4], [equivalent; 4]);
    LumaPrediction::Whole(mode)
}

/// The tree of subblock modes (RFC 6386, section 11.2).
#[inline(always)]
fn read_subblock_mode(bits: &mut BoolDecoder<'_>, tree: &[u8; 9]) -> SubblockMode {
    if !bits.read_bool(tree[0]) {
        return SubblockMode::Dc;
    }
    if !bits.read_bool(tree[1]) {
        return SubblockMode::TrueMotion;
    }
    if !bits.read_bool(tree[2]) {
        return SubblockMode::Vertical;
    }
    if !bits.read_bool(tree[3]) {
        return match bits.read_bool(tree[4]) {
            false => SubblockMode::Horizontal,
            true if bits.read_bool(tree[5]) => SubblockMode::VerticalRight,
            true => SubblockMode::RightDown,
        };
    }
    if !bits.read_bool(tree[6]) {
        return SubblockMode::LeftDown;
    }
    match bits.read_bool(tree[7]) {
        false => SubblockMode::VerticalLeft,
        true if bits.read_bool(tree[8]) => SubblockMode::HorizontalUp,
        true => SubblockMode::HorizontalDown,
    }
}

/// The tree of chroma modes with the probabilities of key frames (RFC 6386, sections 11.2 and 11.4).
#[inline(always)]
fn read_chroma_mode(bits: &mut BoolDecoder<'_>) -> PredictionMode {
    if !bits.read_bool(142) {
        return PredictionMode::Dc;
    }
    match bits.read_bool(114) {
        false => PredictionMode::Vertical,
        true if bits.read_bool(183) => PredictionMode::TrueMotion,
        true => PredictionMode::Horizontal,
    }
}
