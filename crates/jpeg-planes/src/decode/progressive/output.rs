//! Transforms the stored coefficients of a component into its planes.

use planes::Error;

use super::coefficients::CoefficientStore;
use crate::decode::component::{BlockPosition, store_block};
use crate::decode::frame::Frame;
use crate::decode::idct::{Dequantizer, Eighth, Full, Half, InverseDct, Quarter};
use crate::options::{Plane, Scale};

/// Fills all planes of component `n`. `omitted_bits` has an entry per plane.
pub(super) fn fill_planes(
    frame: &mut Frame<'_>,
    n: usize,
    store: &CoefficientStore,
    omitted_bits: &[u32],
) -> Result<(), Error> {
    let Some(quantizers) = store.quantizers else { return Ok(()) };
    let blocks = frame.components[n].blocks;
    let mut planes = std::mem::take(&mut frame.components[n].planes);
    for row in 0..blocks.rows {
        frame.check_cancelled()?;
        let at = row * store.columns * store.per_block;
        let coefficients = store.coefficients.get(at..).unwrap_or_default();
        let row = BlockRow { coefficients, per_block: store.per_block, columns: blocks.columns, row };
        for (plane, &omitted_bits) in planes.iter_mut().zip(omitted_bits) {
            match plane.mode {
                Scale::Eighth => row.store::<Eighth, 1, 2>(&quantizers, plane, omitted_bits),
                Scale::Quarter => row.store::<Quarter, 2, 8>(&quantizers, plane, omitted_bits),
                Scale::Half => row.store::<Half, 4, 32>(&quantizers, plane, omitted_bits),
                Scale::Full => row.store::<Full, 8, 64>(&quantizers, plane, omitted_bits),
            }
        }
    }
    frame.components[n].planes = planes;
    Ok(())
}

/// A row of completely decoded blocks.
struct BlockRow<'a> {
    coefficients: &'a [i16],
    per_block: usize,
    columns: usize,
    row: usize,
}

impl BlockRow<'_> {
    fn store<T: InverseDct<N, SIZE>, const N: usize, const SIZE: usize>(
        &self,
        quantizers: &[u16; 64],
        plane: &mut Plane,
        omitted_bits: u32,
    ) {
        let dequantizer = Dequantizer::new(quantizers, T::SCALE);
        let used = T::SCALE.last_coefficient() + 1;
        for (column, coefficients) in (0..self.columns).zip(self.coefficients.chunks_exact(self.per_block)) {
            let mut block = [0.0; SIZE];
            let (dc, ac) = coefficients.split_at(1);
            dequantizer.store(&mut block, 0, f32::from(dc[0]));
            for (k, &value) in (1..used).zip(ac) {
                dequantizer.store(&mut block, k, without_low_bits(value, omitted_bits));
            }
            store_block::<T, N, SIZE>(plane, &block, BlockPosition { column, row: self.row });
        }
    }
}

/// Replaces the omitted low bits of a magnitude by the middle of their range.
#[inline(always)]
fn without_low_bits(value: i16, bits: u32) -> f32 {
    let known = i32::from(value).abs() >> bits << bits;
    if known == 0 {
        return 0.0;
    }
    let middle = known as f32 + ((1_u32 << bits) - 1) as f32 / 2.0;
    if value < 0 { -middle } else { middle }
}
