//! Reading of headers: format, size and memory estimate, before any pixel is decoded.

use jpeg_planes::{ColorModel, Header as JpegHeader};
use vp8_planes::Header as Vp8Header;

#[cfg(feature = "avif")]
use crate::codec::avif;
use crate::codec::heif::container::Coding;
use crate::codec::png::animation::encode as apng;
use crate::codec::sandboxed::SandboxedPixels;
use crate::codec::svg::{self, NominalSize};
use crate::codec::{bmp, gif, heif, ico, jpeg, jxl, palette, png, tiff, webp};
use crate::codecs::Codec;
use crate::deadline::Deadline;
use crate::effort::WebpEffort;
use crate::encoding::{AvifDepth, Encoding};
use crate::error::{Error, UnsupportedFormat};
use crate::gain_map::GainMap;
use crate::info::ImageInfo;
use crate::limits::{EncodeOptions, Limits};
use crate::output::OutputSpec;
use crate::pixel_image::{PixelLayout, PixelShape};
use crate::render::animation::is_animated;
use crate::size_limits::check_pixels;
use crate::sniff::{is_svg, sniff};
use crate::transform::color;
use crate::transform::convolve;
use crate::transform::crop::CropWindow;

/// Header of a format that can be decoded to YUV planes.
#[derive(Debug, Clone)]
pub(crate) enum PlanarHeader {
    Jpeg(JpegHeader),
    /// The frame of a still lossy WebP without alpha.
    Vp8(Vp8Header),
}

/// A header that was read and is within the limits.
#[derive(Debug, Clone)]
pub struct Header {
    pub codec: Codec,
    pub info: ImageInfo,
    /// True if a sandboxed decoder returns CMYK.
    pub(crate) is_cmyk: bool,
    /// `None` if the image is decoded to pixels.
    pub(crate) planar: Option<PlanarHeader>,
    /// The size of a vector picture, which is rasterized for each variant. Until then, [`Self::info`] has its nominal size.
    pub(crate) vector: Option<NominalSize>,
    /// Bytes that the sandboxed decoder may allocate; 0 if the format is decoded in this process.
    pub(crate) sandbox_bytes: u64,
    pub(crate) original_bytes: u64,
    /// The gain map of a JPEG that is decoded to planes, if variants keep it.
    pub(crate) gain_map: Option<Box<GainMap>>,
    /// The settings with which variants are encoded.
    encode: EncodeOptions,
}

impl Header {
    /// True if JPEG variants keep a gain map of the original.
    #[must_use]
    pub const fn has_gain_map(&self) -> bool {
        self.gain_map.is_some()
    }

    /// Reads the header and checks it against `limits`. Allocates at most [`HEADER_BYTES_MAX`], and uses at most
    /// `limits.render_time`. The time grows with the size of the file.
    ///
    /// # Errors
    /// The bytes are not an image, the format is not supported, the header is damaged, or the image exceeds
    /// `limits.input_pixels`.
    pub fn read(original: &[u8], limits: &Limits) -> Result<Self, Error> {
        let codec = detect_codec(original, limits)?;
        let deadline = Deadline::after(limits.render_time);
        let mut header = Self {
            codec,
            info: ImageInfo::default(),
            is_cmyk: false,
            planar: None,
            vector: None,
            sandbox_bytes: 0,
            original_bytes: original.len() as u64,
            gain_map: None,
            encode: limits.encode,
        };
        header.info = match codec {
            Codec::Jpeg => {
                let jpeg = jpeg::planar::read_header(original, limits)?;
                let info = jpeg::planar::info(original, &jpeg);
                if limits.encode.gain_maps && !jpeg::planar::is_cmyk(&jpeg) {
                    let profile = || jpeg::planar::jpeg_profile(original, &jpeg);
                    let pixels = u64::from(info.width) * u64::from(info.height);
                    header.gain_map = GainMap::find(original, pixels, profile, limits).map(Box::new);
                }
                header.planar = Some(PlanarHeader::Jpeg(jpeg));
                info
            }
            Codec::Png => png::read_info(original, limits)?,
            Codec::WebP => webp::container::read_info(original)?,
            Codec::Gif => gif::read_info(original, deadline)?,
            Codec::Avif | Codec::Heic => {
                let coding = if codec == Codec::Avif { Coding::Av1 } else { Coding::Hevc };
                let (info, sandbox_bytes) = heif::decode::read_info(original, coding, limits)?;
                header.sandbox_bytes = sandbox_bytes;
                info
            }
            Codec::JpegXl => {
                let (jxl, sandbox_bytes) = jxl::read_info(original, limits)?;
                header.sandbox_bytes = sandbox_bytes;
                header.is_cmyk = jxl.layout == PixelLayout::Cmyk;
                jxl.info
            }
            Codec::Tiff => {
                let (tiff, sandbox_bytes) = tiff::read_info(original, limits)?;
                header.sandbox_bytes = sandbox_bytes;
                header.is_cmyk = tiff.layout == PixelLayout::Cmyk;
                tiff.info
            }
            Codec::Bmp => {
                let (info, sandbox_bytes) = bmp::read_info(original, limits)?;
                header.sandbox_bytes = sandbox_bytes;
                info
            }
            Codec::Ico => {
                let (info, sandbox_bytes) = ico::read_info(original, limits)?;
                header.sandbox_bytes = sandbox_bytes;
                info
            }
            Codec::Svg => {
                let (info, size) = svg::read_info(original)?;
                header.vector = Some(size);
                info
            }
        };
        if header.vector.is_none() {
            check_pixels((header.info.width, header.info.height), limits)?;
        }
        if codec == Codec::WebP {
            let vp8 = webp::planar::read_header(original, (header.info.width, header.info.height), limits);
            header.planar = vp8.map(PlanarHeader::Vp8);
        }
        Ok(header)
    }

    /// The pixels that a sandboxed decoder must return, and its memory.
    pub(crate) fn sandboxed(&self) -> SandboxedPixels {
        let layout = match self.info.pixel_bytes {
            1 => PixelLayout::Gray,
            2 => PixelLayout::GrayAlpha,
            3 => PixelLayout::Rgb,
            _ if self.is_cmyk => PixelLayout::Cmyk,
            _ => PixelLayout::Rgba,
        };
        let shape = PixelShape { width: self.info.width, height: self.info.height, layout };
        SandboxedPixels { shape, sandbox_bytes: self.sandbox_bytes }
    }

    /// Width and height of the upright image.
    #[must_use]
    pub fn oriented_size(&self) -> (u32, u32) {
        self.info.oriented_size()
    }

    /// An upper bound, in bytes, of the memory that [`render_each`](crate::render_each) allocates for these variants.
    #[must_use]
    pub fn working_bytes(&self, outputs: &[OutputSpec]) -> u64 {
        if let Some(rasters) = self.rasters(outputs) {
            return rasters.iter().map(|(header, output)| header.working_bytes(&[*output])).max().unwrap_or(BASE_BYTES);
        }
        // Variants are rendered one after the other, so only the largest counts.
        let output_bytes = outputs.iter().map(|output| self.output_bytes(*output)).max().unwrap_or(0);
        let decoded_bytes = match &self.planar {
            Some(PlanarHeader::Jpeg(jpeg)) if !self.scales_planes(&self.encode) => {
                jpeg::planar::pixels_working_bytes(jpeg) + output_bytes
            }
            Some(PlanarHeader::Jpeg(jpeg)) => {
                jpeg::planar::working_bytes(&self.info, jpeg, outputs, self.encode.linear_light) + output_bytes
            }
            Some(PlanarHeader::Vp8(vp8)) => webp::planar::working_bytes(&self.info, vp8, outputs) + output_bytes,
            // The sandboxed decoder has ended before its planes are converted to pixels.
            None => {
                let decoded_bytes = self.decoded_bytes() + output_bytes;
                // The decoder of an animation runs until the last frame is encoded, and that of the alpha of an AVIF
                // sequence is another process.
                let is_streamed =
                    self.sandbox_bytes > 0 && outputs.iter().any(|output| is_animated(self, output.encoding));
                let has_alpha_process = self.codec == Codec::Avif && matches!(self.info.pixel_bytes, 2 | 4);
                let processes = if has_alpha_process { 2 } else { 1 };
                let bytes = match is_streamed {
                    true => processes * self.sandbox_bytes + decoded_bytes,
                    false => self.sandboxed_bytes().max(decoded_bytes),
                };
                // Samples of 16 bits take twice the bytes.
                let is_deep = outputs.iter().any(|output| self.is_deep(*output));
                bytes + if is_deep { self.pixel_count() * u64::from(self.info.pixel_bytes) } else { 0 }
            }
        };
        // The map is decoded while the pixels of the original and the encoded variant are still in memory.
        let map_bytes = self.gain_map.as_ref().map_or(0, |map| map.header.working_bytes(&[GainMap::WHOLE]));
        decoded_bytes + map_bytes + color::profile_bytes(self.info.profile_bytes) + BASE_BYTES
    }

    /// True if variants are scaled from planes. Planes of RGB are not scaled in linear light.
    pub(crate) fn scales_planes(&self, encode: &EncodeOptions) -> bool {
        match &self.planar {
            Some(PlanarHeader::Jpeg(jpeg)) => !encode.linear_light || jpeg.color_model != ColorModel::Rgb,
            Some(PlanarHeader::Vp8(_)) => true,
            None => false,
        }
    }

    /// Memory for scaling and encoding one variant.
    fn output_bytes(&self, output: OutputSpec) -> u64 {
        let crop_window = CropWindow::new(self.oriented_size(), output.geometry);
        let (_, size) = crop_window.stored(self.info.orientation);
        let size = (size.0.get(), size.1.get());
        let pixels = u64::from(size.0) * u64::from(size.1);
        // The scaler of 8 bits reduces one dimension first, so it holds an image with one reduced and one full side.
        let scales_planes = self.scales_planes(&self.encode);
        let channels = if scales_planes { 1 } else { 4 };
        let source = (self.info.width, self.info.height);
        let (longest, side) = (u64::from(source.0.max(source.1)), u64::from(size.0.max(size.1)));
        let floating = match (scales_planes, self.encode.linear_light) {
            // Planes in linear light are scaled as RGB, from rows of chroma and of colors.
            (true, true) => convolve::bytes(source, size, 3) + 16 * u64::from(source.0),
            (true, false) => 0,
            (false, _) => convolve::bytes(source, size, 4),
        };
        let convolved = (channels * side * longest).max(floating);
        // Canvases and frames of the encoder of an animation.
        let animation = match (self.info.frames, output.encoding) {
            (0 | 1, _) => 0,
            (frames, Encoding::Png) if is_animated(self, Encoding::Png) => {
                40 * pixels + apng::file_bytes(frames, pixels)
            }
            (frames, _) => (40 + u64::from(frames)) * pixels,
        };
        #[cfg(feature = "avif")]
        if let Encoding::Avif(quality) = output.encoding {
            // The planes and the encoder, which takes more than the pixels before.
            let kind = self.avif_frame();
            // Scaled and converted pixels of 16 bits, and their copy with 8.
            let deep = if self.is_deep(output) { 28 * pixels } else { 0 };
            return convolved + deep + kind.plane_bytes() * pixels + kind.working_bytes(pixels, quality);
        }
        #[cfg(feature = "jxl-variants")]
        if let Encoding::Jxl(_) = output.encoding {
            let deep = if self.is_deep(output) { 28 * pixels } else { 0 };
            return convolved + deep + 16 * pixels + jxl::encode::working_bytes(pixels, self.is_deep(output));
        }
        // The scaled and the upright pixels, the encoder's planes, and the result.
        convolved + animation + 16 * pixels + self.encoder_bytes(output.encoding, pixels)
    }

    /// Bits per sample of an AVIF variant.
    pub(crate) fn avif_depth(&self) -> AvifDepth {
        let of_original = if self.info.is_deep { AvifDepth::Ten } else { AvifDepth::Eight };
        self.encode.avif_depth.unwrap_or(of_original)
    }

    /// True if the chroma of the original is probably subsampled, so that it is not worth to keep more.
    pub(crate) fn is_subsampled(&self) -> bool {
        self.planar.is_some() || self.info.is_subsampled
    }

    /// True if the samples of the original are not reduced to 8 bits for this variant.
    pub(crate) fn is_deep(&self, output: OutputSpec) -> bool {
        let keeps_deep = match output.encoding {
            Encoding::Avif(_) => cfg!(feature = "avif") && self.avif_depth() == AvifDepth::Ten,
            Encoding::Jxl(_) => cfg!(feature = "jxl-variants"),
            _ => false,
        };
        keeps_deep && self.info.is_deep
    }

    /// Samples of the frame of an AVIF variant.
    #[cfg(feature = "avif")]
    pub(crate) fn avif_frame(&self) -> avif::encode::FrameKind {
        avif::encode::FrameKind {
            depth: self.avif_depth(),
            may_be_full: !self.is_subsampled() && self.info.pixel_bytes > 2,
        }
    }

    /// Memory of an encoder in addition to planes and result, measured for noise.
    fn encoder_bytes(&self, encoding: Encoding, pixels: u64) -> u64 {
        let has_alpha = matches!(self.info.pixel_bytes, 2 | 4);
        match encoding {
            Encoding::Jpeg(_) => jpeg::encode::working_bytes(&self.encode, pixels),
            Encoding::Png if self.encode.png_colors.is_some() => {
                palette::bytes(pixels, has_alpha).max(png::encode::effort_bytes(self.encode.png_effort, pixels))
            }
            Encoding::Png => png::encode::effort_bytes(self.encode.png_effort, pixels),
            // The history and the symbols of lossless encoding. Alpha is always lossless, and so are some frames.
            Encoding::WebP(quality) if quality.is_lossless() || has_alpha || self.info.frames > 1 => {
                lossless_webp_bytes(pixels, self.encode.webp_effort) + 24 * pixels
            }
            Encoding::WebP(_) => 8 * pixels,
            Encoding::Gif => 8 * pixels + palette::bytes(pixels, false),
            // Without their features there is no encoder.
            Encoding::Avif(_) | Encoding::Jxl(_) => 0,
        }
    }

    /// Memory of the sandboxed decoder, and of its result in this process.
    fn sandboxed_bytes(&self) -> u64 {
        let result = self.info.codec_bytes.max(self.info.pixel_bytes);
        self.original_bytes + self.pixel_count() * u64::from(result) + self.info.extra_bytes + self.sandbox_bytes
    }

    /// Memory for decoding to pixels.
    fn decoded_bytes(&self) -> u64 {
        // An animation needs two canvases: the one that is scaled, and a copy from which it may have to be restored.
        let animation = if self.info.frames > 1 { 8 } else { 0 };
        let bytes_per_pixel = u64::from(self.info.pixel_bytes) + u64::from(self.info.codec_bytes) + animation;
        self.original_bytes + self.pixel_count() * bytes_per_pixel + self.info.extra_bytes
    }

    fn pixel_count(&self) -> u64 {
        u64::from(self.info.width) * u64::from(self.info.height)
    }
}

/// Upper bound, in bytes, on the memory that [`Header::read`] and [`probe`](crate::probe) allocate, whatever the file
/// states.
pub const HEADER_BYTES_MAX: u64 = 8 << 20;

/// Memory of the histograms of libwebp's lossless encoder. It takes two histograms for each block, whose side is 2 to the
/// power of 7 minus its method, and larger blocks if there are more than 2600 (`GetHistoBits` and `MAX_HUFF_IMAGE_SIZE` in
/// libwebp).
fn lossless_webp_bytes(pixels: u64, effort: WebpEffort) -> u64 {
    const HISTOGRAM_BYTES: u64 = 9 << 10;
    let side_bits = (7 - effort.method()).max(2);
    2 * HISTOGRAM_BYTES * pixels.div_ceil(1 << (2 * side_bits)).min(2600)
}

/// Memory for tables, names and metadata, which does not depend on the size of the image. The encoders of WebP and AVIF take most.
const BASE_BYTES: u64 = 2 << 20;

fn detect_codec(original: &[u8], limits: &Limits) -> Result<Codec, Error> {
    let Some(media_type) = sniff(original) else {
        let is_accepted = limits.originals.contains(Codec::Svg) && Codec::Svg.is_built_in();
        return if is_accepted && is_svg(original) { Ok(Codec::Svg) } else { Err(unknown(original, limits)) };
    };
    let format = match Codec::from_media_type(media_type) {
        Some(codec) if !codec.is_built_in() => UnsupportedFormat::NotBuiltIn(codec),
        Some(codec) if !limits.originals.contains(codec) => UnsupportedFormat::NotAccepted(codec),
        Some(codec) => return Ok(codec),
        None => return Err(unknown(original, limits)),
    };
    Err(Error::UnsupportedFormat { format, accepted: limits.originals })
}

/// The error for a file of which [`sniff`] does not know the type.
pub(crate) fn unknown(head: &[u8], limits: &Limits) -> Error {
    let accepted = limits.originals;
    if head.is_empty() {
        Error::Empty
    } else if is_svg(head) {
        let is_built_in = Codec::Svg.is_built_in();
        let format = if is_built_in { UnsupportedFormat::SvgOff } else { UnsupportedFormat::NotBuiltIn(Codec::Svg) };
        Error::UnsupportedFormat { format, accepted }
    } else {
        Error::NotAnImage { accepted }
    }
}
