//! Decoding of an original, to planes if the variants can be made from planes, else to pixels.

use crate::codec::decoded::{Decoded, DecodedPixels, DecodedPlanes, DeepPixels};
use crate::codec::heif::container::Coding;
use crate::codec::{gif, heif, ico, jpeg, png, sandboxed, webp};
use crate::codecs::Codec;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::header::{Header, PlanarHeader};
use crate::output::OutputSpec;
use crate::sandbox::SandboxFormat;
use crate::transform::color::Conversion;

/// Decodes the original for these variants; of an animation, the first frame.
///
/// # Errors
/// The original is damaged, uses a feature that the codec does not support, or takes too long.
pub(crate) fn decode(
    original: &[u8],
    header: &Header,
    outputs: &[OutputSpec],
    context: &RenderContext,
) -> Result<Decoded, Error> {
    if outputs.iter().any(|output| header.is_deep(*output)) {
        return decode_deep(original, header, context).map(Decoded::Deep);
    }
    if let Some(coding) = Coding::from_codec(header.codec) {
        return heif::decode::decode(original, coding, &header.info, header.sandbox_bytes, context);
    }
    Ok(match decode_planes(original, header, outputs, context)? {
        Some(planes) => Decoded::Planes(planes),
        None => Decoded::Pixels(decode_pixels(original, header, context)?),
    })
}

/// Decodes to pixels of 16 bits per sample.
///
/// # Errors
/// See [`decode`].
fn decode_deep(original: &[u8], header: &Header, context: &RenderContext) -> Result<DeepPixels, Error> {
    let decoded = match header.codec {
        Codec::Avif | Codec::Heic => {
            let coding = if header.codec == Codec::Avif { Coding::Av1 } else { Coding::Hevc };
            heif::decode::decode_deep(original, coding, &header.info, header.sandbox_bytes, context)?
        }
        Codec::Png => png::deep::decode(original, context)?,
        Codec::JpegXl => sandboxed::decode_deep(SandboxFormat::JpegXl, original, header.sandboxed(), context)?,
        Codec::Tiff => sandboxed::decode_deep(SandboxFormat::Tiff, original, header.sandboxed(), context)?,
        _ => return Err(damaged("its decoder returns 8 bits per sample")),
    };
    context.deadline.check()?;
    if (decoded.pixels.width, decoded.pixels.height) != (header.info.width, header.info.height) {
        return Err(damaged("its size is not what its header says"));
    }
    Ok(decoded)
}

/// Decodes planes that are large enough for all these variants; `None` if the original has none that can be used.
///
/// # Errors
/// The original is damaged or truncated, or takes too long.
pub(crate) fn decode_planes(
    original: &[u8],
    header: &Header,
    outputs: &[OutputSpec],
    context: &RenderContext,
) -> Result<Option<DecodedPlanes>, Error> {
    if !header.scales_planes(&context.encode) {
        return Ok(None);
    }
    let info = &header.info;
    match &header.planar {
        Some(PlanarHeader::Jpeg(jpeg)) => jpeg::planar::decode(original, info, jpeg, outputs, context).map(Some),
        Some(PlanarHeader::Vp8(vp8)) => webp::planar::decode(original, info, vp8, outputs, context).map(Some),
        None => Ok(None),
    }
}

/// Decodes the whole image to pixels; of an animation, the first frame.
///
/// # Errors
/// The original is damaged, uses a feature that the codec does not support, or takes too long.
pub(crate) fn decode_pixels(original: &[u8], header: &Header, context: &RenderContext) -> Result<DecodedPixels, Error> {
    if let Some(PlanarHeader::Jpeg(jpeg)) = &header.planar {
        return jpeg::planar::decode_pixels(original, jpeg, context);
    }
    let decoded = match header.codec {
        // Its header is always planar.
        Codec::Jpeg => return Err(damaged("it has no frame header")),
        Codec::Png => png::decode(original, context)?,
        Codec::WebP => {
            let (pixels, profile) = webp::decode::decode(original, context)?;
            let conversion = Conversion::from_icc(profile.as_deref(), pixels.channels, context.encode.color);
            DecodedPixels { pixels, conversion }
        }
        Codec::Gif => DecodedPixels { pixels: gif::decode(original, context)?, conversion: Conversion::NONE },
        Codec::Avif | Codec::Heic => {
            let coding = if header.codec == Codec::Avif { Coding::Av1 } else { Coding::Hevc };
            return heif::decode::decode_pixels(original, coding, &header.info, header.sandbox_bytes, context);
        }
        Codec::JpegXl => return sandboxed::decode(SandboxFormat::JpegXl, original, header.sandboxed(), context),
        Codec::Tiff => return sandboxed::decode(SandboxFormat::Tiff, original, header.sandboxed(), context),
        Codec::Bmp => return sandboxed::decode(SandboxFormat::Bmp, original, header.sandboxed(), context),
        Codec::Ico => {
            let icon = ico::Picture::largest(original)?.to_icon();
            return sandboxed::decode(SandboxFormat::Ico, &icon, header.sandboxed(), context);
        }
        Codec::Svg => return sandboxed::decode(SandboxFormat::Svg, original, header.sandboxed(), context),
    };
    context.deadline.check()?;
    if (decoded.pixels.width, decoded.pixels.height) != (header.info.width, header.info.height) {
        return Err(damaged("its size is not what its header says"));
    }
    Ok(decoded)
}
