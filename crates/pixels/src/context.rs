//! State of one render call.

use crate::deadline::Deadline;
use crate::limits::{EncodeOptions, Incomplete, Limits};
use crate::sandbox::Sandbox;

/// Limits and settings of one render call, with its deadline.
#[derive(Clone, Copy)]
pub(crate) struct RenderContext<'a> {
    pub(crate) deadline: Deadline,
    pub(crate) incomplete: Incomplete,
    pub(crate) pixels_max: u64,
    pub(crate) scans_max: u32,
    pub(crate) encode: EncodeOptions,
    /// The isolated AV1 decoder; without it AVIF originals are not decoded.
    #[cfg_attr(not(feature = "avif-originals"), expect(dead_code, reason = "AVIF is not decoded"))]
    pub(crate) sandbox: Option<&'a dyn Sandbox>,
}

impl<'a> RenderContext<'a> {
    /// Starts the deadline.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            deadline: Deadline::after(limits.render_time),
            incomplete: limits.incomplete,
            pixels_max: limits.input_pixels,
            scans_max: limits.scans,
            encode: limits.encode,
            sandbox: None,
        }
    }

    /// Returns the same context with an isolated AV1 decoder.
    pub(crate) fn with_sandbox(self, sandbox: Option<&'a dyn Sandbox>) -> Self {
        Self { sandbox, ..self }
    }

    /// Returns the same context, in which a truncated original is an error.
    pub(crate) fn refusing_incomplete(self) -> Self {
        Self { incomplete: Incomplete::Refuse, ..self }
    }

    /// True if the readable part of a truncated original is used.
    pub(crate) fn keeps_incomplete(&self) -> bool {
        self.incomplete == Incomplete::Keep
    }
}
