//! The forward DCT of a block of 8 x 8 samples.

use crate::dct::{Lanes, add, mul, sub, transpose};

/// The eight-point transform of all lanes: the flow graph of Arai, Agui and Nakajima.
#[inline(always)]
fn pass(s: [Lanes<8>; 8]) -> [Lanes<8>; 8] {
    let (t0, t7) = (add(s[0], s[7]), sub(s[0], s[7]));
    let (t1, t6) = (add(s[1], s[6]), sub(s[1], s[6]));
    let (t2, t5) = (add(s[2], s[5]), sub(s[2], s[5]));
    let (t3, t4) = (add(s[3], s[4]), sub(s[3], s[4]));

    let (e0, e3) = (add(t0, t3), sub(t0, t3));
    let (e1, e2) = (add(t1, t2), sub(t1, t2));
    let rotated = mul(add(e2, e3), std::f32::consts::FRAC_1_SQRT_2);

    let (o0, o1, o2) = (add(t4, t5), add(t5, t6), add(t6, t7));
    let common = mul(sub(o0, o2), 0.382_683_43);
    let low = add(mul(o0, 0.541_196_1), common);
    let high = add(mul(o2, 1.306_563), common);
    let middle = mul(o1, std::f32::consts::FRAC_1_SQRT_2);
    let (z11, z13) = (add(t7, middle), sub(t7, middle));
    [
        add(e0, e1),
        add(z11, high),
        add(e3, rotated),
        sub(z13, low),
        sub(e0, e1),
        add(z13, low),
        sub(e3, rotated),
        sub(z11, high),
    ]
}

/// Returns the coefficients as `[column][row]`. Each is 8 times its true value, times its two factors of
/// [`AAN_SCALE`](crate::dct::AAN_SCALE).
#[inline]
pub(super) fn forward_dct(samples: [Lanes<8>; 8]) -> [Lanes<8>; 8] {
    pass(transpose(pass(samples)))
}
