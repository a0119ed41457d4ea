//! The edges of one macroblock, in the order of RFC 6386 section 15.1: left, between columns, top, between rows.
//!
//! Its lines are read once and written once; edges between columns are smoothed on columns made of them.

use super::edge::{Beside, Line, Smoother};
use super::{Edges, Strength};
use crate::filter::transpose as turn;
use crate::samples::{part, put};
use crate::strip::{PENDING, Strip};

/// Filters the luma of the macroblock at `at` by the normal filter.
pub(crate) fn luma(strip: &mut Strip, at: usize, strength: Strength, edges: Edges) {
    let (outer, inner) = (Smoother::macroblock(strength), Smoother::block(strength));
    filter_luma(strip, at, edges, |beside| outer.smooth_macroblock(beside), |beside| inner.smooth_block(beside));
}

/// Filters the luma of the macroblock at `at` by the simple filter, which leaves chroma as it is.
pub(crate) fn simple(strip: &mut Strip, at: usize, strength: Strength, edges: Edges) {
    let (outer, inner) = (Smoother::macroblock(strength), Smoother::block(strength));
    filter_luma(strip, at, edges, |beside| outer.smooth_simply(beside), |beside| inner.smooth_simply(beside));
}

/// Filters both chroma planes of the macroblock at `at` by the normal filter: a line of U and one of V are sixteen samples.
pub(crate) fn chroma([u, v]: [&mut Strip; 2], at: usize, strength: Strength, edges: Edges) {
    let (outer, inner) = (Smoother::macroblock(strength), Smoother::block(strength));
    let (outer, inner) =
        (|beside: &mut Beside| outer.smooth_macroblock(beside), |beside: &mut Beside| inner.smooth_block(beside));
    let stride = u.stride;
    let (u, v) = (&mut u.samples[..], &mut v.samples[..]);
    let inner_edges: &[usize] = if edges.inner { &[8] } else { &[] };
    if edges.left || edges.inner {
        let mut columns = [[0; 16]; 16];
        read_columns(u, (at, stride), &mut columns, 0);
        read_columns(v, (at, stride), &mut columns, 8);
        smooth(&mut columns, edges.left, inner_edges, outer, inner);
        write_columns(u, (at, stride), &columns, 0);
        write_columns(v, (at, stride), &columns, 8);
    }
    if edges.top || edges.inner {
        let places: [usize; PENDING + 8] = places(at, stride);
        let mut lines = places.map(|at| {
            let mut line = [0; 16];
            put::<8>(&mut line, 0, part(u, at));
            put::<8>(&mut line, 8, part(v, at));
            line
        });
        smooth(&mut lines, edges.top, inner_edges, outer, inner);
        for (line, at) in lines.iter().zip(places) {
            put::<8>(u, at, part(line, 0));
            put::<8>(v, at, part(line, 8));
        }
    }
}

fn filter_luma(strip: &mut Strip, at: usize, edges: Edges, outer: impl Fn(&mut Beside), inner: impl Fn(&mut Beside)) {
    let (stride, samples) = (strip.stride, &mut strip.samples[..]);
    let inner_edges: &[usize] = if edges.inner { &[8, 12, 16] } else { &[] };
    if edges.left || edges.inner {
        // Those beyond the macroblock are read and written as they are.
        let mut columns = [[0; 16]; 24];
        let columns = if edges.inner { &mut columns[..] } else { &mut columns[..8] };
        read_columns(samples, (at, stride), columns, 0);
        read_columns(samples, (at + 8 * stride, stride), columns, 8);
        smooth(columns, edges.left, inner_edges, &outer, &inner);
        write_columns(samples, (at, stride), columns, 0);
        write_columns(samples, (at + 8 * stride, stride), columns, 8);
    }
    if edges.top || edges.inner {
        let places: [usize; PENDING + 16] = places(at, stride);
        let mut lines = places.map(|at| part(samples, at));
        smooth(&mut lines, edges.top, inner_edges, &outer, &inner);
        for (line, at) in lines.iter().zip(places) {
            put(samples, at, *line);
        }
    }
}

/// Where the lines of a macroblock at `at` lie and before them those above, as the filter has left them: between is the line
/// that has not been filtered.
fn places<const N: usize>(at: usize, stride: usize) -> [usize; N] {
    let above = at - (PENDING + 1) * stride;
    std::array::from_fn(|n| above + (n + usize::from(n >= PENDING)) * stride)
}

/// Smooths the edge before the fifth of `lines`, if there is an `outer` one, and those before each of `inner_edges`.
#[inline(always)]
fn smooth(
    lines: &mut [Line],
    has_outer: bool,
    inner_edges: &[usize],
    outer: impl Fn(&mut Beside),
    inner: impl Fn(&mut Beside),
) {
    if let (true, Some(beside)) = (has_outer, lines.first_chunk_mut()) {
        outer(beside);
    }
    for at in inner_edges {
        if let Some(beside) = lines.get_mut(at - 4..).and_then(|lines| lines.first_chunk_mut()) {
            inner(beside);
        }
    }
}

/// Reads columns of eight lines, from the fourth to the left of `at` on, into `columns` from their sample `half` on.
#[inline(always)]
fn read_columns(samples: &[u8], (at, stride): (usize, usize), columns: &mut [Line], half: usize) {
    for (n, columns) in columns.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let at = at - 4 + 8 * n;
        let rows = std::array::from_fn(|y| part(samples, at + y * stride));
        for (column, square) in columns.iter_mut().zip(turn::square(rows)) {
            put(column, half, square);
        }
    }
}

/// Writes what [`read_columns`] reads.
#[inline(always)]
fn write_columns(samples: &mut [u8], (at, stride): (usize, usize), columns: &[Line], half: usize) {
    for (n, columns) in columns.as_chunks::<8>().0.iter().enumerate() {
        let at = at - 4 + 8 * n;
        let columns = columns.each_ref().map(|column| part(column, half));
        for (y, row) in turn::square(columns).into_iter().enumerate() {
            put(samples, at + y * stride, row);
        }
    }
}
