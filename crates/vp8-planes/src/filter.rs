//! The loop filter (RFC 6386 section 15): what smooths the edges of blocks, sixteen samples along an edge at once.

mod apply;
mod edge;
mod transpose;

pub(crate) use apply::{chroma, luma, simple};

/// How strongly a macroblock is filtered (section 15.2 to 15.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strength {
    /// Up to which difference across an edge of the macroblock it is smoothed.
    macroblock_limit: u8,
    /// The same of the edges within.
    block_limit: u8,
    /// Up to which difference beside an edge it is smoothed.
    interior_limit: u8,
    /// From which difference beside an edge fewer samples are changed.
    variance: u8,
}

impl Strength {
    /// Of a level of 0 to 63, of which 0 filters nothing, and a sharpness of 0 to 7.
    pub(crate) fn new(level: i32, sharpness: i32) -> Option<Self> {
        if level == 0 {
            return None;
        }
        let mut interior = level;
        if sharpness > 0 {
            interior = (level >> if sharpness > 4 { 2 } else { 1 }).min(9 - sharpness);
        }
        let interior = interior.max(1);
        let variance = u8::from(level >= 15) + u8::from(level >= 40);
        let byte = |limit: i32| limit.clamp(0, 255) as u8;
        Some(Self {
            macroblock_limit: byte(2 * (level + 2) + interior),
            block_limit: byte(2 * level + interior),
            interior_limit: byte(interior),
            variance,
        })
    }
}

/// Which of a macroblock's edges are filtered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edges {
    /// To the macroblock on the left.
    pub(crate) left: bool,
    /// To the macroblock above.
    pub(crate) top: bool,
    /// Between its blocks.
    pub(crate) inner: bool,
}
