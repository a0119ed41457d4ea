//! The loop filter setting of decoded planes and the options of [`decode`](crate::decode()).

use planes::Incomplete;

/// A decoded plane, whose mode is its loop filter setting.
pub type Plane = planes::Plane<LoopFilter>;

/// Use of the loop filter, which smooths the edges of blocks (RFC 6386, section 15). Prediction in a key frame does not
/// depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LoopFilter {
    /// Filter as the frame header says. This gives the image that the format defines.
    #[default]
    Apply,
    /// Skip the filter, which saves time. The difference is invisible once the plane is scaled down enough.
    Skip,
}

/// Decoding options.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Treatment of truncated frames.
    pub incomplete: Incomplete,
    /// Called once per row of macroblocks. Decoding stops with [`Error::Cancelled`](crate::Error::Cancelled) when it
    /// returns `false`.
    pub should_continue: &'a dyn Fn() -> bool,
}

impl Default for Options<'_> {
    /// Refuses truncated frames.
    fn default() -> Self {
        Self { incomplete: Incomplete::default(), should_continue: &|| true }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("incomplete", &self.incomplete).finish_non_exhaustive()
    }
}
