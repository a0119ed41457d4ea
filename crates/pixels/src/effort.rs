//! CPU time that encoders spend on fewer bytes. It does not change the quality that a URL asks for.

/// Effort of the JPEG encoder. A quality has about the same score with both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum JpegEffort {
    /// Coefficients are rounded to nearest.
    #[default]
    Fast,
    /// Perceptual quantizers, rate-distortion optimized quantization, and progressive scans where they save bytes.
    Small,
}

/// Effort of the PNG encoder. PNG is lossless, so only bytes and time differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum PngEffort {
    /// Fast deflate.
    Fast,
    /// The kind of compression that suits the picture, at the level of libpng.
    #[default]
    Default,
    /// Several filters with slow deflate, palettes and fewer bits per sample where they lose nothing.
    #[cfg(feature = "png-small")]
    Small,
}

/// Effort of the WebP encoder, 0 to 6: `method` of libwebp. Animations are encoded at method 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "u8", into = "u8"))]
pub struct WebpEffort(u8);

impl WebpEffort {
    /// The default of libwebp and of sharp.
    pub const DEFAULT: Self = Self(4);

    /// `None` if `method` is more than 6.
    #[must_use]
    pub const fn new(method: u8) -> Option<Self> {
        if method <= 6 { Some(Self(method)) } else { None }
    }

    /// libwebp's `method`.
    #[must_use]
    pub const fn method(self) -> u8 {
        self.0
    }
}

impl Default for WebpEffort {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u8> for WebpEffort {
    type Error = &'static str;

    fn try_from(method: u8) -> Result<Self, Self::Error> {
        Self::new(method).ok_or("the effort of WebP is 0 to 6")
    }
}

impl From<WebpEffort> for u8 {
    fn from(effort: WebpEffort) -> Self {
        effort.method()
    }
}
