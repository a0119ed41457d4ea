//! Filters the edges of one macroblock in the order of RFC 6386, section 15.1: left edge, inner vertical edges, top
//! edge, inner horizontal edges.
//!
//! Each direction reads and writes the samples once. Vertical edges are filtered on transposed samples.

use super::edge::{EdgeFilter, FilterEdge, Line};
use super::strength::FilterStrength;
use super::transpose::transpose;
use crate::samples::{BlockAddress, load, store};
use crate::strip::{PENDING, Strip};

/// The edges of a macroblock that are filtered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilteredEdges {
    /// The edge to the macroblock on the left.
    pub(crate) left: bool,
    /// The edge to the macroblock above.
    pub(crate) top: bool,
    /// The edges between subblocks.
    pub(crate) inner: bool,
}

/// Applies the normal filter to the luma of a macroblock.
pub(crate) fn luma(strip: &mut Strip, column: usize, strength: FilterStrength, edges: FilteredEdges) {
    let (outer, inner) = (EdgeFilter::macroblock(strength), EdgeFilter::subblock(strength));
    filter_luma(strip, column, edges, |edge| outer.smooth_macroblock(edge), |edge| inner.smooth_subblock(edge));
}

/// Applies the simple filter to the luma of a macroblock. The simple filter does not change chroma.
pub(crate) fn luma_simple(strip: &mut Strip, column: usize, strength: FilterStrength, edges: FilteredEdges) {
    let (outer, inner) = (EdgeFilter::macroblock(strength), EdgeFilter::subblock(strength));
    filter_luma(strip, column, edges, |edge| outer.smooth_simple(edge), |edge| inner.smooth_simple(edge));
}

/// Applies the normal filter to both chroma planes of a macroblock. A line of U and one of V together are 16 samples.
pub(crate) fn chroma([u, v]: [&mut Strip; 2], column: usize, strength: FilterStrength, edges: FilteredEdges) {
    let (outer, inner) = (EdgeFilter::macroblock(strength), EdgeFilter::subblock(strength));
    let outer = |edge: &mut FilterEdge| outer.smooth_macroblock(edge);
    let inner = |edge: &mut FilterEdge| inner.smooth_subblock(edge);
    let address = u.macroblock(column);
    let (u, v) = (&mut u.samples[..], &mut v.samples[..]);
    let inner_edges: &[usize] = if edges.inner { &[8] } else { &[] };
    if edges.left || edges.inner {
        let mut columns = [[0; 16]; 16];
        load_columns(u, address, &mut columns, 0);
        load_columns(v, address, &mut columns, 8);
        smooth(&mut columns, edges.left, inner_edges, outer, inner);
        store_columns(u, address, &columns, 0);
        store_columns(v, address, &columns, 8);
    }
    if edges.top || edges.inner {
        let starts: [usize; PENDING + 8] = line_starts(address);
        let mut lines = starts.map(|at| {
            let mut line = [0; 16];
            store::<8>(&mut line, 0, load(u, at));
            store::<8>(&mut line, 8, load(v, at));
            line
        });
        smooth(&mut lines, edges.top, inner_edges, outer, inner);
        for (line, at) in lines.iter().zip(starts) {
            store::<8>(u, at, load(line, 0));
            store::<8>(v, at, load(line, 8));
        }
    }
}

fn filter_luma(
    strip: &mut Strip,
    column: usize,
    edges: FilteredEdges,
    outer: impl Fn(&mut FilterEdge),
    inner: impl Fn(&mut FilterEdge),
) {
    let (address, samples) = (strip.macroblock(column), &mut strip.samples[..]);
    let lower_half = BlockAddress { start: address.line(8), ..address };
    let inner_edges: &[usize] = if edges.inner { &[8, 12, 16] } else { &[] };
    if edges.left || edges.inner {
        // The last four columns belong to the next macroblock. They are loaded and stored unchanged.
        let mut columns = [[0; 16]; 24];
        let columns = if edges.inner { &mut columns[..] } else { &mut columns[..8] };
        load_columns(samples, address, columns, 0);
        load_columns(samples, lower_half, columns, 8);
        smooth(columns, edges.left, inner_edges, &outer, &inner);
        store_columns(samples, address, columns, 0);
        store_columns(samples, lower_half, columns, 8);
    }
    if edges.top || edges.inner {
        let starts: [usize; PENDING + 16] = line_starts(address);
        let mut lines = starts.map(|at| load(samples, at));
        smooth(&mut lines, edges.top, inner_edges, &outer, &inner);
        for (line, at) in lines.iter().zip(starts) {
            store(samples, at, *line);
        }
    }
}

/// Start of each line: the filtered lines above a macroblock, then its own. The unfiltered line between them is left
/// out.
fn line_starts<const N: usize>(address: BlockAddress) -> [usize; N] {
    let above = address.start - (PENDING + 1) * address.stride;
    std::array::from_fn(|n| above + (n + usize::from(n >= PENDING)) * address.stride)
}

/// Smooths the outer edge before `lines[4]` if there is one, and the inner edge before each line in `inner_edges`.
#[inline(always)]
fn smooth(
    lines: &mut [Line],
    has_outer: bool,
    inner_edges: &[usize],
    outer: impl Fn(&mut FilterEdge),
    inner: impl Fn(&mut FilterEdge),
) {
    if let (true, Some(edge)) = (has_outer, lines.first_chunk_mut()) {
        outer(edge);
    }
    for at in inner_edges {
        if let Some(edge) = lines.get_mut(at - 4..).and_then(|lines| lines.first_chunk_mut()) {
            inner(edge);
        }
    }
}

/// Loads columns of eight samples into `columns`, from index `half` of each. The first column is four to the left of
/// `address`.
#[inline(always)]
fn load_columns(samples: &[u8], address: BlockAddress, columns: &mut [Line], half: usize) {
    for (n, columns) in columns.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let at = address.start - 4 + 8 * n;
        let rows = std::array::from_fn(|y| load(samples, at + y * address.stride));
        for (column, transposed) in columns.iter_mut().zip(transpose(rows)) {
            store(column, half, transposed);
        }
    }
}

/// The reverse of [`load_columns`].
#[inline(always)]
fn store_columns(samples: &mut [u8], address: BlockAddress, columns: &[Line], half: usize) {
    for (n, columns) in columns.as_chunks::<8>().0.iter().enumerate() {
        let at = address.start - 4 + 8 * n;
        let columns = columns.each_ref().map(|column| load(column, half));
        for (y, row) in transpose(columns).into_iter().enumerate() {
            store(samples, at + y * address.stride, row);
        }
    }
}
