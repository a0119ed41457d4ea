//! The color transform and the subtract-green transform (RFC 9649, sections 4.2 and 4.3).

use crate::Pixel;
use crate::transform::BlockImage;

/// Multipliers by which green and red predict red and blue, for each block.
#[derive(Debug)]
pub(super) struct ColorTransform(pub(super) BlockImage);

impl ColorTransform {
    pub(super) fn invert_row(&self, row: &mut [Pixel], y: usize) {
        for (block, multipliers) in row.chunks_mut(self.0.side()).zip(self.0.row(y)) {
            let [red_to_blue, green_to_blue, green_to_red, _] = multipliers.map(|n| i32::from(n as i8));
            for [red, green, blue, _] in block {
                let green = i32::from(*green as i8);
                *red = red.wrapping_add(((green_to_red * green) >> 5) as u8);
                let predicted = ((green_to_blue * green) >> 5) + ((red_to_blue * i32::from(*red as i8)) >> 5);
                *blue = blue.wrapping_add(predicted as u8);
            }
        }
    }
}

/// Adds green to red and blue.
pub(super) fn add_green(row: &mut [Pixel]) {
    for [red, green, blue, _] in row {
        *red = red.wrapping_add(*green);
        *blue = blue.wrapping_add(*green);
    }
}
