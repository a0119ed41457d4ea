//! The coefficients of one block before dequantization.

use crate::decode::component::{BlockPosition, store_block};
use crate::decode::idct::{Dequantizer, Eighth, Full, Half, InverseDct, Quarter};
use crate::options::{Plane, Scale};

/// The coefficients of a block by zigzag index, and a bit mask of those that were set.
pub(super) struct BlockValues {
    values: [i32; 64],
    mask: u64,
}

impl BlockValues {
    pub(super) const NEW: Self = Self { values: [0; 64], mask: 0 };

    #[inline(always)]
    pub(super) fn set(&mut self, k: u32, value: i32) {
        self.values[k as usize & 63] = value;
        self.mask |= 1 << (k & 63);
    }

    /// Transforms the block for each plane of its component.
    #[inline(always)]
    pub(super) fn store(&self, dequantizers: &[Dequantizer], planes: &mut [Plane], position: BlockPosition) {
        for (dequantizer, plane) in dequantizers.iter().zip(planes) {
            match plane.mode {
                Scale::Eighth => self.store_in::<Eighth, 1, 2>(dequantizer, plane, position),
                Scale::Quarter => self.store_in::<Quarter, 2, 8>(dequantizer, plane, position),
                Scale::Half => self.store_in::<Half, 4, 32>(dequantizer, plane, position),
                Scale::Full => self.store_in::<Full, 8, 64>(dequantizer, plane, position),
            }
        }
    }

    #[inline(always)]
    fn store_in<T: InverseDct<N, SIZE>, const N: usize, const SIZE: usize>(
        &self,
        dequantizer: &Dequantizer,
        plane: &mut Plane,
        position: BlockPosition,
    ) {
        let mut block = [0.0; SIZE];
        let mut remaining = self.mask & const { u64::MAX >> (63 - T::SCALE.last_coefficient()) };
        while remaining != 0 {
            let k = remaining.trailing_zeros() as usize;
            remaining &= remaining - 1;
            dequantizer.store(&mut block, k, self.values[k & 63] as f32);
        }
        store_block::<T, N, SIZE>(plane, &block, position);
    }
}
