//! Conversions between channel layouts.

use crate::pixels::Pixels;

/// Any layout as RGBA.
pub(crate) fn to_rgba(pixels: Pixels) -> Pixels {
    let pixels = to_color(pixels);
    if pixels.channels == 4 {
        return pixels;
    }
    let data = pixels.data.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, u8::MAX]).collect();
    Pixels { channels: 4, data, ..pixels }
}

/// Gray as RGB, and gray with alpha as RGBA.
pub(crate) fn to_color(pixels: Pixels) -> Pixels {
    let data: Vec<u8> = match pixels.channels {
        1 => pixels.data.iter().flat_map(|&gray| [gray; 3]).collect(),
        2 => pixels.data.chunks_exact(2).flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect(),
        _ => return pixels,
    };
    Pixels { channels: pixels.channels + 2, data, ..pixels }
}

/// Blends an image with an alpha channel onto white; other images stay as they are.
pub(crate) fn flatten_on_white(pixels: Pixels) -> Pixels {
    let (colors, alpha) = match pixels.channels {
        2 => (1, 1),
        4 => (3, 3),
        _ => return pixels,
    };
    let mut data = Vec::with_capacity(pixels.data.len() / (alpha + 1) * colors);
    for pixel in pixels.data.chunks_exact(alpha + 1) {
        let opacity = u16::from(pixel[alpha]);
        for &color in &pixel[..colors] {
            // Rounded to nearest; 0 and 255 stay exact.
            let sum = u16::from(color) * opacity + 255 * (255 - opacity);
            data.push(u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX));
        }
    }
    let channels = if colors == 1 { 1 } else { 3 };
    Pixels { channels, data, ..pixels }
}
