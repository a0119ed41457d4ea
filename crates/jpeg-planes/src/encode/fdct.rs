//! From samples to coefficients: the forward DCT at eight points, over rows of eight lanes.

/// What the transform of Arai, Agui and Nakajima leaves to be divided out, by row or column.
pub(crate) const AAN: [f64; 8] = [
    1.0,
    1.387_039_845_322_148,
    1.306_562_964_876_377,
    1.175_875_602_419_359,
    1.0,
    0.785_694_958_387_102,
    0.541_196_100_146_197,
    0.275_899_379_282_943,
];

type Row = [f32; 8];

#[inline(always)]
fn add(a: Row, b: Row) -> Row {
    std::array::from_fn(|n| a[n] + b[n])
}

#[inline(always)]
fn sub(a: Row, b: Row) -> Row {
    std::array::from_fn(|n| a[n] - b[n])
}

#[inline(always)]
fn mul(a: Row, factor: f32) -> Row {
    std::array::from_fn(|n| a[n] * factor)
}

#[inline(always)]
fn pass(s: [Row; 8]) -> [Row; 8] {
    let (t0, t7) = (add(s[0], s[7]), sub(s[0], s[7]));
    let (t1, t6) = (add(s[1], s[6]), sub(s[1], s[6]));
    let (t2, t5) = (add(s[2], s[5]), sub(s[2], s[5]));
    let (t3, t4) = (add(s[3], s[4]), sub(s[3], s[4]));

    let (e0, e3) = (add(t0, t3), sub(t0, t3));
    let (e1, e2) = (add(t1, t2), sub(t1, t2));
    let turned = mul(add(e2, e3), std::f32::consts::FRAC_1_SQRT_2);

    let (o0, o1, o2) = (add(t4, t5), add(t5, t6), add(t6, t7));
    let common = mul(sub(o0, o2), 0.382_683_43);
    let low = add(mul(o0, 0.541_196_1), common);
    let high = add(mul(o2, 1.306_563), common);
    let middle = mul(o1, std::f32::consts::FRAC_1_SQRT_2);
    let (z11, z13) = (add(t7, middle), sub(t7, middle));
    [
        add(e0, e1),
        add(z11, high),
        add(e3, turned),
        sub(z13, low),
        sub(e0, e1),
        add(z13, low),
        sub(e3, turned),
        sub(z11, high),
    ]
}

#[inline(always)]
fn transpose(rows: [Row; 8]) -> [Row; 8] {
    std::array::from_fn(|y| std::array::from_fn(|x| rows[x][y]))
}

/// The coefficients, `[column][row]`, each times 8 and the two factors of [`AAN`].
#[inline]
pub(crate) fn forward(samples: [Row; 8]) -> [Row; 8] {
    pass(transpose(pass(samples)))
}
