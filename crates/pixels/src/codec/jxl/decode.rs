//! Decoding of the frames of JPEG XL, which runs only in the sandboxed process.
//!
//! `jxl` returns samples in the color space of the image, or in sRGB if the image is coded as XYB with an ICC profile. The
//! orientation is not applied here.

use std::time::Duration;

use jxl::api::{
    AlphaMode, Endianness, Event, JxlColorEncoding, JxlColorProfile, JxlColorType, JxlDataFormat, JxlDecoder,
    JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat, JxlTransferFunction, ProfileLevel,
};

use crate::codec::jxl::JxlHeader;
use crate::decoders::{Frame, Frames, Samples};
use crate::pixel_image::{DeepPixelImage, PixelImage, PixelLayout, PixelShape};
use crate::pixels::Sample as _;
use crate::transform::color::PROFILE_BYTES_MAX;

/// Decodes the first frame.
///
/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape.
pub(crate) fn decode(file: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let (image, _) = FileDecoder::open(file, shape)?.next_frame()?.ok_or("no frame")?;
    Ok(image)
}

/// Decodes the first frame to 16 bits per sample. The colors are not inks.
///
/// # Errors
/// See [`decode`].
pub(crate) fn decode_deep(file: &[u8], shape: PixelShape) -> Result<DeepPixelImage, String> {
    let FileDecoder { mut decoder, mut rest, extra_channels, is_linear, profile, .. } = FileDecoder::open(file, shape)?;
    set_format(&mut decoder, shape.layout, sixteen_bits(), extra_channels)?;
    let (bytes, _) = frame(&mut decoder, &mut rest, shape, 2)?.ok_or("no frame")?;
    let mut data: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|word| u16::from_ne_bytes(*word)).collect();
    drop(bytes);
    if is_linear {
        let channels = usize::from(shape.layout.channels());
        let colors = channels - usize::from(matches!(shape.layout, PixelLayout::GrayAlpha | PixelLayout::Rgba));
        for sample in data.chunks_exact_mut(channels).flat_map(|pixel| &mut pixel[..colors]) {
            *sample = u16::from_unit(u16::encoded(f32::from(*sample) / 65_535.0));
        }
    }
    Ok(DeepPixelImage { shape, profile, data })
}

fn sixteen_bits() -> JxlDataFormat {
    JxlDataFormat::U16 { endianness: Endianness::native(), bit_depth: 16 }
}

/// Decodes the frames of a file.
pub(crate) struct FileDecoder<'a> {
    decoder: JxlDecoder,
    rest: &'a [u8],
    shape: PixelShape,
    /// Number of channels in addition to the colors.
    extra_channels: usize,
    /// True if samples have 16 bits in linear light, because 8 bits would have too few dark levels.
    is_linear: bool,
    /// The ICC profile of the samples after they have the curve of sRGB.
    profile: Option<Vec<u8>>,
}

impl<'a> FileDecoder<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// The reason why the data cannot be decoded, or do not have this shape.
    pub(crate) fn open(file: &'a [u8], shape: PixelShape) -> Result<Self, String> {
        let header = JxlHeader::read(file).map_err(|error| error.to_string())?;
        let mut decoder = JxlDecoder::new(options(shape, header.extra_channels));
        let mut rest = file;
        match decoder.process(&mut rest, None, None).map_err(|error| error.to_string())? {
            Event::BasicInfo => {}
            _ => return Err("truncated header".to_owned()),
        }
        let info = decoder.basic_info().ok_or("no header")?;
        if info.size != (shape.width as usize, shape.height as usize) || header.layout != shape.layout {
            return Err("its shape differs from its header".to_owned());
        }
        let extra_channels = info.extra_channels.len();
        set_format(&mut decoder, shape.layout, JxlDataFormat::U8 { bit_depth: 8 }, extra_channels)?;
        let profile = decoder.output_color_profile().cloned().ok_or("no color encoding")?;
        let is_linear = profile.transfer_function() == Some(&JxlTransferFunction::Linear);
        if is_linear {
            set_format(&mut decoder, shape.layout, sixteen_bits(), extra_channels)?;
        }
        let profile = icc(&if is_linear { with_srgb_curve(profile) } else { profile });
        Ok(Self { decoder, rest, shape, extra_channels, is_linear, profile })
    }

    /// The next frame and its duration. `None` after the last one.
    fn next_frame(&mut self) -> Result<Option<(PixelImage, Duration)>, String> {
        let (shape, profile) = (self.shape, self.profile.clone());
        let sample_bytes = if self.is_linear { 2 } else { 1 };
        let Some((mut data, duration)) = frame(&mut self.decoder, &mut self.rest, shape, sample_bytes)? else {
            return Ok(None);
        };
        if self.is_linear {
            data = with_curve(&data, shape.layout);
        } else if shape.layout == PixelLayout::Cmyk {
            // In JPEG XL, 0 is full ink.
            data.iter_mut().for_each(|ink| *ink = u8::MAX - *ink);
        }
        Ok(Some((PixelImage { shape, profile, data }, duration)))
    }
}

impl Frames for FileDecoder<'_> {
    fn next(&mut self) -> Result<Option<Frame>, String> {
        let frame = self.next_frame()?;
        Ok(frame.map(|(image, duration)| (Box::new(image) as Box<dyn Samples>, duration)))
    }
}

fn options(shape: PixelShape, extra_channels: u32) -> JxlDecoderOptions {
    let samples = u64::from(shape.width) * u64::from(shape.height) * (3 + u64::from(extra_channels));
    let mut options = JxlDecoderOptions::default();
    options.adjust_orientation = false;
    options.alpha_mode = AlphaMode::Unpremultiplied;
    options.max_profile_level = ProfileLevel::Main10;
    // Frames may extend beyond the image.
    options.sample_limit = usize::try_from(2 * samples + (1 << 20)).ok();
    options
}

fn set_format(
    decoder: &mut JxlDecoder,
    layout: PixelLayout,
    format: JxlDataFormat,
    extra_channels: usize,
) -> Result<(), String> {
    let color_type = match layout {
        PixelLayout::Gray => JxlColorType::Grayscale,
        PixelLayout::GrayAlpha => JxlColorType::GrayscaleAlpha,
        PixelLayout::Rgb => JxlColorType::Rgb,
        PixelLayout::Rgba => JxlColorType::Rgba,
        PixelLayout::Cmyk => JxlColorType::Cmyk,
    };
    let format = JxlPixelFormat {
        color_type,
        color_data_format: Some(format),
        extra_channel_format: vec![None; extra_channels],
    };
    decoder.set_pixel_format(format).map_err(|error| error.to_string())
}

/// Decodes the next visible frame to samples of `sample_bytes`, and returns its duration. `None` after the last frame.
fn frame(
    decoder: &mut JxlDecoder,
    input: &mut &[u8],
    shape: PixelShape,
    sample_bytes: usize,
) -> Result<Option<(Vec<u8>, Duration)>, String> {
    let row = shape.width as usize * usize::from(shape.layout.channels()) * sample_bytes;
    // Samples of 16 bits must be aligned, and allocators align every block to at least eight bytes.
    let mut data = vec![0; row * shape.height as usize];
    let mut duration = Duration::ZERO;
    loop {
        let mut buffers = [JxlOutputBuffer::new(&mut data, shape.height as usize, row)];
        let event = decoder.process(input, Some(&mut buffers), None);
        match event.map_err(|error| error.to_string())? {
            Event::FrameComplete { .. } => return Ok(Some((data, duration))),
            Event::FrameHeader => {
                let milliseconds = decoder.frame_header().and_then(|header| header.duration).unwrap_or(0.0);
                duration = Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::MAX);
            }
            Event::BasicInfo => {}
            Event::NeedMoreInput { .. } => return Err("truncated file".to_owned()),
            Event::Complete => return Ok(None),
        }
    }
}

/// The ICC profile of an encoding other than sRGB.
fn icc(profile: &JxlColorProfile) -> Option<Vec<u8>> {
    let is_srgb = |gray| profile.same_color_encoding(&JxlColorProfile::Simple(JxlColorEncoding::srgb(gray)));
    if is_srgb(false) || is_srgb(true) {
        return None;
    }
    profile.try_as_icc().map(|icc| icc.into_owned()).filter(|icc| icc.len() <= PROFILE_BYTES_MAX)
}

/// The same primaries with the transfer function of sRGB.
fn with_srgb_curve(mut profile: JxlColorProfile) -> JxlColorProfile {
    if let JxlColorProfile::Simple(
        JxlColorEncoding::RgbColorSpace { transfer_function, .. }
        | JxlColorEncoding::GrayscaleColorSpace { transfer_function, .. },
    ) = &mut profile
    {
        *transfer_function = JxlTransferFunction::SRGB;
    }
    profile
}

/// Converts linear samples of 16 bits to the curve of sRGB (IEC 61966-2-1) with 8 bits, in which dark colors have enough
/// levels. Alpha is linear in both.
fn with_curve(words: &[u8], layout: PixelLayout) -> Vec<u8> {
    let level = |encoded: f32| (encoded * 255.0 + 0.5) as u8;
    let curve = |word: u16| {
        let linear = f32::from(word) / 65_535.0;
        level(if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 })
    };
    let table: Vec<u8> = (0..=u16::MAX).map(curve).collect();
    let channels = usize::from(layout.channels());
    let alpha = matches!(layout, PixelLayout::GrayAlpha | PixelLayout::Rgba).then_some(channels - 1);
    let samples = words.as_chunks::<2>().0.iter().map(|word| u16::from_ne_bytes(*word));
    let convert = |(n, word): (usize, u16)| match Some(n % channels) == alpha {
        true => level(f32::from(word) / 65_535.0),
        false => table[usize::from(word)],
    };
    samples.enumerate().map(convert).collect()
}
