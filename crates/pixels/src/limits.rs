//! Limits on originals and variants, and the encoding settings that a URL does not contain.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::codecs::Codecs;
use crate::effort::{JpegEffort, PngEffort, WebpEffort};
use crate::encoding::AvifDepth;

/// Limits on originals and variants. Most are checked against the header, before any pixel is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Width times height of an original.
    pub input_pixels: u64,
    /// Width times height of a variant.
    pub output_pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
    /// Width times height times frames of an animation.
    pub animation_pixels: u64,
    /// Scans of a JPEG. Progressive JPEGs of common encoders have about ten; a malicious file can have thousands.
    pub scans: u32,
    /// CPU time for one variant.
    pub render_time: Duration,
    /// How truncated originals are handled.
    pub incomplete: Incomplete,
    /// The formats of originals that are decoded. Some need a cargo feature and a [`Sandbox`](crate::Sandbox).
    pub originals: Codecs,
    /// Encoder settings.
    pub encode: EncodeOptions,
}

/// How truncated originals are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Incomplete {
    /// A truncated original is an error.
    Refuse,
    /// The part that can be decoded is used.
    Keep,
}

/// Colors of variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum ColorPolicy {
    /// All variants are in sRGB.
    Srgb,
    /// Still variants with colors outside of sRGB are in Display P3 and say so. GIF is always in sRGB.
    Keep,
}

/// Encoder settings that apply to all variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// True if JPEGs are progressive where that is smaller.
    pub jpeg_progressive: bool,
    pub jpeg_effort: JpegEffort,
    pub webp_effort: WebpEffort,
    pub png_effort: PngEffort,
    /// Maximum number of colors of a PNG; `None` keeps all colors.
    pub png_colors: Option<NonZeroU16>,
    /// True if images are scaled in linear light instead of gamma-encoded sRGB.
    pub linear_light: bool,
    /// The colors of variants.
    pub color: ColorPolicy,
    /// Bits per sample of AVIF variants; `None` means 10 if the original has more than 8, else 8.
    pub avif_depth: Option<AvifDepth>,
    /// True if variants keep the statements about authorship and license.
    pub keep_copyright: bool,
    /// True if JPEG variants keep the gain map of a JPEG original, for screens with HDR.
    pub gain_maps: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            jpeg_progressive: false,
            jpeg_effort: JpegEffort::default(),
            webp_effort: WebpEffort::default(),
            png_effort: PngEffort::default(),
            png_colors: None,
            linear_light: false,
            color: ColorPolicy::Keep,
            avif_depth: None,
            keep_copyright: true,
            gain_maps: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_pixels: 100_000_000,
            output_pixels: 20_000_000,
            frames: 1000,
            animation_pixels: 400_000_000,
            scans: 64,
            render_time: Duration::from_secs(30),
            incomplete: Incomplete::Refuse,
            originals: Codecs::DEFAULT,
            encode: EncodeOptions::default(),
        }
    }
}
