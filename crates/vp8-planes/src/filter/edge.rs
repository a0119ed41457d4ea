//! Filters one edge, 16 samples along it at a time.
//!
//! Each loop runs over 16 independent samples with operations that exist for 8-bit SIMD lanes, so compilers vectorize
//! it.

use super::strength::FilterStrength;

/// 16 samples along an edge.
pub(super) type Line = [u8; 16];

/// The four lines on each side of an edge (P3 to P0 and Q0 to Q3 in RFC 6386, section 15.2).
pub(super) type FilterEdge = [Line; 8];

/// The filter of one kind of edge, with its thresholds.
#[derive(Debug, Clone, Copy)]
pub(super) struct EdgeFilter {
    edge_limit: u8,
    interior_limit: u8,
    high_variance_threshold: u8,
}

/// Converts a sample to the signed number on which the filter operates (`u2s` in RFC 6386, section 15.2).
#[inline(always)]
fn signed(sample: u8) -> i8 {
    (sample ^ 0x80).cast_signed()
}

/// The reverse of [`signed`].
#[inline(always)]
fn sample(signed: i8) -> u8 {
    signed.cast_unsigned() ^ 0x80
}

/// The adjustment `outer + 3 * (q0 - p0)`, saturated (`common_adjust` in RFC 6386, section 15.2). Saturating each
/// addition gives the same result, because the three addends have the same sign.
#[inline(always)]
fn adjustment(p0: i8, q0: i8, outer: i8) -> i8 {
    let step = q0.saturating_sub(p0);
    outer.saturating_add(step).saturating_add(step).saturating_add(step)
}

/// Half of a number, rounded down. Written as a shift of an unsigned byte, because compilers widen signed bytes before
/// they shift.
#[inline(always)]
fn half(number: i8) -> i8 {
    ((number.cast_unsigned() ^ 0x80) >> 1).wrapping_sub(64).cast_signed()
}

/// An eighth of a number, rounded down.
#[inline(always)]
fn eighth(number: i8) -> i8 {
    ((number.cast_unsigned() ^ 0x80) >> 3).wrapping_sub(16).cast_signed()
}

/// The amounts by which `q0` decreases and `p0` increases.
#[inline(always)]
fn nearest_changes(change: i8) -> (i8, i8) {
    (eighth(change.saturating_add(4)), eighth(change.saturating_add(3)))
}

impl EdgeFilter {
    pub(super) fn macroblock(strength: FilterStrength) -> Self {
        Self::new(strength.macroblock_limit, strength)
    }

    pub(super) fn subblock(strength: FilterStrength) -> Self {
        Self::new(strength.subblock_limit, strength)
    }

    fn new(edge_limit: u8, strength: FilterStrength) -> Self {
        let FilterStrength { interior_limit, high_variance_threshold, .. } = strength;
        Self { edge_limit, interior_limit, high_variance_threshold }
    }

    /// The amount by which the difference across the edge exceeds the limit.
    #[inline(always)]
    fn excess(&self, p1: u8, p0: u8, q0: u8, q1: u8) -> u8 {
        let difference = p0.abs_diff(q0);
        difference.saturating_add(difference).saturating_add(p1.abs_diff(q1) >> 1).saturating_sub(self.edge_limit)
    }

    /// Two masks of all 1 bits or all 0 bits: the samples at `n` are filtered, and their variance is low (RFC 6386,
    /// section 15.3).
    #[inline(always)]
    fn masks(&self, [p3, p2, p1, p0, q0, q1, q2, q3]: &FilterEdge, n: usize) -> (i8, i8) {
        let (p3, p2, p1, p0) = (p3[n], p2[n], p1[n], p0[n]);
        let (q0, q1, q2, q3) = (q0[n], q1[n], q2[n], q3[n]);
        let near = p1.abs_diff(p0).max(q1.abs_diff(q0));
        let far = p3.abs_diff(p2).max(p2.abs_diff(p1)).max(q3.abs_diff(q2)).max(q2.abs_diff(q1));
        let excess = self.excess(p1, p0, q0, q1) | near.max(far).saturating_sub(self.interior_limit);
        (if excess == 0 { -1 } else { 0 }, if near <= self.high_variance_threshold { -1 } else { 0 })
    }

    /// The normal filter for edges of subblocks, which changes up to two samples on each side (RFC 6386, section 15.3).
    pub(super) fn smooth_subblock(&self, edge: &mut FilterEdge) {
        let before = *edge;
        for n in 0..16 {
            let (filtered, low_variance) = self.masks(&before, n);
            let (p1, p0) = (signed(before[2][n]), signed(before[3][n]));
            let (q0, q1) = (signed(before[4][n]), signed(before[5][n]));
            let (down, up) = nearest_changes(adjustment(p0, q0, p1.saturating_sub(q1) & !low_variance) & filtered);
            let outer = half(down.wrapping_add(1)) & low_variance;
            edge[2][n] = sample(p1.saturating_add(outer));
            edge[3][n] = sample(p0.saturating_add(up));
            edge[4][n] = sample(q0.saturating_sub(down));
            edge[5][n] = sample(q1.saturating_sub(outer));
        }
    }

    /// The normal filter for edges of macroblocks, which changes up to three samples on each side (RFC 6386, section
    /// 15.3).
    pub(super) fn smooth_macroblock(&self, edge: &mut FilterEdge) {
        let before = *edge;
        let mut wide_changes = [0; 16];
        let (mut downs, mut ups) = ([0; 16], [0; 16]);
        for n in 0..16 {
            let (filtered, low_variance) = self.masks(&before, n);
            let (p1, p0) = (signed(before[2][n]), signed(before[3][n]));
            let (q0, q1) = (signed(before[4][n]), signed(before[5][n]));
            let change = adjustment(p0, q0, p1.saturating_sub(q1)) & filtered;
            wide_changes[n] = change & low_variance;
            (downs[n], ups[n]) = nearest_changes(change & !low_variance);
        }
        let mut shares = [[0; 16]; 3];
        for (n, change) in wide_changes.into_iter().enumerate() {
            let share = 9 * i16::from(change);
            shares[0][n] = ((share + 63) >> 7) as i8;
            shares[1][n] = ((share + share + 63) >> 7) as i8;
            shares[2][n] = ((share + share + share + 63) >> 7) as i8;
        }
        for n in 0..16 {
            let (p2, p1, p0) = (signed(before[1][n]), signed(before[2][n]), signed(before[3][n]));
            let (q0, q1, q2) = (signed(before[4][n]), signed(before[5][n]), signed(before[6][n]));
            edge[1][n] = sample(p2.saturating_add(shares[0][n]));
            edge[2][n] = sample(p1.saturating_add(shares[1][n]));
            edge[3][n] = sample(p0.saturating_add(shares[2][n]).saturating_add(ups[n]));
            edge[4][n] = sample(q0.saturating_sub(shares[2][n]).saturating_sub(downs[n]));
            edge[5][n] = sample(q1.saturating_sub(shares[1][n]));
            edge[6][n] = sample(q2.saturating_sub(shares[0][n]));
        }
    }

    /// The simple filter, which changes one sample on each side (RFC 6386, section 15.2).
    pub(super) fn smooth_simple(&self, edge: &mut FilterEdge) {
        let before = *edge;
        for n in 0..16 {
            let (p1, p0, q0, q1) = (before[2][n], before[3][n], before[4][n], before[5][n]);
            let filtered = if self.excess(p1, p0, q0, q1) == 0 { -1 } else { 0 };
            let (p1, p0, q0, q1) = (signed(p1), signed(p0), signed(q0), signed(q1));
            let (down, up) = nearest_changes(adjustment(p0, q0, p1.saturating_sub(q1)) & filtered);
            edge[3][n] = sample(p0.saturating_add(up));
            edge[4][n] = sample(q0.saturating_sub(down));
        }
    }
}
