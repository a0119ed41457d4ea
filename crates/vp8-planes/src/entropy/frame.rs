//! Reads the frame header at the start of the first partition (RFC 6386, sections 9.2 to 9.11 and 19.2), and finds the
//! partitions.

use planes::{Error, Incomplete};

use super::bool_decoder::BoolDecoder;
use super::coefficients::{QuantizerSteps, Steps, TokenTrees};
use super::modes::ModeParameters;
use super::tables::{AC_STEPS, DC_STEPS, DEFAULT_TOKENS, TOKEN_UPDATES};
use crate::filter::strength::FilterStrength;
use crate::header::{HEADER_BYTES, Header};

/// The bitstream of a frame after its header.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The rest of the first partition, which contains the prediction modes.
    pub(crate) modes: BoolDecoder<'a>,
    pub(crate) mode_parameters: ModeParameters,
    /// The coefficients. Consecutive rows of macroblocks are stored in consecutive partitions, cyclically.
    pub(crate) partitions: Vec<BoolDecoder<'a>>,
    pub(crate) trees: TokenTrees,
    /// By segment.
    pub(crate) steps: [QuantizerSteps; 4],
    /// `None` if the frame is not filtered.
    pub(crate) filter: Option<FrameFilter>,
}

/// The type and strength of the loop filter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameFilter {
    /// True for the simple filter, false for the normal one.
    pub(crate) is_simple: bool,
    strengths: [[Option<FilterStrength>; 2]; 4],
}

impl FrameFilter {
    /// Returns the filter strength for macroblocks of a segment, or `None` if they are not filtered. `has_subblocks` is
    /// true for macroblocks that are predicted in subblocks.
    pub(crate) fn strength(&self, segment: u8, has_subblocks: bool) -> Option<FilterStrength> {
        self.strengths[usize::from(segment)][usize::from(has_subblocks)]
    }
}

impl<'a> Frame<'a> {
    pub(crate) fn read(data: &'a [u8], header: &Header, incomplete: Incomplete) -> Result<Self, Error> {
        let rest = data.get(HEADER_BYTES..).ok_or(Error::Truncated)?;
        let (first, rest) = rest.split_at_checked(header.first_partition).ok_or(Error::Truncated)?;
        let mut bits = BoolDecoder::new(first);
        // The color space has only one defined value. The clamping type is ignored: samples are always clamped.
        let _ = (bits.read_flag(), bits.read_flag());
        let segmentation = if bits.read_flag() { Some(Segmentation::read(&mut bits)) } else { None };
        let filter = FilterHeader::read(&mut bits);
        let count = 1 << bits.read_literal(2);
        bits.check_truncated()?;
        let partitions = find_partitions(rest, count, incomplete)?;
        let steps = read_quantizers(&mut bits, segmentation.as_ref());
        // `refresh_entropy_probs` concerns later frames, which do not exist.
        let _ = bits.read_flag();
        let trees = read_token_trees(&mut bits);
        let not_skipped = if bits.read_flag() { Some(bits.read_literal(8)) } else { None };
        bits.check_truncated()?;
        let segment_tree = segmentation.as_ref().and_then(|segmentation| segmentation.tree);
        let mode_parameters = ModeParameters { segment_tree, not_skipped };
        let filter = filter.strengths(segmentation.as_ref());
        Ok(Self { modes: bits, mode_parameters, partitions, trees, steps, filter })
    }
}

/// Splits `data` into the sizes of all partitions but the last, and the partitions (RFC 6386, section 9.5).
fn find_partitions(data: &[u8], count: usize, incomplete: Incomplete) -> Result<Vec<BoolDecoder<'_>>, Error> {
    let (sizes, mut rest) = data.split_at_checked(3 * (count - 1)).ok_or(Error::Truncated)?;
    let mut partitions = Vec::with_capacity(count);
    for &[a, b, c] in sizes.as_chunks::<3>().0 {
        let size = u32::from_le_bytes([a, b, c, 0]) as usize;
        let (partition, tail) = match (rest.split_at_checked(size), incomplete) {
            (Some(parts), _) => parts,
            (None, Incomplete::Keep) => (rest, &[][..]),
            (None, Incomplete::Refuse) => return Err(Error::Truncated),
        };
        partitions.push(BoolDecoder::new(partition));
        rest = tail;
    }
    partitions.push(BoolDecoder::new(rest));
    Ok(partitions)
}

/// The division of macroblocks into up to four segments with separate quantizers and filter levels (RFC 6386, section
/// 9.3).
#[derive(Debug, Default)]
struct Segmentation {
    tree: Option<[u8; 3]>,
    /// True if the segment values are added to those of the frame, false if they replace them.
    is_relative: bool,
    quantizers: [i32; 4],
    filter_levels: [i32; 4],
}

impl Segmentation {
    fn read(bits: &mut BoolDecoder<'_>) -> Self {
        let mut segmentation = Self::default();
        let has_tree = bits.read_flag();
        if bits.read_flag() {
            segmentation.is_relative = !bits.read_flag();
            segmentation.quantizers = [(); 4].map(|()| bits.read_optional(7));
            segmentation.filter_levels = [(); 4].map(|()| bits.read_optional(6));
        }
        if has_tree {
            segmentation.tree = Some([(); 3].map(|()| if bits.read_flag() { bits.read_literal(8) } else { 255 }));
        }
        segmentation
    }

    /// Combines the value of a segment with that of the frame.
    fn combine(&self, segment_value: i32, frame_value: i32) -> i32 {
        if self.is_relative { frame_value + segment_value } else { segment_value }
    }
}

/// Reads the quantizer indices (RFC 6386, section 9.6) and looks up their steps (section 14.1).
fn read_quantizers(bits: &mut BoolDecoder<'_>, segmentation: Option<&Segmentation>) -> [QuantizerSteps; 4] {
    let frame_index = i32::from(bits.read_literal(7));
    let [luma_dc, y2_dc, y2_ac, chroma_dc, chroma_ac] = [(); 5].map(|()| bits.read_optional(4));
    let step = |table: &[u16; 128], index: i32| i32::from(table[index.clamp(0, 127) as usize]);
    [0, 1, 2, 3].map(|n| {
        let index = segmentation
            .map_or(frame_index, |segmentation| segmentation.combine(segmentation.quantizers[n], frame_index));
        QuantizerSteps {
            luma: Steps { dc: step(&DC_STEPS, index + luma_dc), ac: step(&AC_STEPS, index) },
            y2: Steps {
                dc: 2 * step(&DC_STEPS, index + y2_dc),
                ac: (step(&AC_STEPS, index + y2_ac) * 155 / 100).max(8),
            },
            chroma: Steps { dc: step(&DC_STEPS, index + chroma_dc).min(132), ac: step(&AC_STEPS, index + chroma_ac) },
        }
    })
}

/// Reads the updates of the token probabilities (RFC 6386, sections 13.4 and 13.5).
fn read_token_trees(bits: &mut BoolDecoder<'_>) -> TokenTrees {
    let mut probabilities = DEFAULT_TOKENS;
    let all = probabilities.as_flattened_mut().as_flattened_mut().as_flattened_mut();
    let updates = TOKEN_UPDATES.as_flattened().as_flattened().as_flattened();
    for (probability, update) in all.iter_mut().zip(updates) {
        if bits.read_bool(*update) {
            *probability = bits.read_literal(8);
        }
    }
    TokenTrees::new(&probabilities)
}

/// The loop filter parameters of the frame header (RFC 6386, section 9.4).
#[derive(Debug)]
struct FilterHeader {
    is_simple: bool,
    level: i32,
    sharpness: i32,
    /// Added to the level in key frames.
    key_frame_delta: i32,
    /// Added to the level of macroblocks that are predicted in subblocks.
    subblock_delta: i32,
}

impl FilterHeader {
    fn read(bits: &mut BoolDecoder<'_>) -> Self {
        let is_simple = bits.read_flag();
        let (level, sharpness) = (i32::from(bits.read_literal(6)), i32::from(bits.read_literal(3)));
        let (mut key_frame_delta, mut subblock_delta) = (0, 0);
        let has_deltas = bits.read_flag();
        if has_deltas && bits.read_flag() {
            // Four deltas by reference frame, of which a key frame uses the first, and four by mode, of which it uses
            // the first.
            let all = [(); 8].map(|()| bits.read_optional(6));
            (key_frame_delta, subblock_delta) = (all[0], all[4]);
        }
        Self { is_simple, level, sharpness, key_frame_delta, subblock_delta }
    }

    fn strengths(&self, segmentation: Option<&Segmentation>) -> Option<FrameFilter> {
        if self.level == 0 {
            return None;
        }
        let strengths = [0, 1, 2, 3].map(|n| {
            let level = segmentation
                .map_or(self.level, |segmentation| segmentation.combine(segmentation.filter_levels[n], self.level));
            [0, self.subblock_delta].map(|subblock_delta| {
                let delta = self.key_frame_delta + subblock_delta;
                FilterStrength::new((level.clamp(0, 63) + delta).clamp(0, 63), self.sharpness)
            })
        });
        Some(FrameFilter { is_simple: self.is_simple, strengths })
    }
}
