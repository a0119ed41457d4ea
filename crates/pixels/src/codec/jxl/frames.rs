//! The frames of an animated JPEG XL, which a sandboxed process decodes one by one.

use std::time::Duration;

use crate::codec::animation::{AnimationFrames, LoopCount, normalize_delay};
use crate::codec::jxl::JxlHeader;
use crate::codec::sandboxed::{SandboxedPixels, to_decoded};
use crate::context::RenderContext;
use crate::error::{AnimationLimit, Error, damaged};
use crate::limits::{ColorPolicy, EncodeOptions, Limits};
use crate::pixel_image::ImageShape;
use crate::pixels::Pixels;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{DecodeRequest, SandboxFormat, SandboxTask};
use crate::transform::channels::to_rgba;

/// The frames of a file. The process that decodes them ends when this is dropped.
pub(crate) struct JxlFrames<'a> {
    original: &'a [u8],
    session: SandboxSession,
    expected: SandboxedPixels,
    limits: &'a Limits,
    frames_max: u32,
    plays: u32,
    canvas: Pixels,
    drawn: u32,
}

impl<'a> JxlFrames<'a> {
    /// Starts the process. `frames_max` is the number of frames for which memory was charged.
    ///
    /// # Errors
    /// The header is damaged, or the sandbox cannot be started.
    pub(crate) fn open(
        original: &'a [u8],
        expected: SandboxedPixels,
        frames_max: u32,
        limits: &'a Limits,
        context: &RenderContext,
    ) -> Result<Self, Error> {
        let plays = JxlHeader::read(original)?.plays.ok_or_else(|| damaged("no animation"))?;
        let failed = |error: crate::SandboxError| damaged(error.to_string());
        let session = SandboxSession::start(SandboxTask::Decode, expected.sandbox_bytes, failed, context)?;
        let canvas =
            Pixels { width: expected.shape.width, height: expected.shape.height, channels: 4, data: Vec::new() };
        Ok(Self { original, session, expected, limits, frames_max, plays, canvas, drawn: 0 })
    }

    /// The error for an animation with more frames than `frames_max`.
    fn too_many(&self) -> Error {
        let (width, height) = (self.canvas.width, self.canvas.height);
        let limit = match self.frames_max >= self.limits.frames {
            true => AnimationLimit::Frames(self.limits.frames),
            false => AnimationLimit::Pixels(self.limits.animation_pixels),
        };
        Error::AnimationTooLarge { frames: self.frames_max.saturating_add(1), width, height, limit }
    }
}

impl AnimationFrames for JxlFrames<'_> {
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error> {
        let shape = ImageShape::Pixels(self.expected.shape);
        let request = DecodeRequest { format: SandboxFormat::JpegXl, bytes: self.original, shape };
        let is_first = self.drawn == 0;
        let decoded = self.session.run(|worker| match is_first {
            true => worker.start_animation(&request),
            false => worker.next_frame(),
        });
        let frame = match decoded {
            // The readable part of a damaged animation is the frames before the damage.
            Err(Error::Damaged { .. }) if !is_first && context.keeps_incomplete() => return Ok(None),
            decoded => decoded?,
        };
        let Some(frame) = frame else { return Ok(None) };
        if self.drawn >= self.frames_max {
            return Err(self.too_many());
        }
        self.drawn += 1;
        let encode = EncodeOptions { color: ColorPolicy::Srgb, ..context.encode };
        let decoded = to_decoded(frame.image, self.expected, &RenderContext { encode, ..*context })?;
        self.canvas = to_rgba(decoded.conversion.apply_srgb(decoded.pixels));
        Ok(Some(normalize_delay(frame.duration)))
    }

    fn canvas(&self) -> &Pixels {
        &self.canvas
    }

    fn loop_count(&self) -> LoopCount {
        LoopCount(self.plays)
    }

    fn gif_bytes(&self) -> Option<usize> {
        None
    }
}
