//! The frame header, in the first partition's beginning (RFC 6386 sections 9.2 to 9.11 and 19.2), and the partitions.

use crate::Incomplete;
use crate::entropy::bool_decoder::Bools;
use crate::entropy::coefficients::Trees;
use crate::entropy::modes::ModeHeader;
use crate::entropy::tables::{AC_STEPS, DC_STEPS, DEFAULTS, UPDATES};
use crate::error::Error;
use crate::filter::Strength;
use crate::header::{HEADER_BYTES, Header, Steps};

/// All that decoding the macroblocks of a frame needs.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// What is left of the first partition: the modes.
    pub(crate) modes: Bools<'a>,
    pub(crate) mode_header: ModeHeader,
    /// The coefficients of each row of macroblocks, in turn.
    pub(crate) partitions: Vec<Bools<'a>>,
    pub(crate) trees: Trees,
    /// Of each segment.
    pub(crate) steps: [Steps; 4],
    /// Of each segment, for macroblocks that are predicted whole and for those in blocks; `None` if nothing is filtered.
    pub(crate) filter: Option<FrameFilter>,
}

/// Which filter smooths the edges of blocks, and by how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameFilter {
    pub(crate) is_simple: bool,
    pub(crate) strengths: [[Option<Strength>; 2]; 4],
}

impl<'a> Frame<'a> {
    pub(crate) fn read(data: &'a [u8], header: &Header, incomplete: Incomplete) -> Result<Self, Error> {
        let rest = data.get(HEADER_BYTES..).ok_or(Error::Truncated)?;
        let (first, rest) = rest.split_at_checked(header.first_partition).ok_or(Error::Truncated)?;
        let mut bools = Bools::new(first);
        // The colour space, of which there is one, and whether samples may go without clamping: they are clamped.
        let _ = (bools.flag(), bools.flag());
        let segments = if bools.flag() { Some(Segments::read(&mut bools)) } else { None };
        let filter = FilterHeader::read(&mut bools);
        let count = 1 << bools.literal(2);
        bools.check()?;
        let partitions = partitions(rest, count, incomplete)?;
        let steps = steps(&mut bools, segments.as_ref());
        // Whether probabilities are kept for the next frame: there is none.
        let _ = bools.flag();
        let trees = trees(&mut bools);
        let skipping = if bools.flag() { Some(bools.literal(8)) } else { None };
        bools.check()?;
        let mode_header = ModeHeader { segments: segments.as_ref().and_then(|segments| segments.tree), skipping };
        let filter = filter.strengths(segments.as_ref());
        Ok(Self { modes: bools, mode_header, partitions, trees, steps, filter })
    }
}

/// Section 9.5: the sizes of all partitions but the last, and then those.
fn partitions(data: &[u8], count: usize, incomplete: Incomplete) -> Result<Vec<Bools<'_>>, Error> {
    let (sizes, mut rest) = data.split_at_checked(3 * (count - 1)).ok_or(Error::Truncated)?;
    let mut partitions = Vec::with_capacity(count);
    for &[a, b, c] in sizes.as_chunks::<3>().0 {
        let size = u32::from_le_bytes([a, b, c, 0]) as usize;
        let (partition, behind) = match (rest.split_at_checked(size), incomplete) {
            (Some(parts), _) => parts,
            (None, Incomplete::Keep) => (rest, &[][..]),
            (None, Incomplete::Refuse) => return Err(Error::Truncated),
        };
        partitions.push(Bools::new(partition));
        rest = behind;
    }
    partitions.push(Bools::new(rest));
    Ok(partitions)
}

/// Section 9.3: up to four kinds of macroblocks, each with a quantizer and a filter level of its own.
#[derive(Debug, Default)]
struct Segments {
    tree: Option<[u8; 3]>,
    /// Whether what follows is added to the frame's.
    is_relative: bool,
    quantizers: [i32; 4],
    filter_levels: [i32; 4],
}

impl Segments {
    fn read(bools: &mut Bools<'_>) -> Self {
        let mut segments = Self::default();
        let has_tree = bools.flag();
        if bools.flag() {
            segments.is_relative = !bools.flag();
            segments.quantizers = [(); 4].map(|()| bools.optional(7));
            segments.filter_levels = [(); 4].map(|()| bools.optional(6));
        }
        if has_tree {
            segments.tree = Some([(); 3].map(|()| if bools.flag() { bools.literal(8) } else { 255 }));
        }
        segments
    }

    /// A segment's `own` value where the frame's is `common`.
    fn value(&self, own: i32, common: i32) -> i32 {
        if self.is_relative { common + own } else { own }
    }
}

/// Section 9.6.
fn steps(bools: &mut Bools<'_>, segments: Option<&Segments>) -> [Steps; 4] {
    let common = i32::from(bools.literal(7));
    let [luma_dc, dcs_dc, dcs_ac, chroma_dc, chroma_ac] = [(); 5].map(|()| bools.optional(4));
    let step = |table: &[u16; 128], index: i32| i32::from(table[index.clamp(0, 127) as usize]);
    [0, 1, 2, 3].map(|n| {
        let index = segments.map_or(common, |segments| segments.value(segments.quantizers[n], common));
        Steps {
            luma: [step(&DC_STEPS, index + luma_dc), step(&AC_STEPS, index)],
            dcs: [2 * step(&DC_STEPS, index + dcs_dc), (step(&AC_STEPS, index + dcs_ac) * 155 / 100).max(8)],
            chroma: [step(&DC_STEPS, index + chroma_dc).min(132), step(&AC_STEPS, index + chroma_ac)],
        }
    })
}

/// Sections 13.4 and 13.5.
fn trees(bools: &mut Bools<'_>) -> Trees {
    let mut probabilities = DEFAULTS;
    let all = probabilities.as_flattened_mut().as_flattened_mut().as_flattened_mut();
    let updates = UPDATES.as_flattened().as_flattened().as_flattened();
    for (probability, update) in all.iter_mut().zip(updates) {
        if bools.bit(*update) {
            *probability = bools.literal(8);
        }
    }
    Trees::new(&probabilities)
}

/// Sections 9.6 and 9.3: what the filter's strength is made of.
#[derive(Debug)]
struct FilterHeader {
    is_simple: bool,
    level: i32,
    sharpness: i32,
    /// What is added for key frames, and for macroblocks that are predicted in blocks.
    deltas: Option<[i32; 2]>,
}

impl FilterHeader {
    fn read(bools: &mut Bools<'_>) -> Self {
        let is_simple = bools.flag();
        let (level, sharpness) = (i32::from(bools.literal(6)), i32::from(bools.literal(3)));
        let mut deltas = None;
        if bools.flag() {
            deltas = Some([0, 0]);
            if bools.flag() {
                let all = [(); 8].map(|()| bools.optional(6));
                deltas = Some([all[0], all[4]]);
            }
        }
        Self { is_simple, level, sharpness, deltas }
    }

    fn strengths(&self, segments: Option<&Segments>) -> Option<FrameFilter> {
        if self.level == 0 {
            return None;
        }
        let strengths = [0, 1, 2, 3].map(|n| {
            let level = segments.map_or(self.level, |segments| segments.value(segments.filter_levels[n], self.level));
            [false, true].map(|has_blocks| {
                let deltas = self.deltas.map_or(0, |[frame, blocks]| frame + if has_blocks { blocks } else { 0 });
                Strength::new((level.clamp(0, 63) + deltas).clamp(0, 63), self.sharpness)
            })
        });
        Some(FrameFilter { is_simple: self.is_simple, strengths })
    }
}
