//! Encodes planes as a baseline or progressive file with Huffman codes optimized for its content.
//!
//! With the least effort, the planes are transformed and quantized once, into a list of symbols. The symbol frequencies
//! determine the Huffman codes, which then code the list. All other files are made from the stored coefficients.

use std::fmt;

use planes::PlaneRef;

use coefficients::Coefficients;
use file::{FrameParameters, Process};
use scans::Scan;
use script::PlannedScan;
use symbols::SymbolList;

mod coefficients;
mod entropy_encode;
mod fdct;
mod file;
mod scans;
mod script;
mod sink;
mod small;
mod symbols;
mod trellis;

/// The number of planes and the size of the chroma planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaneLayout {
    /// One luma plane.
    Gray,
    /// Y, Cb and Cr. Chroma has half the width and half the height of luma, both rounded up.
    YCbCr420,
    /// Y, Cb and Cr of equal size.
    YCbCr444,
}

/// The reason why planes cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// Width or height is 0 or above 65,535.
    Size,
    /// The number or the sizes of the planes do not match the layout, or a plane has the wrong amount of data.
    Planes,
    /// The quality is not in 1 to 100.
    Quality,
    /// `should_continue` returned false.
    Cancelled,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "width and height must be in 1 to 65,535",
            Self::Planes => "the planes do not match the layout",
            Self::Quality => "the quality must be in 1 to 100",
            Self::Cancelled => "encoding was cancelled",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Quantizers of luma and chroma at quality 50, row by row (ITU-T T.81, tables K.1 and K.2).
#[rustfmt::skip]
const QUANTIZERS: [[u8; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The work that an encoder does to save bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Effort {
    /// Coefficients are rounded to nearest.
    #[default]
    Fast,
    /// Perceptual quantizers and rate-distortion optimized quantization.
    Small,
}

/// The scans of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scans {
    /// One scan: a baseline file.
    #[default]
    Sequential,
    /// Several scans of increasing detail, with a script chosen for the content. If the baseline file with the same
    /// coefficients is not larger, it is written instead.
    Progressive,
}

/// Encoding options.
#[derive(Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// Quality on the scale of libjpeg, 1 to 100.
    pub quality: u8,
    /// The work to save bytes.
    pub effort: Effort,
    /// The scans of the file.
    pub scans: Scans,
    /// Called for each row of blocks or minimum coded units. Encoding stops with [`EncodeError::Cancelled`] when it returns
    /// `false`.
    pub should_continue: &'a dyn Fn() -> bool,
}

impl EncodeOptions<'_> {
    /// A baseline file with the least effort.
    #[must_use]
    pub const fn new(quality: u8) -> Self {
        Self { quality, effort: Effort::Fast, scans: Scans::Sequential, should_continue: &|| true }
    }
}

impl fmt::Debug for EncodeOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quality, effort, scans, should_continue: _ } = self;
        let mut fields = f.debug_struct("EncodeOptions");
        fields.field("quality", quality).field("effort", effort).field("scans", scans).finish_non_exhaustive()
    }
}

/// Encodes the planes as a baseline JFIF file with the least effort. `quality` has the scale of libjpeg, 1 to 100.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(planes: &[PlaneRef<'_>], layout: PlaneLayout, quality: u8) -> Result<Vec<u8>, EncodeError> {
    encode_with(planes, layout, &EncodeOptions::new(quality))
}

/// Encodes the planes as a JFIF file.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode_with(
    planes: &[PlaneRef<'_>],
    layout: PlaneLayout,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, EncodeError> {
    let luma = *planes.first().ok_or(EncodeError::Planes)?;
    let side = |n: u32| u16::try_from(n).ok().filter(|&n| n > 0).ok_or(EncodeError::Size);
    let (width, height) = (side(luma.width)?, side(luma.height)?);
    if !(1..=100).contains(&options.quality) {
        return Err(EncodeError::Quality);
    }
    let (count, chroma) = match layout {
        PlaneLayout::Gray => (1, (0, 0)),
        PlaneLayout::YCbCr420 => (3, (luma.width.div_ceil(2), luma.height.div_ceil(2))),
        PlaneLayout::YCbCr444 => (3, (luma.width, luma.height)),
    };
    let is_complete =
        |plane: &PlaneRef<'_>| plane.data.len() as u64 == u64::from(plane.width) * u64::from(plane.height);
    let chroma_matches = planes.iter().skip(1).all(|plane| (plane.width, plane.height) == chroma);
    if planes.len() != count || !planes.iter().all(is_complete) || !chroma_matches {
        return Err(EncodeError::Planes);
    }
    let luma_blocks = if layout == PlaneLayout::YCbCr420 { 2 } else { 1 };
    let standard = QUANTIZERS.each_ref().map(|table| scale_quantizers(table, options.quality));
    let quantizers = match (options.effort, layout) {
        (Effort::Fast, _) => standard,
        // The perceptual quantizers of chroma are made for 4:2:0.
        (Effort::Small, PlaneLayout::YCbCr444) => [small::quantizers(options.quality)[0], standard[1]],
        (Effort::Small, _) => small::quantizers(options.quality),
    };
    let frame = FrameParameters { width, height, planes: count, luma_blocks, quantizers };
    encode_frame(&frame, planes, options).ok_or(EncodeError::Cancelled)
}

/// `None` if `should_continue` returned false.
fn encode_frame(frame: &FrameParameters, planes: &[PlaneRef<'_>], options: &EncodeOptions<'_>) -> Option<Vec<u8>> {
    let EncodeOptions { effort, scans, should_continue, .. } = *options;
    let coefficients = match (effort, scans) {
        (Effort::Fast, Scans::Sequential) => {
            let symbols = SymbolList::new(planes, frame.luma_blocks, &frame.quantizers, should_continue)?;
            return Some(frame.write_symbols(&symbols));
        }
        (Effort::Fast, Scans::Progressive) => {
            Coefficients::rounded(planes, frame.luma_blocks, &frame.quantizers, should_continue)?
        }
        (Effort::Small, _) => small::coefficients(planes, frame.luma_blocks, &frame.quantizers, should_continue)?,
    };
    let baseline = vec![PlannedScan::new(Scan::Sequential, &coefficients, should_continue)?];
    let baseline = frame.write(Process::Baseline, &baseline, &coefficients, should_continue)?;
    if scans == Scans::Sequential {
        return Some(baseline);
    }
    let script = script::choose(&coefficients, should_continue)?;
    let progressive = frame.write(Process::Progressive, &script, &coefficients, should_continue)?;
    Some(if progressive.len() < baseline.len() { progressive } else { baseline })
}

/// Scales quantizers to a quality as libjpeg does (`jpeg_quality_scaling`).
fn scale_quantizers(table: &[u8; 64], quality: u8) -> [u8; 64] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    table.map(|n| ((u32::from(n) * percent + 50) / 100).clamp(1, 255) as u8)
}
