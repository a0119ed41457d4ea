//! Pictures that move: a canvas, what is laid on it frame by frame, and the whole of it made small.

use std::time::Duration;

use crate::codec::gif;
use crate::codec::webp::container;
use crate::codec::webp::encode::animation::Animation;
use crate::context::Job;
use crate::encoding::Encoding;
use crate::error::RenderError;
use crate::geometry::Geometry;
use crate::header::{Codec, Header};
use crate::limits::Limits;
use crate::pixels::Pixels;
use crate::render::encode;
use crate::transform::scale;
use crate::transform::color::Conversion;
use crate::transform::crop::Frame;
use crate::transform::smart_crop::attend;

/// Whether the variant is to move as its original does.
pub(crate) fn applies(header: &Header, encoding: Encoding) -> bool {
    header.frames > 1 && matches!(encoding, Encoding::WebP(_) | Encoding::Gif)
}

/// Makes a variant that moves: each frame, laid on the ones before it, goes the way of a picture.
///
/// # Errors
/// More frames than `limits` allow; a damaged original; too little time; a fault of ours.
pub(crate) fn render(
    original: &[u8],
    header: &Header,
    (mut frame, geometry): (Frame, Geometry),
    encoding: Encoding,
    (limits, job): (&Limits, &Job),
) -> Result<Vec<u8>, RenderError> {
    check(header, limits)?;
    let profile = if header.codec == Codec::WebP { riff::profile(original) } else { None };
    let mut frames: Box<dyn Frames> = match header.codec {
        Codec::WebP => Box::new(riff::WebP::open(original)?),
        _ => Box::new(gif::Gif::open(original, job)?),
    };
    let conversion = Conversion::of_light(profile, frames.canvas().channels);
    let size = (frame.size().0.get(), frame.size().1.get());
    let mut writer: Option<Writer> = None;
    while let Some(shown) = frames.next(job)? {
        job.deadline.check()?;
        if writer.is_none() {
            // The crop of the first picture is that of all.
            frame = attend(frame, header.orientation, geometry, |window, size| {
                scale::reduce(frames.canvas(), &conversion, window, size)
            })?;
        }
        let (window, stored) = frame.stored(header.orientation);
        let scaled = scale::scale(frames.canvas(), &conversion, window, stored, job)?;
        let upright = scale::orient(conversion.apply(scaled), header.orientation);
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(Writer::new(encoding, size, frames.loops())?),
        };
        writer.add(&encode::rgba(upright), shown)?;
    }
    writer.ok_or_else(|| RenderError::Damaged { reason: "it has no frame".to_owned() })?.finish()
}

fn check(header: &Header, limits: &Limits) -> Result<(), RenderError> {
    let Header { frames, width, height, .. } = *header;
    let refuse = |what| Err(RenderError::TooManyFrames { frames, width, height, what });
    if frames > limits.frames {
        return refuse(format!("{} are taken (limits.frames)", limits.frames));
    }
    if u64::from(frames) * u64::from(width) * u64::from(height) > limits.animation_pixels {
        return refuse(format!("{} pixels in all are taken (limits.animation_pixels)", limits.animation_pixels));
    }
    Ok(())
}

/// The file that is being made.
enum Writer {
    WebP(Animation),
    Gif(gif::encode::Writer),
}

impl Writer {
    fn new(encoding: Encoding, size: (u32, u32), loops: Loops) -> Result<Self, RenderError> {
        Ok(match encoding {
            Encoding::WebP(quality) => Self::WebP(Animation::new(size, quality, loops)?),
            _ => Self::Gif(gif::encode::Writer::new(size, loops)?),
        })
    }

    fn add(&mut self, pixels: &Pixels, shown: Duration) -> Result<(), RenderError> {
        match self {
            Self::WebP(animation) => animation.add(pixels, shown),
            Self::Gif(writer) => writer.add(pixels, shown),
        }
    }

    fn finish(self) -> Result<Vec<u8>, RenderError> {
        match self {
            Self::WebP(animation) => animation.finish(),
            Self::Gif(writer) => writer.finish(),
        }
    }
}

/// How often an animation is shown; zero is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loops(pub(crate) u16);

impl Loops {
    pub(crate) const ONCE: Self = Self(1);
    pub(crate) const FOR_EVER: Self = Self(0);
}

/// An animation's frames, one after the other, each as the whole canvas is then seen.
pub(crate) trait Frames {
    /// Lays the next frame on the canvas and says how long it is shown; `None` behind the last.
    fn next(&mut self, job: &Job) -> Result<Option<Duration>, RenderError>;

    /// The canvas, in RGB or RGBA.
    fn canvas(&self) -> &Pixels;

    /// How often the animation is shown; known behind the first frame.
    fn loops(&self) -> Loops;
}

/// A part of a canvas, which may stand out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Place {
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// RGBA pixels that are drawn on.
#[derive(Debug)]
pub(crate) struct Canvas(Pixels);

impl Canvas {
    /// Nothing to be seen on it.
    pub(crate) fn clear(width: u32, height: u32) -> Self {
        let data = vec![0; width as usize * height as usize * 4];
        Self(Pixels { width, height, channels: 4, data })
    }

    /// Puts the pixels that `colour` makes of `source`, row by row, where it makes one.
    pub(crate) fn draw<T>(&mut self, place: &Place, source: &[T], colour: impl Fn(&T) -> Option<[u8; 4]>) {
        let rows = source.chunks_exact((place.width as usize).max(1));
        for (row, y) in rows.zip(place.y..self.0.height) {
            for (pixel, source) in self.row_mut(place, y).iter_mut().zip(row) {
                if let Some(colour) = colour(source) {
                    *pixel = colour;
                }
            }
        }
    }

    /// Lays pixels over what is there.
    pub(crate) fn blend(&mut self, place: &Place, source: &[[u8; 4]]) {
        let rows = source.chunks_exact((place.width as usize).max(1));
        for (row, y) in rows.zip(place.y..self.0.height) {
            for (below, above) in self.row_mut(place, y).iter_mut().zip(row) {
                *below = over(*above, *below);
            }
        }
    }

    pub(crate) fn clear_at(&mut self, place: &Place) {
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            self.row_mut(place, y).fill([0; 4]);
        }
    }

    /// The pixels of a place, as far as they lie on the canvas.
    pub(crate) fn copy(&mut self, place: &Place) -> Vec<u8> {
        let mut pixels = Vec::new();
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            pixels.extend_from_slice(self.row_mut(place, y).as_flattened());
        }
        pixels
    }

    /// Puts back what [`copy`](Self::copy) gave.
    pub(crate) fn restore(&mut self, place: &Place, pixels: &[u8]) {
        let mut rest = pixels;
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            let row = self.row_mut(place, y).as_flattened_mut();
            let Some((own, after)) = rest.split_at_checked(row.len()) else { return };
            row.copy_from_slice(own);
            rest = after;
        }
    }

    pub(crate) fn pixels(&self) -> &Pixels {
        &self.0
    }

    pub(crate) fn into_pixels(self) -> Pixels {
        self.0
    }

    /// The pixels of a place in row `y`, as far as they lie on the canvas.
    fn row_mut(&mut self, place: &Place, y: u32) -> &mut [[u8; 4]] {
        let width = self.0.width as usize;
        let (pixels, _) = self.0.data.as_chunks_mut::<4>();
        let row = pixels.get_mut(y as usize * width..).and_then(|rest| rest.get_mut(..width)).unwrap_or_default();
        let begin = (place.x as usize).min(width);
        let end = begin.saturating_add(place.width as usize).min(width);
        &mut row[begin..end]
    }
}

/// One colour over another, alpha not premultiplied (RFC 9649 section 2.7.1.1).
fn over(above: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    match (above[3], below[3]) {
        (255, _) | (_, 0) => return above,
        (0, _) => return below,
        _ => {}
    }
    let (own, through) = (255 * u32::from(above[3]), u32::from(below[3]) * u32::from(255 - above[3]));
    let whole = own + through;
    let mean = |n: usize| (u32::from(above[n]) * own + u32::from(below[n]) * through + whole / 2) / whole;
    let byte = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    [byte(mean(0)), byte(mean(1)), byte(mean(2)), byte((whole + 127) / 255)]
}
