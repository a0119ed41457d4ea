//! Cropping and scaling of a decoded original for one variant.

use std::num::NonZeroU32;

use image::metadata::Orientation;

use crate::codec::decoded::{Decoded, DecodedPixels, DecodedPlanes, DeepPixels};
use crate::codec::planes::{PlaneColors, Yuv420};
use crate::context::RenderContext;
use crate::encoding::Encoding;
use crate::error::Error;
use crate::geometry::Geometry;
use crate::limits::EncodeOptions;
use crate::output::OutputSpec;
use crate::pixels::Pixels;
use crate::render::encode;
use crate::transform::color::{Conversion, DeepConversion, Gamut};
use crate::transform::crop::CropWindow;
use crate::transform::deep;
use crate::transform::orientation::{orient, orient_deep};
use crate::transform::scale::{LANCZOS, SUPERSAMPLING, reduce, scale};
use crate::transform::smart_crop::smart_crop;

/// Samples of a variant before encoding, in the stored orientation.
pub(crate) enum Scaled<'a> {
    Planes(Yuv420),
    Pixels(Pixels, &'a Conversion),
    Deep(Pixels<u16>, &'a DeepConversion),
}

/// Places the crop window over the most salient part if `geometry` requests it.
///
/// # Errors
/// A plane is missing, or the scaler refuses its arguments.
pub(crate) fn place(
    decoded: &Decoded,
    crop_window: CropWindow,
    orientation: Orientation,
    geometry: Geometry,
) -> Result<CropWindow, Error> {
    smart_crop(crop_window, orientation, geometry, |window, size| match decoded {
        Decoded::Planes(DecodedPlanes { planes, conversion }) => {
            Ok(conversion.apply_srgb(planes.scale_to_pixels(&window, size, SUPERSAMPLING)?))
        }
        Decoded::Pixels(DecodedPixels { pixels, conversion }) => reduce(pixels, conversion, window, size),
        Decoded::Deep(DeepPixels { pixels, conversion }) => {
            let reduced = deep::resample(pixels, window, size, false).to_eight_bits();
            Ok(conversion.eight_bits().apply_srgb(reduced))
        }
    })
}

/// Crops and scales `decoded`, whose colors `conversion` converts. The result stays in planes if the variant is encoded from planes.
///
/// # Errors
/// A plane is missing, or the scaler refuses its arguments.
pub(crate) fn scale_decoded<'a>(
    decoded: &'a Decoded,
    conversion: &'a Conversion,
    crop_window: CropWindow,
    orientation: Orientation,
    output: OutputSpec,
    options: &EncodeOptions,
) -> Result<Scaled<'a>, Error> {
    let (window, size) = crop_window.stored(orientation);
    Ok(match decoded {
        Decoded::Planes(DecodedPlanes { planes, .. }) if options.linear_light && planes.colors == PlaneColors::Yuv => {
            Scaled::Pixels(planes.scale_in_linear_light(&window, size)?, conversion)
        }
        Decoded::Planes(DecodedPlanes { planes, .. })
            if planes.colors == PlaneColors::Yuv
                && conversion.is_none()
                && encodes_from_planes(output.encoding, size) =>
        {
            let scaled = planes.scale_to_yuv420(&window, size)?;
            if matches!(output.encoding, Encoding::Jpeg(_)) && scaled.clamps_colors() {
                Scaled::Pixels(planes.scale_to_pixels(&window, size, LANCZOS)?, conversion)
            } else {
                Scaled::Planes(scaled)
            }
        }
        Decoded::Planes(DecodedPlanes { planes, .. }) => {
            Scaled::Pixels(planes.scale_to_pixels(&window, size, LANCZOS)?, conversion)
        }
        Decoded::Deep(DeepPixels { pixels, conversion }) => {
            Scaled::Deep(deep::resample(pixels, window, size, options.linear_light), conversion)
        }
        Decoded::Pixels(DecodedPixels { pixels, .. }) => {
            Scaled::Pixels(scale(pixels, conversion, window, size, options.linear_light)?, conversion)
        }
    })
}

/// Maximum number of pixels of a variant that is encoded from pixels even if it could be encoded from planes.
///
/// Planes are scaled separately, which produces colors outside the RGB cube, more of them if the colors are saturated.
/// Converting to pixels clips those colors before chroma is subsampled. At 300 pixels this gains up to 0.9 points of
/// ssimulacra2 for JPEG and 1.8 for WebP (0.2 and 0.3 on average over seven images), and takes 2 to 4 % of the time. At
/// 800 and 1600 pixels it gains nothing, and takes 12 % and 22 % of the time of a JPEG.
const FROM_PIXELS_MAX: u32 = 1 << 17;

/// True if a variant in sRGB is encoded from 4:2:0 planes instead of pixels.
fn encodes_from_planes(encoding: Encoding, (width, height): (NonZeroU32, NonZeroU32)) -> bool {
    if width.saturating_mul(height).get() <= FROM_PIXELS_MAX {
        return false;
    }
    match encoding {
        Encoding::Jpeg(_) => true,
        Encoding::WebP(quality) => !quality.is_lossless(),
        Encoding::Png | Encoding::Avif(_) | Encoding::Jxl(_) | Encoding::Gif => false,
    }
}

impl Scaled<'_> {
    /// Converts the colors, makes the image upright and encodes it. Also returns the color space of the file, whose profile
    /// it does not contain yet.
    ///
    /// # Errors
    /// See [`encode::encode_pixels`].
    pub(crate) fn encode(
        self,
        orientation: Orientation,
        encoding: Encoding,
        context: &RenderContext,
    ) -> Result<(Vec<u8>, Gamut), Error> {
        match self {
            Self::Planes(planes) => Ok((encode::encode_planes(planes, orientation, encoding, context)?, Gamut::Srgb)),
            Self::Deep(pixels, conversion) => {
                let (pixels, gamut) = conversion.apply(pixels);
                Ok((encode::encode_deep(orient_deep(pixels, orientation), gamut, encoding, context)?, gamut))
            }
            Self::Pixels(pixels, conversion) => {
                // GIF has no color profiles.
                let (pixels, gamut) = match encoding {
                    Encoding::Gif => (conversion.apply_srgb(pixels), Gamut::Srgb),
                    _ => conversion.apply(pixels),
                };
                Ok((encode::encode_pixels(orient(pixels, orientation), gamut, encoding, context)?, gamut))
            }
        }
    }
}
