//! Converts the planes of lossy WebP to pixels as libwebp does: chroma is interpolated, and the matrix of ITU-R BT.601 is
//! applied in fixed point.

use crate::codec::planes::limited_to_rgb;

/// Fills the pixels from Y, U and V.
pub(super) fn fill_rgb(planes: [&[u8]; 3], width: usize, pixels: &mut [[u8; 3]]) {
    fill(planes, width, pixels, |pixel, color| *pixel = color);
}

/// Fills the pixels from Y, U and V. Keeps their alpha.
pub(super) fn fill_rgba(planes: [&[u8]; 3], width: usize, pixels: &mut [[u8; 4]]) {
    fill(planes, width, pixels, |pixel, [red, green, blue]| *pixel = [red, green, blue, pixel[3]]);
}

#[inline(always)]
fn fill<T>([luma, u, v]: [&[u8]; 3], width: usize, pixels: &mut [T], put: impl Fn(&mut T, [u8; 3])) {
    let chroma_width = width.div_ceil(2);
    let [mut row_u, mut row_v] = [vec![0; width], vec![0; width]];
    for (y, (pixels, luma)) in pixels.chunks_exact_mut(width).zip(luma.chunks_exact(width)).enumerate() {
        for (chroma, row) in [(u, &mut row_u), (v, &mut row_v)] {
            let line = |n: usize| chroma.chunks_exact(chroma_width).nth(n);
            let near = line(y / 2).unwrap_or_default();
            let far = if y % 2 == 0 { (y / 2).checked_sub(1) } else { Some(y / 2 + 1) };
            interpolate(near, far.and_then(line).unwrap_or(near), row);
        }
        for ((pixel, luma), (u, v)) in pixels.iter_mut().zip(luma).zip(row_u.iter().zip(&row_v)) {
            put(pixel, limited_to_rgb(*luma, *u, *v));
        }
    }
}

/// Doubles the width of a line of chroma. Each sample is a mean of the four nearest: nine parts of the one that covers the
/// pixel, three parts of each neighbor in the same row or column, and one part of the fourth.
fn interpolate(near: &[u8], far: &[u8], row: &mut [u8]) {
    let mean = |near: u8, across: u8, down: u8, diagonal: u8| {
        let sum = 9 * u16::from(near) + 3 * (u16::from(across) + u16::from(down)) + u16::from(diagonal) + 8;
        (sum >> 4).to_le_bytes()[0]
    };
    let edge = |row: &mut u8, near: Option<&u8>, far: Option<&u8>| {
        if let (Some(near), Some(far)) = (near, far) {
            *row = mean(*near, *near, *far, *far);
        }
    };
    let Some((first, rest)) = row.split_first_mut() else { return };
    edge(first, near.first(), far.first());
    let (pairs, last) = rest.as_chunks_mut::<2>();
    for ((pair, near), far) in pairs.iter_mut().zip(near.windows(2)).zip(far.windows(2)) {
        *pair = [mean(near[0], near[1], far[0], far[1]), mean(near[1], near[0], far[1], far[0])];
    }
    if let [last] = last {
        edge(last, near.last(), far.last());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane of a frame of image-webp, cropped to `width` columns.
    fn cropped(plane: &[u8], stride: usize, width: usize, height: usize) -> Vec<u8> {
        plane.chunks(stride).take(height).flat_map(|line| &line[..width]).copied().collect()
    }

    #[test]
    fn pixels_equal_those_of_image_webp() {
        for (width, height) in [(1, 1), (2, 1), (1, 2), (3, 3), (16, 16), (17, 18), (31, 2), (40, 33)] {
            let picture = image::RgbImage::from_fn(width, height, |x, y| {
                image::Rgb([(x * 37 + y * 11) as u8, (x * y * 5) as u8, (y * 91) as u8])
            });
            let pixels = crate::pixels::Pixels { width, height, channels: 3, data: picture.into_raw() };
            let deadline = crate::deadline::Deadline::after(std::time::Duration::from_secs(60));
            let quality = crate::Quality::new(80).unwrap();
            let file =
                crate::codec::webp::encode::encode(&pixels, quality, crate::effort::WebpEffort::default(), deadline)
                    .unwrap();
            let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(&file)).unwrap();
            let mut expected = vec![0; decoder.output_buffer_size().unwrap()];
            decoder.read_image(&mut expected).unwrap();
            let frame = image_webp::vp8::Vp8Decoder::decode_frame(&file[20..]).unwrap();
            let (width, height) = (width as usize, height as usize);
            let stride = 16 * width.div_ceil(16);
            let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
            let luma = cropped(&frame.ybuf, stride, width, height);
            let [u, v] = [&frame.ubuf, &frame.vbuf].map(|plane| cropped(plane, stride / 2, half_width, half_height));
            let mut actual = vec![[0; 3]; width * height];
            fill_rgb([&luma, &u, &v], width, &mut actual);
            assert!(actual.as_flattened() == expected, "{width}x{height}");
        }
    }
}
