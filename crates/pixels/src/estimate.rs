//! Expected CPU time of a render call, from the header of the original alone.
//!
//! The costs were measured on one core of an AMD EPYC (Zen 4) with `benches/estimates.rs`. Nine of ten estimates are
//! within a factor of two. On another machine all costs change by about the same factor, which the caller can measure.

use std::time::Duration;

use jpeg_planes::{ColorModel, Header as JpegHeader};

use crate::codec::jpeg;
#[cfg(feature = "png-small")]
use crate::codec::png;
use crate::codecs::Codec;
use crate::effort::{JpegEffort, PngEffort};
use crate::encoding::{AvifDepth, Encoding, Quality};
use crate::header::{Header, PlanarHeader};
use crate::limits::EncodeOptions;
use crate::output::OutputSpec;
use crate::render::animation::is_animated;
use crate::transform::crop::CropWindow;

/// Expected CPU time of a render call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuEstimate {
    /// Decoding, which the still variants share.
    pub decode: Duration,
    /// Scaling and encoding of all variants, and decoding for animated ones.
    pub outputs: Duration,
}

/// Expected CPU time of sanitizing an SVG of this length.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) fn sanitizing(bytes: u64) -> Duration {
    duration(cost::PROCESS + bytes as f64 * cost::SANITIZED_BYTE)
}

impl CpuEstimate {
    #[must_use]
    pub fn total(self) -> Duration {
        self.decode.saturating_add(self.outputs)
    }
}

impl Header {
    /// The expected CPU time of rendering these variants in one call.
    #[must_use]
    pub fn cpu_estimate(&self, outputs: &[OutputSpec], options: &EncodeOptions) -> CpuEstimate {
        if let Some(rasters) = self.rasters(outputs) {
            let estimates = rasters.iter().map(|(header, output)| header.cpu_estimate(&[*output], options).total());
            // Each variant is rasterized separately, so they share no decoding.
            let outputs = estimates.fold(Duration::ZERO, Duration::saturating_add);
            return CpuEstimate { decode: Duration::ZERO, outputs };
        }
        let (animated, still): (Vec<_>, Vec<_>) =
            outputs.iter().copied().partition(|output| is_animated(self, output.encoding));
        // An original is decoded for the variants that keep more than 8 bits, and for the others.
        let (deep, shallow): (Vec<_>, Vec<_>) = still.iter().partition(|output| self.is_deep(**output));
        let groups = [deep, shallow].into_iter().filter(|outputs| !outputs.is_empty());
        let decode = groups.map(|outputs| self.decode_nanos(&outputs, options)).sum();
        let frames = self.frames();
        let of_still = |output: &OutputSpec| self.scale_nanos(*output, options) + self.encode_nanos(*output, options);
        let of_animation = |output: &OutputSpec| {
            let per_frame = self.scale_nanos(*output, options) + self.frame_nanos(*output);
            let decoded = match self.codec {
                Codec::JpegXl => {
                    cost::PROCESS + frames * self.pixels() * cost::JXL_PIXEL + self.bytes() * cost::JXL_BYTE
                }
                Codec::Avif => {
                    cost::PROCESS + frames * self.pixels() * cost::AVIF_PIXEL + self.bytes() * cost::AVIF_BYTE
                }
                _ => self.bytes() * cost::GIF_BYTE,
            };
            self.pixels() * frames * cost::CANVAS_PIXEL + decoded + frames * per_frame
        };
        let outputs = still.iter().map(of_still).sum::<f64>() + animated.iter().map(of_animation).sum::<f64>();
        CpuEstimate { decode: duration(decode), outputs: duration(outputs) }
    }

    /// Decoding for still variants.
    fn decode_nanos(&self, outputs: &[OutputSpec], options: &EncodeOptions) -> f64 {
        let (pixels, bytes) = (self.pixels(), self.bytes());
        cost::DECODE
            + match &self.planar {
                Some(PlanarHeader::Jpeg(jpeg)) => self.decode_jpeg_nanos(jpeg, outputs, options),
                Some(PlanarHeader::Vp8(_)) => pixels * cost::VP8_PIXEL + bytes * cost::VP8_BYTE,
                None => self.decode_pixels_nanos(),
            }
    }

    /// Decoding a JPEG.
    fn decode_jpeg_nanos(&self, jpeg: &JpegHeader, outputs: &[OutputSpec], options: &EncodeOptions) -> f64 {
        let scales_planes = self.scales_planes(options);
        let points =
            if scales_planes { jpeg::planar::points(&self.info, jpeg, outputs, options.linear_light) } else { [8; 4] };
        // A progressive scan with the coefficients of chroma is not skipped even if luma needs none of them.
        let (costs, points) = match jpeg.progressive {
            true => (&cost::PROGRESSIVE_JPEG, points.into_iter().max().unwrap_or(8)),
            false => (&cost::JPEG, points[0]),
        };
        let at = costs.iter().find(|(at, ..)| *at >= points);
        let (_, per_pixel, per_byte) = at.copied().unwrap_or_default();
        let per_byte = if jpeg.arithmetic { cost::ARITHMETIC_BYTE } else { per_byte };
        let profile = if jpeg::planar::is_cmyk(jpeg) { cost::CMYK_PROFILE } else { 0.0 };
        let interpolated = if scales_planes { 0.0 } else { cost::INTERPOLATED_PIXEL };
        self.pixels() * (per_pixel * samples(jpeg) + interpolated) + self.bytes() * per_byte + profile
    }

    /// Decoding to pixels.
    fn decode_pixels_nanos(&self) -> f64 {
        let (pixels, bytes) = (self.pixels(), self.bytes());
        match self.codec {
            // Its header is always planar.
            Codec::Jpeg => 0.0,
            Codec::Png => pixels * f64::from(self.info.pixel_bytes) * cost::PNG_SAMPLE + bytes * cost::PNG_BYTE,
            Codec::WebP => pixels * cost::WEBP_PIXEL + bytes * cost::WEBP_BYTE,
            // Only the first frame is decoded.
            Codec::Gif => pixels * cost::GIF_PIXEL + bytes * cost::GIF_BYTE / f64::from(self.info.frames.max(1)),
            Codec::JpegXl => cost::PROCESS + pixels * cost::JXL_PIXEL + bytes * cost::JXL_BYTE,
            Codec::Tiff | Codec::Bmp | Codec::Ico => {
                cost::PROCESS + pixels * cost::TIFF_PIXEL + bytes * cost::TIFF_BYTE
            }
            Codec::Svg => cost::PROCESS + pixels * cost::SVG_PIXEL + bytes * cost::SVG_BYTE,
            Codec::Heic => cost::PROCESS + pixels * cost::HEIC_PIXEL + bytes * cost::HEIC_BYTE,
            Codec::Avif => cost::PROCESS + pixels * cost::AVIF_PIXEL + bytes * cost::AVIF_BYTE,
        }
    }

    /// Scaling of a frame, and the conversion of its colors.
    fn scale_nanos(&self, output: OutputSpec, options: &EncodeOptions) -> f64 {
        let window = CropWindow::new(self.oriented_size(), output.geometry);
        let (source, _) = window.stored(self.info.orientation);
        let scales_planes = self.scales_planes(options);
        let (density, samples) = match &self.planar {
            Some(PlanarHeader::Jpeg(jpeg)) if scales_planes => {
                let points = jpeg::planar::points(&self.info, jpeg, &[output], options.linear_light)[0];
                (f64::from(points) / 8.0, samples(jpeg))
            }
            Some(_) | None => (1.0, 1.0),
        };
        let source_pixels = source.width * source.height * density * density;
        let has_alpha = matches!(self.info.pixel_bytes, 2 | 4);
        let per_source = match (options.linear_light, has_alpha, scales_planes) {
            _ if self.is_deep(output) => cost::DEEP_PIXEL,
            (true, true, _) => cost::LINEAR_ALPHA_PIXEL,
            (true, false, _) => cost::LINEAR_PIXEL,
            (false, _, true) => cost::PLANE_PIXEL * samples,
            (false, true, false) => cost::ALPHA_PIXEL,
            (false, false, false) => cost::RGB_PIXEL,
        };
        source_pixels * per_source + output_pixels(&window) * cost::SCALED_PIXEL
    }

    /// Encoding of a still variant.
    fn encode_nanos(&self, output: OutputSpec, options: &EncodeOptions) -> f64 {
        let pixels = output_pixels(&CropWindow::new(self.oriented_size(), output.geometry));
        let effort = |efforts: [f64; 7]| efforts[usize::from(options.webp_effort.method()).min(6)];
        let indexed = cost::PALETTE + pixels * cost::INDEXED_ENCODED * self.variety();
        let per_pixel = match output.encoding {
            Encoding::Jpeg(_) if options.jpeg_effort == JpegEffort::Small => cost::JPEG_SMALL,
            Encoding::Jpeg(_) if options.jpeg_progressive => cost::PROGRESSIVE_ENCODED,
            Encoding::Jpeg(_) => cost::JPEG_ENCODED,
            Encoding::WebP(quality) if quality.is_lossless() => {
                cost::WEBP_LOSSLESS * (1e6 / pixels).powf(0.22) * self.variety() * effort(cost::WEBP_LOSSLESS_EFFORTS)
            }
            Encoding::WebP(quality) => {
                let by_quality = 0.85 + f64::from(quality.get()) / 400.0;
                cost::WEBP_ENCODED * by_quality * self.detail(pixels, 0.1) * effort(cost::WEBP_EFFORTS)
            }
            Encoding::Png if options.png_colors.is_some() => return indexed,
            Encoding::Png => {
                let effort = png_effort(options.png_effort, pixels);
                return cost::PNG + pixels * (cost::PNG_ENCODED + effort) * self.detail(pixels, 0.1);
            }
            Encoding::Gif => return indexed,
            Encoding::Jxl(quality) => {
                let may_be_lossless = quality.is_lossless() || matches!(self.codec, Codec::Png | Codec::Gif);
                let lossless = if may_be_lossless { cost::JXL_LOSSLESS } else { 0.0 };
                return cost::PROCESS + pixels * (cost::JXL_ENCODED + lossless);
            }
            Encoding::Avif(quality) => {
                // The header does not tell drawings from photographs, but lossless files of drawings have few bits per pixel.
                let may_be_drawing = matches!(self.codec, Codec::Png | Codec::Gif) && self.variety() < 0.5;
                let full = if may_be_drawing { cost::AVIF_FULL_CHROMA } else { 1.0 };
                let depth = if self.avif_depth() == AvifDepth::Ten { cost::AVIF_TEN_BITS } else { 1.0 };
                return cost::PROCESS + pixels * depth * full * avif_nanos(quality) * self.detail(pixels, 0.18);
            }
        };
        pixels * per_pixel
    }

    /// Encoding of a frame of an animated variant.
    fn frame_nanos(&self, output: OutputSpec) -> f64 {
        let pixels = output_pixels(&CropWindow::new(self.oriented_size(), output.geometry));
        pixels
            * match output.encoding {
                Encoding::WebP(quality) if quality.is_lossless() => cost::WEBP_LOSSLESS_FRAME,
                Encoding::WebP(_) => cost::WEBP_FRAME,
                Encoding::Png => cost::PNG_ENCODED,
                _ => cost::GIF_FRAME,
            }
    }

    /// A factor for the detail in a variant of that many pixels: the power of the bits of the original per pixel of the
    /// variant. A small variant of a large original shows as much detail as a pixel can.
    fn detail(&self, pixels: f64, exponent: f64) -> f64 {
        (8.0 * self.bytes() / pixels).clamp(0.05, 32.0).powf(exponent)
    }

    /// A factor for the variety of colors, from 1 for a photograph in color. Lossless files of drawings have few bits per
    /// pixel.
    fn variety(&self) -> f64 {
        let is_gray = match &self.planar {
            Some(PlanarHeader::Jpeg(jpeg)) => jpeg.component_count() == 1,
            Some(PlanarHeader::Vp8(_)) | None => self.info.pixel_bytes <= 2,
        };
        let colors = if is_gray { cost::GRAY } else { 1.0 };
        match self.codec {
            Codec::Png | Codec::Gif => colors * (self.bytes() / self.pixels()).clamp(0.1, 1.0),
            _ => colors,
        }
    }

    /// Number of frames. That of a JPEG XL is unknown, so a tenth of a byte a pixel is assumed.
    fn frames(&self) -> f64 {
        let frames = f64::from(self.info.frames);
        if self.codec == Codec::JpegXl { (10.0 * self.bytes() / self.pixels()).clamp(1.0, frames) } else { frames }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn bytes(&self) -> f64 {
        self.original_bytes as f64
    }

    fn pixels(&self) -> f64 {
        f64::from(self.info.width) * f64::from(self.info.height)
    }
}

/// Samples per pixel relative to 4:2:0, for which the costs were measured. Other chroma subsampling counts as 4:2:0.
fn samples(jpeg: &JpegHeader) -> f64 {
    match jpeg.color_model {
        ColorModel::Gray | ColorModel::YCbCr => 1.0,
        ColorModel::Rgb => 2.0,
        ColorModel::Cmyk | ColorModel::Ycck => 2.7,
    }
}

fn output_pixels(window: &CropWindow) -> f64 {
    f64::from(window.size().0.get()) * f64::from(window.size().1.get())
}

/// Nanoseconds per pixel of the AV1 encoder, which codes more coefficients at a higher quality.
fn avif_nanos(quality: Quality) -> f64 {
    let quality = f64::from(quality.get());
    let points = cost::AVIF_ENCODED;
    let after = points.iter().position(|(at, _)| *at >= quality).unwrap_or(points.len() - 1).max(1);
    let ((low, from), (high, to)) = (points[after - 1], points[after]);
    from + (to - from) * (quality - low) / (high - low)
}

/// Nanoseconds per pixel that an effort of PNG adds.
#[cfg_attr(not(feature = "png-small"), expect(unused_variables, reason = "no more effort"))]
fn png_effort(effort: PngEffort, pixels: f64) -> f64 {
    match effort {
        PngEffort::Fast => -cost::PNG_FAST_SAVED,
        PngEffort::Default => 0.0,
        #[cfg(feature = "png-small")]
        PngEffort::Small => {
            if pixels > png::small::PIXELS_MAX.into() {
                0.0
            } else {
                cost::PNG_SMALL
            }
        }
    }
}

fn duration(nanos: f64) -> Duration {
    Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX)
}

/// Costs in nanoseconds. Encoding is per pixel of the variant, at one bit of the original per pixel.
mod cost {
    /// Reading tables and profiles.
    pub(super) const DECODE: f64 = 0.3e6;
    /// Points of the inverse transform, and the costs per pixel and per byte of the original.
    pub(super) const JPEG: [(u8, f64, f64); 4] = [(1, 0.2, 5.0), (2, 0.4, 6.0), (4, 1.0, 7.0), (8, 2.5, 9.0)];
    pub(super) const PROGRESSIVE_JPEG: [(u8, f64, f64); 4] =
        [(1, 0.5, 0.5), (2, 1.0, 6.0), (4, 2.0, 10.0), (8, 9.0, 14.0)];
    pub(super) const VP8_PIXEL: f64 = 6.0;
    pub(super) const VP8_BYTE: f64 = 35.0;
    pub(super) const ARITHMETIC_BYTE: f64 = 120.0;
    /// Conversion of planes to pixels, for linear light.
    pub(super) const INTERPOLATED_PIXEL: f64 = 4.0;
    pub(super) const CMYK_PROFILE: f64 = 12e6;
    pub(super) const PNG_SAMPLE: f64 = 1.1;
    pub(super) const PNG_BYTE: f64 = 3.0;
    pub(super) const WEBP_PIXEL: f64 = 12.0;
    pub(super) const WEBP_BYTE: f64 = 10.0;
    pub(super) const GIF_PIXEL: f64 = 5.0;
    pub(super) const GIF_BYTE: f64 = 10.0;
    pub(super) const HEIC_PIXEL: f64 = 30.0;
    pub(super) const HEIC_BYTE: f64 = 140.0;
    pub(super) const AVIF_PIXEL: f64 = 10.0;
    pub(super) const AVIF_BYTE: f64 = 30.0;
    pub(super) const JXL_PIXEL: f64 = 25.0;
    pub(super) const JXL_BYTE: f64 = 40.0;
    pub(super) const TIFF_PIXEL: f64 = 6.0;
    pub(super) const TIFF_BYTE: f64 = 4.0;
    /// A plain icon takes 4, one with filters up to 120.
    pub(super) const SVG_PIXEL: f64 = 40.0;
    pub(super) const SVG_BYTE: f64 = 100.0;
    /// Long paths take about 90, many small elements 200, and a style of thousands of `url()` 340.
    pub(super) const SANITIZED_BYTE: f64 = 250.0;
    /// Starting a sandboxed process.
    pub(super) const PROCESS: f64 = 3e6;
    /// A pixel of the canvas of an animation.
    pub(super) const CANVAS_PIXEL: f64 = 4.0;
    /// Scaling, per pixel of the decoded original.
    pub(super) const PLANE_PIXEL: f64 = 1.6;
    pub(super) const RGB_PIXEL: f64 = 1.5;
    pub(super) const ALPHA_PIXEL: f64 = 3.5;
    pub(super) const LINEAR_PIXEL: f64 = 3.5;
    pub(super) const LINEAR_ALPHA_PIXEL: f64 = 5.0;
    pub(super) const DEEP_PIXEL: f64 = 8.0;
    /// Scaling and conversion, per pixel of the variant.
    pub(super) const SCALED_PIXEL: f64 = 5.0;
    /// Encoding, per pixel of the variant.
    pub(super) const JPEG_ENCODED: f64 = 6.0;
    pub(super) const PROGRESSIVE_ENCODED: f64 = 30.0;
    pub(super) const JPEG_SMALL: f64 = 50.0;
    pub(super) const WEBP_ENCODED: f64 = 70.0;
    /// For a megapixel. A smaller variant shows more detail per pixel, and its code tables cost more per pixel.
    pub(super) const WEBP_LOSSLESS: f64 = 600.0;
    pub(super) const PNG: f64 = 0.3e6;
    pub(super) const PNG_ENCODED: f64 = 30.0;
    pub(super) const PNG_FAST_SAVED: f64 = 10.0;
    pub(super) const PNG_SMALL: f64 = 600.0;
    /// Each effort, compared to 4.
    pub(super) const WEBP_EFFORTS: [f64; 7] = [0.4, 0.45, 0.6, 0.95, 1.0, 1.2, 2.0];
    pub(super) const WEBP_LOSSLESS_EFFORTS: [f64; 7] = [0.3, 0.5, 0.6, 0.9, 1.0, 1.2, 2.0];
    /// Choosing a palette.
    pub(super) const PALETTE: f64 = 1.2e6;
    pub(super) const INDEXED_ENCODED: f64 = 110.0;
    /// A picture without colors, compared to one with colors.
    pub(super) const GRAY: f64 = 0.35;
    pub(super) const WEBP_FRAME: f64 = 35.0;
    pub(super) const WEBP_LOSSLESS_FRAME: f64 = 150.0;
    pub(super) const GIF_FRAME: f64 = 55.0;
    /// Either way of encoding. Both are tried for drawings.
    pub(super) const JXL_ENCODED: f64 = 190.0;
    pub(super) const JXL_LOSSLESS: f64 = 60.0;
    /// A picture in 4:4:4, compared to one in 4:2:0.
    pub(super) const AVIF_FULL_CHROMA: f64 = 1.6;
    /// A picture of 10 bits, compared to one of 8.
    pub(super) const AVIF_TEN_BITS: f64 = 1.1;
    /// Quality, and the cost per pixel.
    pub(super) const AVIF_ENCODED: [(f64, f64); 5] =
        [(1.0, 800.0), (40.0, 1150.0), (60.0, 1400.0), (80.0, 1750.0), (100.0, 2250.0)];
}
