//! The strength of the loop filter.

/// The thresholds for one macroblock (RFC 6386, sections 15.2 to 15.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilterStrength {
    /// Maximum difference across the edge of a macroblock at which the edge is smoothed.
    pub(super) macroblock_limit: u8,
    /// Maximum difference across the edge of a subblock at which the edge is smoothed.
    pub(super) subblock_limit: u8,
    /// Maximum difference between adjacent samples on one side of an edge at which the edge is smoothed.
    pub(super) interior_limit: u8,
    /// Difference on one side of an edge above which fewer samples are changed (`hev_threshold`).
    pub(super) high_variance_threshold: u8,
}

impl FilterStrength {
    /// `level` is 0 to 63, `sharpness` 0 to 7. Returns `None` at level 0, which disables the filter.
    pub(crate) fn new(level: i32, sharpness: i32) -> Option<Self> {
        if level == 0 {
            return None;
        }
        let mut interior = level;
        if sharpness > 0 {
            interior = (level >> if sharpness > 4 { 2 } else { 1 }).min(9 - sharpness);
        }
        let interior = interior.max(1);
        let high_variance_threshold = u8::from(level >= 15) + u8::from(level >= 40);
        let byte = |limit: i32| limit.clamp(0, 255) as u8;
        Some(Self {
            macroblock_limit: byte(2 * (level + 2) + interior),
            subblock_limit: byte(2 * level + interior),
            interior_limit: byte(interior),
            high_variance_threshold,
        })
    }
}
