//! How each macroblock is predicted (RFC 6386 sections 8, 9.3, 11).

use crate::entropy::bool_decoder::Bools;
use crate::entropy::tables::MODES_4;

/// How a square of 16 x 16 or 8 x 8 samples is predicted (section 12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Dc,
    Vertical,
    Horizontal,
    TrueMotion,
}

/// How a block of 4 x 4 samples is predicted (section 12.3), in the order of its probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode4 {
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

/// How luma is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luma {
    Whole(Mode),
    /// Each block by its own mode.
    Blocks([Mode4; 16]),
}

/// What the first partition says of a macroblock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Macroblock {
    /// 0 to 3.
    pub(crate) segment: u8,
    /// Whether it has no coefficients and says so.
    pub(crate) is_skipped: bool,
    pub(crate) luma: Luma,
    pub(crate) chroma: Mode,
    /// Whether any of its blocks has coefficients; known when they are read.
    pub(crate) has_coefficients: bool,
}

impl Macroblock {
    pub(crate) fn has_blocks(&self) -> bool {
        matches!(self.luma, Luma::Blocks(_))
    }
}

/// What the header says about the reading of modes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModeHeader {
    /// The probabilities of the segment's tree, if each macroblock names its segment.
    pub(crate) segments: Option<[u8; 3]>,
    /// How likely a macroblock is not skipped, if it says so.
    pub(crate) skipping: Option<u8>,
}

/// The modes of the 4 x 4 blocks above the next row and to the left of the next macroblock.
#[derive(Debug)]
pub(crate) struct Modes {
    above: Vec<[Mode4; 4]>,
}

impl Modes {
    pub(crate) fn new(columns: usize) -> Self {
        Self { above: vec![[Mode4::Dc; 4]; columns] }
    }

    /// Reads a row of macroblocks into `row`.
    #[inline(never)]
    pub(crate) fn read(&mut self, bools: &mut Bools<'_>, header: &ModeHeader, row: &mut Vec<Macroblock>) {
        let mut left = [Mode4::Dc; 4];
        row.clear();
        // A copy, which the compiler keeps in registers.
        let mut reader = *bools;
        for above in &mut self.above {
            let segment = header.segments.map_or(0, |tree| segment(&mut reader, tree));
            let is_skipped = header.skipping.is_some_and(|probability| reader.bit(probability));
            let luma = luma(&mut reader, above, &mut left);
            let chroma = chroma(&mut reader);
            row.push(Macroblock { segment, is_skipped, luma, chroma, has_coefficients: false });
        }
        *bools = reader;
    }
}

#[inline(always)]
fn segment(bools: &mut Bools<'_>, tree: [u8; 3]) -> u8 {
    if bools.bit(tree[0]) { 2 + u8::from(bools.bit(tree[2])) } else { u8::from(bools.bit(tree[1])) }
}

/// The tree of section 11.2 with the probabilities of key frames.
#[inline(always)]
fn luma(bools: &mut Bools<'_>, above: &mut [Mode4; 4], left: &mut [Mode4; 4]) -> Luma {
    if !bools.bit(145) {
        let mut modes = [Mode4::Dc; 16];
        for (row, left) in modes.as_chunks_mut::<4>().0.iter_mut().zip(left) {
            for (mode, above) in row.iter_mut().zip(above.iter_mut()) {
                *mode = block(bools, &MODES_4[*above as usize][*left as usize]);
                (*above, *left) = (*mode, *mode);
            }
        }
        return Luma::Blocks(modes);
    }
    let mode = match bools.bit(156) {
        false if bools.bit(163) => Mode::Vertical,
        false => Mode::Dc,
        true if bools.bit(128) => Mode::TrueMotion,
        true => Mode::Horizontal,
    };
    // What a block's mode would be that predicts alike (section 11.3).
    let alike = match mode {
        Mode::Dc => Mode4::Dc,
        Mode::Vertical => Mode4::Vertical,
        Mode::Horizontal => Mode4::Horizontal,
        Mode::TrueMotion => Mode4::TrueMotion,
    };
    (*above, *left) = ([alike; 4], [alike; 4]);
    Luma::Whole(mode)
}

/// The tree of section 11.2 for a block of 4 x 4.
#[inline(always)]
fn block(bools: &mut Bools<'_>, tree: &[u8; 9]) -> Mode4 {
    if !bools.bit(tree[0]) {
        return Mode4::Dc;
    }
    if !bools.bit(tree[1]) {
        return Mode4::TrueMotion;
    }
    if !bools.bit(tree[2]) {
        return Mode4::Vertical;
    }
    if !bools.bit(tree[3]) {
        return match bools.bit(tree[4]) {
            false => Mode4::Horizontal,
            true if bools.bit(tree[5]) => Mode4::VerticalRight,
            true => Mode4::RightDown,
        };
    }
    if !bools.bit(tree[6]) {
        return Mode4::LeftDown;
    }
    match bools.bit(tree[7]) {
        false => Mode4::VerticalLeft,
        true if bools.bit(tree[8]) => Mode4::HorizontalUp,
        true => Mode4::HorizontalDown,
    }
}

/// The tree of section 11.2 for chroma.
#[inline(always)]
fn chroma(bools: &mut Bools<'_>) -> Mode {
    if !bools.bit(142) {
        return Mode::Dc;
    }
    match bools.bit(114) {
        false => Mode::Vertical,
        true if bools.bit(183) => Mode::TrueMotion,
        true => Mode::Horizontal,
    }
}
