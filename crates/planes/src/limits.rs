/// Upper bounds on the input, checked before memory is allocated for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum of width times height.
    pub pixels: u64,
    /// Maximum number of scans (JPEG only). Common encoders write about ten.
    pub scans: u32,
    /// Maximum number of marker segments (JPEG only).
    pub segments: u32,
}

impl Default for Limits {
    /// 100 million pixels, 64 scans and 4096 segments.
    fn default() -> Self {
        Self { pixels: 100_000_000, scans: 64, segments: 4096 }
    }
}

/// Treatment of input that is truncated, or damaged after its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Incomplete {
    /// Return an error.
    #[default]
    Refuse,
    /// Return the part that can be decoded. The missing part is mid-gray, or less detailed in a progressive JPEG.
    Keep,
}
