//! Decodes PNG of 16 bits per sample without reducing them. Interlaced files and HDR are left to the decoder of 8 bits.

use png::{BitDepth, ColorType};

use crate::codec::decoded::DeepPixels;
use crate::codec::png::chunks::{PngHeader, lacks_only_its_end};
use crate::codec::png::open;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::limits::Incomplete;
use crate::pixels::Pixels;

/// Decodes the image. For an APNG, this is the default image.
///
/// # Errors
/// The original is damaged or does not have 16 bits per sample, or decoding takes too long.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<DeepPixels, Error> {
    let header = PngHeader::read(original)?;
    let mut reader = open(original, &header)?;
    let (width, height) = reader.info().size();
    let (color, depth) = reader.output_color_type();
    if depth != BitDepth::Sixteen || header.is_interlaced {
        return Err(damaged("its rows do not have 16 bits per sample"));
    }
    let channels = u8::try_from(color.samples()).unwrap_or(4);
    let stride = width as usize * usize::from(channels);
    // Missing rows of a truncated file are transparent, or mid-gray without an alpha channel.
    let has_alpha = matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let mut data = vec![if has_alpha { 0 } else { 1 << 15 }; stride * height as usize];
    let mut row = vec![0; reader.output_line_size(width).unwrap_or_default()];
    let mut next = 0;
    let mut targets = data.chunks_exact_mut(stride.max(1));
    loop {
        context.deadline.check()?;
        match reader.read_row(&mut row) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) if context.incomplete == Incomplete::Keep && next > 0 => break,
            Err(_) if next == header.stored_rows() && lacks_only_its_end(original) => break,
            Err(error) => return Err(damaged(error.to_string())),
        }
        next += 1;
        let samples = row.as_chunks::<2>().0.iter().map(|sample| u16::from_be_bytes(*sample));
        let target = targets.next().unwrap_or_default();
        target.iter_mut().zip(samples).for_each(|(to, from)| *to = from);
    }
    let conversion = header.color.color().deep_conversion(channels, context.encode.color);
    Ok(DeepPixels { pixels: Pixels { width, height, channels, data }, conversion })
}
