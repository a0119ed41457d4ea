//! Animations: every frame is composed on a canvas, transformed like a still image, and encoded.

use std::time::Duration;

use crate::codec::animation::{AnimationFrames, LoopCount};
use crate::codec::gif::GifFrames;
use crate::codec::gif::encode::GifEncoder;
use crate::codec::heif::frames::HeifFrames;
use crate::codec::jxl::frames::JxlFrames;
use crate::codec::png::animation::PngFrames;
use crate::codec::png::animation::encode::ApngEncoder;
use crate::codec::png::chunks::PngHeader;
use crate::codec::webp::container;
use crate::codec::webp::decode::WebPFrames;
use crate::codec::webp::encode::animation::WebPAnimationEncoder;
use crate::codecs::Codec;
use crate::context::RenderContext;
use crate::deadline::Deadline;
use crate::encoding::Encoding;
use crate::error::{AnimationLimit, Error, damaged};
use crate::header::Header;
use crate::limits::{ColorPolicy, Limits};
use crate::output::OutputSpec;
use crate::pixels::Pixels;
use crate::render::unchanged;
use crate::transform::channels::to_rgba;
use crate::transform::color::Conversion;
use crate::transform::crop::CropWindow;
use crate::transform::orientation::orient;
use crate::transform::scale::{reduce, scale};
use crate::transform::smart_crop::smart_crop;

/// True if the variant is animated: the original is an animation, and the format of the variant supports it.
///
/// A PNG is animated only if the original is a PNG, a JPEG XL or an AVIF. Of a GIF or WebP it shows the first frame, as
/// JPEG and AVIF do, because users who ask for it want a still image.
pub(crate) fn is_animated(header: &Header, encoding: Encoding) -> bool {
    let stays_png = encoding == Encoding::Png && matches!(header.codec, Codec::Png | Codec::JpegXl | Codec::Avif);
    header.info.frames > 1 && (encoding.format().supports_animation() || stays_png)
}

/// Renders an animated variant.
///
/// # Errors
/// The animation exceeds `limits`, is damaged, takes too long, or could not be encoded.
pub(crate) fn render(
    original: &[u8],
    header: &Header,
    mut crop_window: CropWindow,
    output: OutputSpec,
    limits: &Limits,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    check_limits(header, limits)?;
    let orientation = header.info.orientation;
    let profile = if header.codec == Codec::WebP { container::icc_profile(original) } else { None };
    let mut frames: Box<dyn AnimationFrames> = match header.codec {
        Codec::WebP => Box::new(WebPFrames::open(original)?),
        Codec::Avif => Box::new(HeifFrames::open(original, header.sandbox_bytes, context)?),
        Codec::JpegXl => {
            let (expected, frames_max) = (header.sandboxed(), header.info.frames);
            Box::new(JxlFrames::open(original, expected, frames_max, limits, context)?)
        }
        Codec::Png => Box::new(PngFrames::open(original, header.info.frames)?),
        _ => Box::new(GifFrames::open(original, header.info.frames, context)?),
    };
    // A color outside of sRGB may come in a later frame, so animations are always in sRGB. Only GIF and WebP
    // return other frames.
    let conversion = Conversion::from_icc(profile, frames.canvas().channels, ColorPolicy::Srgb);
    let has_srgb = header.codec != Codec::Png || PngHeader::read(original)?.color.is_srgb();
    let size = (crop_window.size().0.get(), crop_window.size().1.get());
    let keeps_pixels = has_srgb && unchanged::keeps_pixels(header, output, &crop_window, &conversion, limits);
    let mut encoder: Option<AnimationEncoder> = None;
    while let Some(delay) = frames.next(context)? {
        context.deadline.check()?;
        if encoder.is_none() {
            // The smart crop of the first frame is used for all frames.
            crop_window = smart_crop(crop_window, orientation, output.geometry, |window, size| {
                reduce(frames.canvas(), &conversion, window, size)
            })?;
        }
        let (window, stored_size) = crop_window.stored(orientation);
        let scaled = scale(frames.canvas(), &conversion, window, stored_size, context.encode.linear_light)?;
        let upright = orient(conversion.apply_srgb(scaled), orientation);
        let encoder = match &mut encoder {
            Some(encoder) => encoder,
            none => none.insert(AnimationEncoder::new(output.encoding, size, frames.loop_count(), context.deadline)?),
        };
        // If all pixels are kept, the original limits the size below.
        let gif_bytes_max = frames.gif_bytes().filter(|_| !keeps_pixels);
        encoder.add(&to_rgba(upright), delay, gif_bytes_max)?;
    }
    let encoded = encoder.ok_or_else(|| damaged("it has no frame"))?.finish()?;
    if keeps_pixels {
        return Ok(unchanged::smaller(encoded, original, header, true));
    }
    Ok(encoded)
}

fn check_limits(header: &Header, limits: &Limits) -> Result<(), Error> {
    let (frames, width, height) = (header.info.frames, header.info.width, header.info.height);
    let refuse = |limit| Err(Error::AnimationTooLarge { frames, width, height, limit });
    if frames > limits.frames {
        return refuse(AnimationLimit::Frames(limits.frames));
    }
    if u64::from(frames) * u64::from(width) * u64::from(height) > limits.animation_pixels {
        return refuse(AnimationLimit::Pixels(limits.animation_pixels));
    }
    Ok(())
}

/// The encoder of an animated variant.
enum AnimationEncoder {
    WebP(WebPAnimationEncoder),
    Gif(GifEncoder),
    Png(ApngEncoder),
}

impl AnimationEncoder {
    fn new(encoding: Encoding, size: (u32, u32), loop_count: LoopCount, deadline: Deadline) -> Result<Self, Error> {
        Ok(match encoding {
            Encoding::WebP(quality) => Self::WebP(WebPAnimationEncoder::new(size, quality, loop_count, deadline)?),
            Encoding::Png => Self::Png(ApngEncoder::new(size, loop_count, deadline)),
            _ => Self::Gif(GifEncoder::new(size, loop_count, deadline)?),
        })
    }

    /// `gif_bytes_max` is the number of bytes that a GIF should have up to this frame.
    fn add(&mut self, pixels: &Pixels, delay: Duration, gif_bytes_max: Option<usize>) -> Result<(), Error> {
        match self {
            Self::WebP(encoder) => encoder.add(pixels, delay),
            Self::Gif(encoder) => encoder.add(pixels, delay, gif_bytes_max),
            Self::Png(encoder) => encoder.add(pixels, delay),
        }
    }

    fn finish(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::WebP(encoder) => encoder.finish(),
            Self::Gif(encoder) => encoder.finish(),
            Self::Png(encoder) => Ok(encoder.finish()),
        }
    }
}
