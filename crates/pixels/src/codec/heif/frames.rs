//! The frames of an AVIF image sequence. Frames refer to frames before them, so a process decodes each track in order, and
//! ends after the last frame.

use std::time::Duration;

use crate::codec::animation::{AnimationFrames, LoopCount, normalize_delay};
use crate::codec::heif::container::{Coding, HeifImage, Layer, Sequence, Track};
use crate::codec::heif::decode::shape;
use crate::codec::heif::yuv;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::limits::{ColorPolicy, EncodeOptions};
use crate::pixel_image::ImageShape;
use crate::pixels::Pixels;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{DecodeRequest, SandboxFormat, SandboxImage, SandboxTask};
use crate::transform::channels::to_rgba;
use crate::yuv_image::YuvImage;

/// The frames of a file.
pub(crate) struct HeifFrames<'a> {
    sequence: Sequence<'a>,
    /// The properties of all frames.
    image: HeifImage<'a>,
    color: TrackDecoder,
    alpha: Option<TrackDecoder>,
    canvas: Pixels,
    drawn: usize,
}

impl<'a> HeifFrames<'a> {
    /// Starts the processes, each of which may allocate `sandbox_bytes`.
    ///
    /// # Errors
    /// The file is damaged or has no sequence, or a process could not be started.
    pub(crate) fn open(original: &'a [u8], sandbox_bytes: u64, context: &RenderContext) -> Result<Self, Error> {
        let sequence = HeifImage::read(original, Coding::Av1)?.sequence.ok_or_else(|| damaged("no image sequence"))?;
        let image = sequence.first_image();
        let color = TrackDecoder::start(&image.color, sandbox_bytes, context)?;
        let alpha = image.alpha.as_ref().map(|layer| TrackDecoder::start(layer, sandbox_bytes, context)).transpose()?;
        let (width, height) = image.color.size;
        let canvas = Pixels { width, height, channels: 4, data: Vec::new() };
        Ok(Self { sequence, image, color, alpha, canvas, drawn: 0 })
    }

    /// Decodes the next frame. `None` after the last one.
    fn decode(&mut self) -> Result<Option<(YuvImage, Option<YuvImage>)>, Error> {
        let Some(color) = self.color.next(&self.sequence.color)? else { return Ok(None) };
        let alpha = match (&mut self.alpha, &self.sequence.alpha) {
            (Some(decoder), Some(track)) => Some(decoder.next(track)?.ok_or_else(|| damaged("a frame without alpha"))?),
            _ => None,
        };
        Ok(Some((color, alpha)))
    }
}

impl AnimationFrames for HeifFrames<'_> {
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error> {
        let Some(delay) = self.sequence.color.durations.get(self.drawn).copied() else { return Ok(None) };
        let decoded = match self.decode() {
            // The readable part of a damaged animation is the frames before the damage.
            Err(Error::Damaged { .. }) if self.drawn > 0 && context.keeps_incomplete() => return Ok(None),
            decoded => decoded?,
        };
        let Some((color, alpha)) = decoded else {
            let is_enough = self.drawn > 0 && context.keeps_incomplete();
            return if is_enough { Ok(None) } else { Err(damaged("the sequence has fewer frames than samples")) };
        };
        self.drawn += 1;
        let encode = EncodeOptions { color: ColorPolicy::Srgb, ..context.encode };
        let decoded = yuv::pixels(&self.image, &color, alpha.as_ref(), &RenderContext { encode, ..*context })?;
        self.canvas = to_rgba(decoded.conversion.apply_srgb(decoded.pixels));
        Ok(Some(normalize_delay(delay)))
    }

    fn canvas(&self) -> &Pixels {
        &self.canvas
    }

    fn loop_count(&self) -> LoopCount {
        LoopCount(self.sequence.color.plays)
    }

    fn gif_bytes(&self) -> Option<usize> {
        None
    }
}

/// The process that decodes a track.
struct TrackDecoder {
    session: SandboxSession,
    shape: ImageShape,
    is_started: bool,
}

impl TrackDecoder {
    fn start(layer: &Layer<'_>, sandbox_bytes: u64, context: &RenderContext) -> Result<Self, Error> {
        let failed = |error: crate::SandboxError| damaged(error.to_string());
        let session = SandboxSession::start(SandboxTask::Decode, sandbox_bytes, failed, context)?;
        Ok(Self { session, shape: ImageShape::Yuv(shape(layer)), is_started: false })
    }

    /// Decodes the next frame. `None` after the last one.
    fn next(&mut self, track: &Track<'_>) -> Result<Option<YuvImage>, Error> {
        let frame = if std::mem::replace(&mut self.is_started, true) {
            self.session.run(|worker| worker.next_frame())?
        } else {
            let bytes = with_lengths(&track.samples)?;
            let request = DecodeRequest { format: SandboxFormat::Av1, bytes: &bytes, shape: self.shape };
            self.session.run(|worker| worker.start_animation(&request))?
        };
        match frame.map(|frame| frame.image) {
            None => Ok(None),
            Some(SandboxImage::Yuv(image)) => Ok(Some(image)),
            Some(SandboxImage::Pixels(_) | SandboxImage::DeepPixels(_)) => {
                Err(damaged("the decoder returned pixels instead of planes"))
            }
        }
    }
}

/// Joins samples, each after its length in four bytes, little-endian.
fn with_lengths(samples: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let mut joined = Vec::with_capacity(samples.iter().map(|sample| 4 + sample.len()).sum());
    for sample in samples {
        let length = u32::try_from(sample.len()).map_err(|_| damaged("a sample of more than 4 GiB"))?;
        joined.extend(length.to_le_bytes());
        joined.extend_from_slice(sample);
    }
    Ok(joined)
}
