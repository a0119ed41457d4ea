//! Decoding of TIFF to samples of 8 bits, which runs only in the sandboxed process.

use std::borrow::Cow;
use std::io::Cursor;

use tiff::decoder::{BufferLayoutPreference, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::codec::tiff::jpeg_chunks::check_sizes;
use crate::codec::tiff::{Photometric, TiffHeader};
use crate::pixel_image::{DeepPixelImage, PixelImage, PixelLayout, PixelShape};
use crate::pixels::Sample;
use crate::transform::color::PROFILE_BYTES_MAX;

/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape.
pub(crate) fn decode(file: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let header = TiffHeader::read(file).map_err(|error| error.to_string())?;
    if (header.info.width, header.info.height, header.layout) != (shape.width, shape.height, shape.layout) {
        return Err("its shape differs from its header".to_owned());
    }
    let mut decoder = decoder(with_gray_palette(file, &header), &header)?;
    if header.is_jpeg() {
        check_sizes(file, &mut decoder, header.chunk_size)?;
    }
    let profile = profile(&mut decoder, &header);
    let palette = match header.photometric {
        Photometric::Palette { .. } => Some(palette(&mut decoder)?),
        _ => None,
    };
    let (stored, layout) = read(decoder)?;
    let data = match stored {
        DecodingResult::U8(bytes) if header.bits == 8 => bytes,
        DecodingResult::U8(bytes) => unpack(&bytes, header.info.width as usize, &header),
        DecodingResult::U16(words) => words.iter().map(|word| word.to_u8()).collect(),
        _ => return Err(NOT_INTEGERS.to_owned()),
    };
    let samples = Samples::new(data, &layout, &header)?;
    let data = match palette {
        Some(palette) => samples.indexed(&palette),
        None => samples.into_pixels(&header),
    };
    Ok(PixelImage { shape, profile, data })
}

/// Like [`decode`], with 16 bits per sample.
///
/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape and 16 bits per sample.
pub(crate) fn decode_deep(file: &[u8], shape: PixelShape) -> Result<DeepPixelImage, String> {
    let header = TiffHeader::read(file).map_err(|error| error.to_string())?;
    let is_expected =
        (header.info.width, header.info.height, header.layout) == (shape.width, shape.height, shape.layout);
    if !is_expected || !header.info.is_deep {
        return Err("its shape differs from its header".to_owned());
    }
    let mut decoder = decoder(Cow::Borrowed(file), &header)?;
    let profile = profile(&mut decoder, &header);
    let (DecodingResult::U16(words), layout) = read(decoder)? else { return Err(NOT_INTEGERS.to_owned()) };
    let data = Samples::new(words, &layout, &header)?.into_interleaved(&header);
    Ok(DeepPixelImage { shape, profile, data })
}

const NOT_INTEGERS: &str = "its samples are not unsigned integers of up to 16 bits";

/// A decoder that stays within the memory computed from the header.
fn decoder<'a>(file: Cow<'a, [u8]>, header: &TiffHeader) -> Result<FileDecoder<'a>, String> {
    let bytes = usize::try_from(header.sandbox_bytes(&file)).map_err(|error| error.to_string())?;
    let mut limits = Limits::unlimited();
    (limits.decoding_buffer_size, limits.intermediate_buffer_size, limits.ifd_value_size) = (bytes, bytes, bytes);
    Ok(Decoder::new(Cursor::new(file)).map_err(|error| error.to_string())?.with_limits(limits))
}

/// The samples as they are stored.
fn read(mut decoder: FileDecoder<'_>) -> Result<(DecodingResult, BufferLayoutPreference), String> {
    let mut stored = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut stored).map_err(|error| error.to_string())?;
    Ok((stored, layout))
}

/// The file, in which the indices of a palette are declared as gray: `tiff` decodes no palettes.
fn with_gray_palette<'a>(file: &'a [u8], header: &TiffHeader) -> Cow<'a, [u8]> {
    let Photometric::Palette { value_offset } = header.photometric else { return Cow::Borrowed(file) };
    let mut file = file.to_vec();
    // The value is 3 in one of the two bytes, depending on the byte order.
    for byte in file.iter_mut().skip(value_offset).take(2).filter(|byte| **byte == 3) {
        *byte = 1;
    }
    Cow::Owned(file)
}

type FileDecoder<'a> = Decoder<Cursor<Cow<'a, [u8]>>>;

fn profile(decoder: &mut FileDecoder<'_>, header: &TiffHeader) -> Option<Vec<u8>> {
    let has_profile = header.info.profile_bytes > 0;
    let profile = has_profile.then(|| decoder.get_tag_u8_vec(Tag::IccProfile).ok()).flatten();
    profile.filter(|profile| profile.len() <= PROFILE_BYTES_MAX)
}

/// The colors of a palette, whose channels are stored one after the other with 16 bits (tag 320).
fn palette(decoder: &mut FileDecoder<'_>) -> Result<Vec<[u8; 3]>, String> {
    let channels = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(|error| error.to_string())?;
    let count = channels.len() / 3;
    // Some programs write values of 8 bits.
    let shift = if channels.iter().all(|value| *value < 256) { 0 } else { 8 };
    let value = |n: usize| u8::try_from(channels[n] >> shift).unwrap_or(u8::MAX);
    Ok((0..count).map(|n| [value(n), value(count + n), value(2 * count + n)]).collect())
}

/// Samples of 8 or 16 bits.
struct Samples<S = u8> {
    data: Vec<S>,
    /// Distance between the samples of two pixels, and between the channels of one pixel.
    pixel_stride: usize,
    channel_stride: usize,
    pixels: usize,
}

impl<S: Sample> Samples<S> {
    fn new(data: Vec<S>, layout: &BufferLayoutPreference, header: &TiffHeader) -> Result<Self, String> {
        let pixels = header.info.width as usize * header.info.height as usize;
        let (pixel_stride, channel_stride) =
            if layout.planes > 1 { (1, pixels) } else { (data.len().checked_div(pixels).unwrap_or(0), 1) };
        let channels = match header.photometric {
            Photometric::YCbCr => 3,
            Photometric::Palette { .. } => 1,
            Photometric::Gray | Photometric::Rgb | Photometric::Cmyk => usize::from(header.layout.channels()),
        };
        let last = (pixels - 1) * pixel_stride + (channels - 1) * channel_stride;
        if last >= data.len() || layout.planes <= 1 && pixel_stride < channels {
            return Err("it has fewer samples than its header states".to_owned());
        }
        Ok(Self { data, pixel_stride, channel_stride, pixels })
    }

    fn channel(&self, pixel: usize, channel: usize) -> S {
        self.data[pixel * self.pixel_stride + channel * self.channel_stride]
    }

    /// The channels of gray, RGB or CMYK pixel by pixel, without samples that are ignored.
    fn into_interleaved(self, header: &TiffHeader) -> Vec<S> {
        let channels = usize::from(header.layout.channels());
        let mut data = if self.pixel_stride == channels && self.channel_stride == 1 {
            self.data
        } else {
            let channels = 0..channels;
            (0..self.pixels)
                .flat_map(|n| channels.clone().map(move |c| (n, c)))
                .map(|(n, c)| self.channel(n, c))
                .collect()
        };
        let has_alpha = matches!(header.layout, PixelLayout::GrayAlpha | PixelLayout::Rgba);
        if has_alpha && header.is_premultiplied {
            data.chunks_exact_mut(channels).for_each(unpremultiply);
        }
        data
    }
}

impl Samples {
    fn indexed(&self, palette: &[[u8; 3]]) -> Vec<u8> {
        let color = |pixel| palette.get(usize::from(self.channel(pixel, 0))).copied().unwrap_or_default();
        (0..self.pixels).flat_map(color).collect()
    }

    fn into_pixels(self, header: &TiffHeader) -> Vec<u8> {
        if header.photometric == Photometric::YCbCr {
            let color = |n| to_rgb([self.channel(n, 0), self.channel(n, 1), self.channel(n, 2)]);
            return (0..self.pixels).flat_map(color).collect();
        }
        self.into_interleaved(header)
    }
}

/// Samples of 1, 2 or 4 bits, each row of which begins at a byte. Gray is scaled to 8 bits, but not the indices of a
/// palette.
fn unpack(bytes: &[u8], width: usize, header: &TiffHeader) -> Vec<u8> {
    let bits = usize::from(header.bits);
    let mask = (1_u8 << bits) - 1;
    let scale = if header.photometric == Photometric::Gray { u8::MAX / mask } else { 1 };
    let rows = bytes.chunks_exact((width * bits).div_ceil(8).max(1));
    let samples = rows.flat_map(|row| {
        (0..width).map(move |x| {
            let bit = x * bits;
            (row[bit / 8] >> (8 - bits - bit % 8)) & mask
        })
    });
    samples.map(|sample| sample * scale).collect()
}

/// Divides the colors by alpha, which is the last sample.
fn unpremultiply<S: Sample>(pixel: &mut [S]) {
    let Some((alpha, colors)) = pixel.split_last_mut() else { return };
    let (alpha, white): (u32, u32) = ((*alpha).into(), S::WHITE.into());
    for color in colors {
        let value: u32 = (*color).into();
        // 65,535 times 65,535, plus half of it, fits.
        let divided = (value * white).saturating_add(alpha / 2).checked_div(alpha).unwrap_or(0);
        *color = S::from_number(divided.min(white));
    }
}

/// BT.601 in full range (TIFF 6.0, section 21, with the default coefficients; ITU-T T.871, section 7).
fn to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let level = |sum: i32| u8::try_from(((sum + (1 << 15)) >> 16).clamp(0, 255)).unwrap_or(u8::MAX);
    [level(y + 91_881 * cr), level(y - 22_554 * cb - 46_802 * cr), level(y + 116_130 * cb)]
}
