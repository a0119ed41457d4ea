//! Decoding of the first frame of JPEG XL, which runs only in the sandboxed process.
//!
//! `jxl` returns samples in the color space of the image, or in sRGB if the image is coded as XYB with an ICC profile. The
//! orientation is not applied here.

use jxl::api::{
    AlphaMode, Endianness, Event, JxlColorEncoding, JxlColorProfile, JxlColorType, JxlDataFormat, JxlDecoder,
    JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat, JxlTransferFunction, ProfileLevel,
};

use crate::codec::jxl::JxlHeader;
use crate::pixel_image::{DeepPixelImage, PixelImage, PixelLayout, PixelShape};
use crate::pixels::Sample as _;
use crate::transform::color::PROFILE_BYTES_MAX;

/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape.
pub(crate) fn decode(file: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let (mut decoder, mut input, extra_channels) = open(file, shape)?;
    set_format(&mut decoder, shape.layout, JxlDataFormat::U8 { bit_depth: 8 }, extra_channels)?;
    let profile = decoder.output_color_profile().cloned().ok_or("no color encoding")?;
    if profile.transfer_function() == Some(&JxlTransferFunction::Linear) {
        set_format(&mut decoder, shape.layout, sixteen_bits(), extra_channels)?;
        let words = frame(&mut decoder, &mut input, shape, 2)?;
        let profile = icc(&with_srgb_curve(profile));
        return Ok(PixelImage { shape, profile, data: with_curve(&words, shape.layout) });
    }
    let mut data = frame(&mut decoder, &mut input, shape, 1)?;
    if shape.layout == PixelLayout::Cmyk {
        // In JPEG XL, 0 is full ink.
        data.iter_mut().for_each(|ink| *ink = u8::MAX - *ink);
    }
    Ok(PixelImage { shape, profile: icc(&profile), data })
}

/// Like [`decode`], with 16 bits per sample. The colors are not inks.
///
/// # Errors
/// See [`decode`].
pub(crate) fn decode_deep(file: &[u8], shape: PixelShape) -> Result<DeepPixelImage, String> {
    let (mut decoder, mut input, extra_channels) = open(file, shape)?;
    set_format(&mut decoder, shape.layout, sixteen_bits(), extra_channels)?;
    let mut profile = decoder.output_color_profile().cloned().ok_or("no color encoding")?;
    let bytes = frame(&mut decoder, &mut input, shape, 2)?;
    let mut data: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|word| u16::from_ne_bytes(*word)).collect();
    drop(bytes);
    if profile.transfer_function() == Some(&JxlTransferFunction::Linear) {
        profile = with_srgb_curve(profile);
        let channels = usize::from(shape.layout.channels());
        let colors = channels - usize::from(matches!(shape.layout, PixelLayout::GrayAlpha | PixelLayout::Rgba));
        for sample in data.chunks_exact_mut(channels).flat_map(|pixel| &mut pixel[..colors]) {
            *sample = u16::from_unit(u16::encoded(f32::from(*sample) / 65_535.0));
        }
    }
    Ok(DeepPixelImage { shape, profile: icc(&profile), data })
}

fn sixteen_bits() -> JxlDataFormat {
    JxlDataFormat::U16 { endianness: Endianness::native(), bit_depth: 16 }
}

/// A decoder that has read the header, the bytes that it has not read, and the number of channels in addition to the colors.
fn open(file: &[u8], shape: PixelShape) -> Result<(JxlDecoder, &[u8], usize), String> {
    let header = JxlHeader::read(file).map_err(|error| error.to_string())?;
    let mut decoder = JxlDecoder::new(options(shape, header.extra_channels));
    let mut input = file;
    let text = |error: jxl::error::Error| error.to_string();
    match decoder.process(&mut input, None, None).map_err(text)? {
        Event::BasicInfo => {}
        _ => return Err("truncated header".to_owned()),
    }
    let info = decoder.basic_info().ok_or("no header")?;
    if info.size != (shape.width as usize, shape.height as usize) || header.layout != shape.layout {
        return Err("its shape differs from its header".to_owned());
    }
    let extra_channels = info.extra_channels.len();
    Ok((decoder, input, extra_channels))
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

/// Decodes the first visible frame to samples of `sample_bytes`.
fn frame(
    decoder: &mut JxlDecoder,
    input: &mut &[u8],
    shape: PixelShape,
    sample_bytes: usize,
) -> Result<Vec<u8>, String> {
    let row = shape.width as usize * usize::from(shape.layout.channels()) * sample_bytes;
    // Samples of 16 bits must be aligned, and allocators align every block to at least eight bytes.
    let mut data = vec![0; row * shape.height as usize];
    loop {
        let mut buffers = [JxlOutputBuffer::new(&mut data, shape.height as usize, row)];
        let event = decoder.process(input, Some(&mut buffers), None);
        match event.map_err(|error| error.to_string())? {
            Event::FrameComplete { .. } => return Ok(data),
            Event::FrameHeader | Event::BasicInfo => {}
            Event::NeedMoreInput { .. } => return Err("truncated file".to_owned()),
            Event::Complete => return Err("no frame".to_owned()),
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
