//! From a frame to its planes, a row of macroblocks at a time.

use crate::entropy::coefficients::{Neighbours, Residue};
use crate::entropy::frame::Frame;
use crate::entropy::modes::{Luma, Macroblock, Mode4, Modes};
use crate::error::Error;
use crate::filter::{self, Edges};
use crate::header::Header;
use crate::output::Output;
use crate::predict::transform;
use crate::predict::{self, Block};
use crate::samples::{part, put};
use crate::strip::Strip;
use crate::{Filter, Incomplete, Options, Plane};

/// Decodes to Y, U and V for each of `filters`, in that order. Each is the same whether it comes alone or with others.
///
/// `header` must have been read from the same bytes.
///
/// # Errors
/// The bytes are damaged, cut short (unless that is to be kept), or decoding was cancelled.
pub fn decode(data: &[u8], header: &Header, filters: &[Filter], options: &Options<'_>) -> Result<Vec<Plane>, Error> {
    let frame = Frame::read(data, header, options.incomplete)?;
    let mut decoder = Decoder::new(frame, header, filters);
    match (decoder.run(options), options.incomplete) {
        (Ok(()), _) | (Err(Error::Truncated), Incomplete::Keep) => {}
        (Err(error), _) => return Err(error),
    }
    Ok(decoder.outputs.into_iter().map(Output::finish).collect())
}

struct Decoder<'a> {
    frame: Frame<'a>,
    /// Macroblocks, across and down.
    size: (usize, usize),
    /// Y, U and V.
    strips: [Strip; 3],
    modes: Modes,
    row: Vec<Macroblock>,
    above: Vec<Neighbours>,
    residue: Residue,
    outputs: Vec<Output>,
}

impl<'a> Decoder<'a> {
    fn new(frame: Frame<'a>, header: &Header, filters: &[Filter]) -> Self {
        let size = header.macroblocks();
        let columns = size.0;
        let outputs =
            filters.iter().flat_map(|filter| [0, 1, 2].map(|component| Output::new(header, component, *filter)));
        Self {
            frame,
            size,
            strips: [16, 8, 8].map(|side| Strip::new(columns, side)),
            modes: Modes::new(columns),
            row: Vec::with_capacity(columns),
            above: vec![Neighbours::default(); columns],
            residue: Residue::new(),
            outputs: outputs.collect(),
        }
    }

    /// Each row is predicted of lines as they were before filtering (RFC 6386 section 15), so that a row can be filtered as soon
    /// as it is there, or not at all.
    fn run(&mut self, options: &Options<'_>) -> Result<(), Error> {
        let is_filtered = self.outputs.iter().any(|output| output.filter == Filter::Full);
        for y in 0..self.size.1 {
            if !(options.proceed)() {
                return Err(Error::Cancelled);
            }
            let decoded = self.decode_row(y);
            if decoded.is_err() {
                // What waits for the filter of a row that never came.
                self.emit(Filter::Full, y, Part::Pending);
            }
            decoded?;
            self.strips.iter_mut().for_each(Strip::keep_unfiltered);
            self.emit(Filter::Skip, y, Part::All);
            if is_filtered {
                self.filter_row(y);
                self.emit(Filter::Full, y, if y + 1 == self.size.1 { Part::Last } else { Part::Settled });
                self.strips.iter_mut().for_each(Strip::keep_filtered);
            }
        }
        Ok(())
    }

    fn decode_row(&mut self, y: usize) -> Result<(), Error> {
        self.modes.read(&mut self.frame.modes, &self.frame.mode_header, &mut self.row);
        self.frame.modes.check()?;
        let count = self.frame.partitions.len();
        let Some(bools) = self.frame.partitions.get_mut(y % count) else { return Err(Error::Truncated) };
        let mut left = Neighbours::default();
        for (x, (macroblock, above)) in self.row.iter_mut().zip(&mut self.above).enumerate() {
            let has_dcs = !macroblock.has_blocks();
            if macroblock.is_skipped {
                left.skip(has_dcs);
                above.skip(has_dcs);
            } else {
                let steps = &self.frame.steps[usize::from(macroblock.segment)];
                let neighbours = (above, &mut left);
                let has_any = self.residue.read(bools, &self.frame.trees, steps, has_dcs, neighbours);
                macroblock.has_coefficients = has_any;
                bools.check()?;
            }
            reconstruct(&mut self.strips, (x, y), macroblock, &mut self.residue);
        }
        Ok(())
    }

    fn filter_row(&mut self, y: usize) {
        let Some(filter) = self.frame.filter else { return };
        let [luma, u, v] = &mut self.strips;
        for (x, macroblock) in self.row.iter().enumerate() {
            let strengths = filter.strengths[usize::from(macroblock.segment)];
            let Some(strength) = strengths[usize::from(macroblock.has_blocks())] else { continue };
            let inner = macroblock.has_blocks() || macroblock.has_coefficients;
            let edges = Edges { left: x > 0, top: y > 0, inner };
            let at = luma.place(x);
            if filter.is_simple {
                filter::simple(luma, at, strength, edges);
            } else {
                filter::luma(luma, at, strength, edges);
                let at = u.place(x);
                filter::chroma([u, v], at, strength, edges);
            }
        }
    }
}

/// Which lines of a row are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of its own.
    All,
    /// The last of the row above, and its own but for the last, which the next row's filter may change.
    Settled,
    /// The last of the row above, and all of its own.
    Last,
    /// The last of the row above.
    Pending,
}

/// Lines that the filter of the next row may change (section 15.3).
const UNSETTLED: usize = 3;

impl Decoder<'_> {
    fn emit(&mut self, filter: Filter, y: usize, part: Part) {
        for output in self.outputs.iter_mut().filter(|output| output.filter == filter) {
            let Some(strip) = self.strips.get(output.component) else { continue };
            let pending = if y > 0 && part != Part::All { UNSETTLED } else { 0 };
            let own = match part {
                Part::All | Part::Last => strip.side,
                Part::Settled => strip.side - UNSETTLED,
                Part::Pending => 0,
            };
            output.extend(strip.lines(-(pending as isize), output.width).take(pending + own));
        }
    }
}

/// Predicts a macroblock and adds its residue, which is 0 then.
fn reconstruct(strips: &mut [Strip; 3], (x, y): (usize, usize), macroblock: &Macroblock, residue: &mut Residue) {
    let edges = (y > 0, x > 0);
    let [luma, chroma @ ..] = strips;
    let (at, stride) = (luma.place(x), luma.stride);
    let has_residue = macroblock.has_coefficients;
    let (luma_blocks, chroma_blocks) = residue.blocks.split_at_mut(16);
    let (luma_counts, chroma_counts) = residue.counts.split_at(16);
    match &macroblock.luma {
        Luma::Whole(mode) => {
            predict::square::<16>(&mut luma.samples, (at, stride), *mode, edges);
            if has_residue {
                for (n, (block, count)) in luma_blocks.iter_mut().zip(luma_counts).enumerate() {
                    add(&mut luma.samples, (at + 4 * (n % 4) + 4 * (n / 4) * stride, stride), block, *count);
                }
            }
        }
        Luma::Blocks(modes) => blocks(luma, at, modes, luma_blocks, luma_counts, has_residue),
    }
    let planes = chroma.iter_mut().zip(chroma_blocks.as_chunks_mut::<4>().0).zip(chroma_counts.as_chunks::<4>().0);
    for ((strip, blocks), counts) in planes {
        let (at, stride) = (strip.place(x), strip.stride);
        predict::square::<8>(&mut strip.samples, (at, stride), macroblock.chroma, edges);
        if has_residue {
            for (n, (block, count)) in blocks.iter_mut().zip(counts).enumerate() {
                add(&mut strip.samples, (at + 4 * (n % 2) + 4 * (n / 2) * stride, stride), block, *count);
            }
        }
    }
}

/// Luma that is predicted in blocks, each of those before it (section 12.3).
#[inline(never)]
fn blocks(
    strip: &mut Strip,
    at: usize,
    modes: &[Mode4; 16],
    blocks: &mut [[i32; 16]],
    counts: &[u8],
    has_residue: bool,
) {
    let (stride, samples) = (strip.stride, &mut strip.samples[..]);
    // What is above and to the right of the macroblock stands for what is to the right of its lower blocks too.
    let beyond: [u8; 4] = part(samples, at - stride + 16);
    for (n, ((mode, block), count)) in modes.iter().zip(blocks).zip(counts).enumerate() {
        let (column, row) = (n % 4, n / 4);
        let at = at + 4 * column + 4 * row * stride;
        // Read as they were written, four by four: a processor waits for what it has to put together.
        let [a0, a1, a2, a3] = part(samples, at - stride);
        let [a4, a5, a6, a7] = if column == 3 { beyond } else { part(samples, at - stride + 4) };
        let [corner, l0, l1, l2, l3] = [
            samples[at - stride - 1],
            samples[at - 1],
            samples[at + stride - 1],
            samples[at + 2 * stride - 1],
            samples[at + 3 * stride - 1],
        ];
        let around = [l3, l2, l1, l0, corner, a0, a1, a2, a3, a4, a5, a6, a7];
        let predicted = predict::block(&around, *mode);
        let made = if has_residue && *count > 0 { sum(&predicted, block, *count) } else { predicted };
        put_block(samples, (at, stride), made);
    }
}

/// Adds a block's residue to what is at `at`.
#[inline(always)]
fn add(samples: &mut [u8], (at, stride): (usize, usize), block: &mut [i32; 16], count: u8) {
    if count == 0 {
        return;
    }
    let mut predicted: Block = [[0; 4]; 4];
    for (y, line) in predicted.iter_mut().enumerate() {
        *line = part(samples, at + y * stride);
    }
    put_block(samples, (at, stride), sum(&predicted, block, count));
}

#[inline(always)]
fn put_block(samples: &mut [u8], (at, stride): (usize, usize), block: Block) {
    for (y, line) in block.into_iter().enumerate() {
        put(samples, at + y * stride, line);
    }
}

/// What is predicted and its residue, which is 0 then.
#[inline(always)]
fn sum(predicted: &Block, block: &mut [i32; 16], count: u8) -> Block {
    let residue = transform::residue(block, count);
    *block = [0; 16];
    let mut sum = *predicted;
    for (sample, residue) in sum.as_flattened_mut().iter_mut().zip(residue) {
        *sample = (i32::from(*sample) + residue).clamp(0, 255) as u8;
    }
    sum
}
