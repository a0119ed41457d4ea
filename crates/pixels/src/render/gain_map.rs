//! Variants with a gain map. The base image and the map are cropped and scaled to the same part of the picture. The base
//! image keeps its color space, because the map refers to it.

use std::num::NonZeroU32;

use crate::codec::decoded::{Decoded, DecodedPlanes};
use crate::codec::embedded::Embedded;
use crate::codec::jpeg;
use crate::codec::planes::Yuv420;
use crate::context::RenderContext;
use crate::encoding::Quality;
use crate::error::{Error, damaged};
use crate::gain_map::{GainMap, iso};
use crate::header::Header;
use crate::limits::EncodeOptions;
use crate::metadata::{hdr, packet};
use crate::pixels::Window;
use crate::render::decode;
use crate::transform::crop::CropWindow;
use crate::transform::orientation::orient;
use crate::transform::scale::LANCZOS;

/// Minimum quality of the map. Its errors are multiplied: with a range of six stops, one level of 255 is 1.6 % of the
/// light.
const QUALITY_MIN: u8 = 90;

/// Scales the gain map like the base image, of which `crop_window` becomes the variant, and encodes it.
///
/// # Errors
/// The map is damaged, takes too long, or cannot be encoded.
pub(crate) fn render(
    original: &[u8],
    header: &Header,
    map: &GainMap,
    crop_window: &CropWindow,
    quality: Quality,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let file = map.file(original);
    // A gain map is a logarithm of light.
    let context = &RenderContext { encode: EncodeOptions { linear_light: false, ..context.encode }, ..*context };
    let Decoded::Planes(DecodedPlanes { planes, .. }) = decode::decode(file, &map.header, &[GainMap::WHOLE], context)?
    else {
        return Err(damaged("the gain map has no planes"));
    };
    let orientation = header.info.orientation;
    let (window, size) = crop_window.stored(orientation);
    // The map keeps its resolution relative to the base image.
    let density = |map: u32, base: u32| f64::from(map) / f64::from(base.max(1));
    let across = density(map.header.info.width, header.info.width);
    let down = density(map.header.info.height, header.info.height);
    let window =
        Window { x: window.x * across, y: window.y * down, width: window.width * across, height: window.height * down };
    let size = (side(size.0, across), side(size.1, down));
    let pixels = orient(planes.scale_to_pixels(&window, size, LANCZOS)?, orientation);
    let quality = Quality::new(QUALITY_MIN).map_or(quality, |minimum| quality.max(minimum));
    // The perceptual quantizers are not made for logarithms, and some decoders may read only baseline maps.
    let options = EncodeOptions::default();
    let encoded = jpeg::encode::encode_planes(&Yuv420::from_pixels(&pixels), quality, &options, context.deadline)?;
    let xmp = map.xmp.as_ref().map(hdr::GainMapXmp::write);
    let data = Embedded { xmp: xmp.as_deref(), iso_gain_map: iso(file), ..Embedded::default() };
    Ok(jpeg::embed::embed(&encoded, data))
}

/// The side of the map for a side of the base image.
fn side(base: NonZeroU32, density: f64) -> NonZeroU32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not larger than the map")]
    let side = (f64::from(base.get()) * density).round() as u32;
    NonZeroU32::new(side).unwrap_or(NonZeroU32::MIN)
}

/// Joins the base image and the encoded map. `copyright` is an `rdf:Description` for the packet of the base image.
pub(crate) fn join(
    base: &[u8],
    original: &[u8],
    encoded_map: &[u8],
    map: &GainMap,
    copyright: Option<&str>,
) -> Vec<u8> {
    let is_of_adobe = map.xmp.as_ref().is_some_and(hdr::GainMapXmp::is_of_adobe);
    let directory = is_of_adobe.then(|| hdr::directory(encoded_map.len()));
    let descriptions = [copyright, directory.as_deref()].into_iter().flatten().collect::<String>();
    let xmp = (!descriptions.is_empty()).then(|| packet(&descriptions));
    let exif = map.headroom.map(|headroom| headroom.write());
    let data = Embedded {
        profile: map.profile.as_deref(),
        xmp: xmp.as_deref(),
        exif: exif.as_deref(),
        iso_gain_map: iso(original),
    };
    jpeg::embed::embed_with_second(base, data, encoded_map)
}
