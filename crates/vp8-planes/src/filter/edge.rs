//! One edge, sixteen samples along it at once.
//!
//! Each loop below is over sixteen samples of which none depends on another, in operations that vectors of eight bits have: so
//! compilers make vectors of them.

use super::Strength;

/// Samples along an edge.
pub(super) type Line = [u8; 16];

/// Lines beside an edge, four before it and four behind it (P3 to P0, Q0 to Q3 in RFC 6386 section 15.2).
pub(super) type Beside = [Line; 8];

/// What of the samples beside an edge is compared and changed, at one strength.
#[derive(Debug, Clone, Copy)]
pub(super) struct Smoother {
    edge_limit: u8,
    interior_limit: u8,
    variance: u8,
}

/// A sample as a signed number, or back.
#[inline(always)]
fn signed(sample: u8) -> i8 {
    (sample ^ 0x80).cast_signed()
}

#[inline(always)]
fn sample(signed: i8) -> u8 {
    signed.cast_unsigned() ^ 0x80
}

/// How far the step from `p0` to `q0` goes beyond that of the outer samples (`common_adjust` in section 15.2). The sum of three is
/// the same if each is cut off, since all three go one way.
#[inline(always)]
fn across(p0: i8, q0: i8, outer: i8) -> i8 {
    let step = q0.saturating_sub(p0);
    outer.saturating_add(step).saturating_add(step).saturating_add(step)
}

/// A half and an eighth, rounded down: as shifts of unsigned bytes, which vectors have; signed ones are made wider for it.
#[inline(always)]
fn half(number: i8) -> i8 {
    ((number.cast_unsigned() ^ 0x80) >> 1).wrapping_sub(64).cast_signed()
}

#[inline(always)]
fn eighth(number: i8) -> i8 {
    ((number.cast_unsigned() ^ 0x80) >> 3).wrapping_sub(16).cast_signed()
}

/// By how much `q0` is lowered and `p0` is raised.
#[inline(always)]
fn nearest(change: i8) -> (i8, i8) {
    (eighth(change.saturating_add(4)), eighth(change.saturating_add(3)))
}

impl Smoother {
    pub(super) fn macroblock(strength: Strength) -> Self {
        Self::new(strength.macroblock_limit, strength)
    }

    pub(super) fn block(strength: Strength) -> Self {
        Self::new(strength.block_limit, strength)
    }

    fn new(edge_limit: u8, strength: Strength) -> Self {
        Self { edge_limit, interior_limit: strength.interior_limit, variance: strength.variance }
    }

    /// By how much the difference across the edge is beyond the limit.
    #[inline(always)]
    fn excess(&self, p1: u8, p0: u8, q0: u8, q1: u8) -> u8 {
        let across = p0.abs_diff(q0);
        across.saturating_add(across).saturating_add(p1.abs_diff(q1) >> 1).saturating_sub(self.edge_limit)
    }

    /// All bits where samples are changed at all, and where of those more than the nearest (where `hev_threshold` in section 15.3
    /// is not reached).
    #[inline(always)]
    fn masks(&self, [p3, p2, p1, p0, q0, q1, q2, q3]: &Beside, n: usize) -> (i8, i8) {
        let (p3, p2, p1, p0) = (p3[n], p2[n], p1[n], p0[n]);
        let (q0, q1, q2, q3) = (q0[n], q1[n], q2[n], q3[n]);
        let near = p1.abs_diff(p0).max(q1.abs_diff(q0));
        let far = p3.abs_diff(p2).max(p2.abs_diff(p1)).max(q3.abs_diff(q2)).max(q2.abs_diff(q1));
        let excess = self.excess(p1, p0, q0, q1) | near.max(far).saturating_sub(self.interior_limit);
        (if excess == 0 { -1 } else { 0 }, if near <= self.variance { -1 } else { 0 })
    }

    /// The edge within a macroblock of section 15.3: changes up to two samples on either side.
    pub(super) fn smooth_block(&self, beside: &mut Beside) {
        let before = *beside;
        for n in 0..16 {
            let (is_changed, is_calm) = self.masks(&before, n);
            let (p1, p0) = (signed(before[2][n]), signed(before[3][n]));
            let (q0, q1) = (signed(before[4][n]), signed(before[5][n]));
            let (down, up) = nearest(across(p0, q0, p1.saturating_sub(q1) & !is_calm) & is_changed);
            let outer = half(down.wrapping_add(1)) & is_calm;
            beside[2][n] = sample(p1.saturating_add(outer));
            beside[3][n] = sample(p0.saturating_add(up));
            beside[4][n] = sample(q0.saturating_sub(down));
            beside[5][n] = sample(q1.saturating_sub(outer));
        }
    }

    /// The edge between macroblocks of section 15.3: changes up to three samples on either side.
    pub(super) fn smooth_macroblock(&self, beside: &mut Beside) {
        let before = *beside;
        let mut calm = [0; 16];
        let (mut downs, mut ups) = ([0; 16], [0; 16]);
        for n in 0..16 {
            let (is_changed, is_calm) = self.masks(&before, n);
            let (p1, p0) = (signed(before[2][n]), signed(before[3][n]));
            let (q0, q1) = (signed(before[4][n]), signed(before[5][n]));
            let change = across(p0, q0, p1.saturating_sub(q1)) & is_changed;
            calm[n] = change & is_calm;
            (downs[n], ups[n]) = nearest(change & !is_calm);
        }
        let mut shares = [[0; 16]; 3];
        for (n, calm) in calm.into_iter().enumerate() {
            let share = 9 * i16::from(calm);
            shares[0][n] = ((share + 63) >> 7) as i8;
            shares[1][n] = ((share + share + 63) >> 7) as i8;
            shares[2][n] = ((share + share + share + 63) >> 7) as i8;
        }
        for n in 0..16 {
            let (p2, p1, p0) = (signed(before[1][n]), signed(before[2][n]), signed(before[3][n]));
            let (q0, q1, q2) = (signed(before[4][n]), signed(before[5][n]), signed(before[6][n]));
            beside[1][n] = sample(p2.saturating_add(shares[0][n]));
            beside[2][n] = sample(p1.saturating_add(shares[1][n]));
            beside[3][n] = sample(p0.saturating_add(shares[2][n]).saturating_add(ups[n]));
            beside[4][n] = sample(q0.saturating_sub(shares[2][n]).saturating_sub(downs[n]));
            beside[5][n] = sample(q1.saturating_sub(shares[1][n]));
            beside[6][n] = sample(q2.saturating_sub(shares[0][n]));
        }
    }

    /// The simple filter of section 15.2: changes one sample on either side.
    pub(super) fn smooth_simply(&self, beside: &mut Beside) {
        let before = *beside;
        for n in 0..16 {
            let (p1, p0, q0, q1) = (before[2][n], before[3][n], before[4][n], before[5][n]);
            let is_changed = if self.excess(p1, p0, q0, q1) == 0 { -1 } else { 0 };
            let (p1, p0, q0, q1) = (signed(p1), signed(p0), signed(q0), signed(q1));
            let (down, up) = nearest(across(p0, q0, p1.saturating_sub(q1)) & is_changed);
            beside[3][n] = sample(p0.saturating_add(up));
            beside[4][n] = sample(q0.saturating_sub(down));
        }
    }
}
