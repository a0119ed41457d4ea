//! State of one render call.

use std::time::Duration;

use crate::deadline::Deadline;
use crate::encoding::AvifDepth;
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
    /// Number of bytes that a still GIF should have: those of the original, if that is a GIF.
    pub(crate) gif_bytes_max: Option<usize>,
    /// Bits per sample of an AVIF variant.
    #[cfg_attr(not(feature = "avif"), expect(dead_code, reason = "only AVIF has a choice"))]
    pub(crate) avif_depth: AvifDepth,
    /// True if the chroma of the original is probably subsampled.
    #[cfg_attr(
        not(any(feature = "avif", feature = "jxl-variants")),
        expect(dead_code, reason = "only AVIF and JPEG XL have a choice")
    )]
    pub(crate) is_subsampled: bool,
    /// The XMP packet of an AVIF variant. Other formats get it after they are encoded.
    #[cfg_attr(not(feature = "avif"), expect(dead_code, reason = "only for AVIF"))]
    pub(crate) xmp: Option<&'a [u8]>,
    /// Without it, the formats that need it are not decoded, and AVIF and JPEG XL variants are encoded in this process.
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
            gif_bytes_max: None,
            avif_depth: AvifDepth::Eight,
            is_subsampled: false,
            xmp: None,
            sandbox: None,
        }
    }

    /// Returns the same context with a sandbox.
    pub(crate) fn with_sandbox(self, sandbox: Option<&'a dyn Sandbox>) -> Self {
        Self { sandbox, ..self }
    }

    /// Returns the same context with a deadline that is later by the CPU time since `start`.
    pub(crate) fn extended_since(self, start: Duration) -> Self {
        Self { deadline: self.deadline.extended_since(start), ..self }
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
