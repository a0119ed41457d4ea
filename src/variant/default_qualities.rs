//! The default qualities, for variants whose URL specifies no quality.

use super::{Encoding, Format, Quality};
use crate::config::Formats;

/// The configured quality of each lossy format.
#[derive(Debug, Clone, Copy)]
pub(super) struct DefaultQualities {
    jpeg: Quality,
    webp: Quality,
    avif: Quality,
    jxl: Quality,
}

impl DefaultQualities {
    pub(super) fn new(formats: &Formats) -> Self {
        Self {
            jpeg: formats.jpeg_quality,
            webp: formats.webp_quality,
            avif: formats.avif_quality,
            jxl: formats.jxl_quality,
        }
    }

    /// Returns `format` at `quality`, or at the configured quality. PNG and GIF ignore `quality`, so that each variant
    /// has one key.
    pub(super) fn encoding(self, format: Format, quality: Option<Quality>) -> Encoding {
        match format {
            Format::Jpeg => Encoding::Jpeg(quality.unwrap_or(self.jpeg)),
            Format::Png => Encoding::Png,
            Format::WebP => Encoding::WebP(quality.unwrap_or(self.webp)),
            Format::Avif => Encoding::Avif(quality.unwrap_or(self.avif)),
            Format::Jxl => Encoding::Jxl(quality.unwrap_or(self.jxl)),
            Format::Gif => Encoding::Gif,
        }
    }
}
