//! AVIF image sequences: a track of images, and a track of their alpha (AV1 Image File Format, sections 3 and 4).

use image::metadata::Orientation;

use super::boxes::{Boxes, IsoBox};
use super::track::{Track, TrackKind};
use super::{CropRect, HeifImage};
use crate::error::{Error, damaged};
use crate::transform::color::PROFILE_BYTES_MAX;

/// The frames of an animation.
#[derive(Debug)]
pub(crate) struct Sequence<'a> {
    pub(crate) color: Track<'a>,
    /// Alpha of as many frames as `color` has.
    pub(crate) alpha: Option<Track<'a>>,
}

impl<'a> Sequence<'a> {
    /// Reads a box `moov`, of which the first track of images is shown.
    pub(super) fn read(file: &'a [u8], moov: &IsoBox<'a>) -> Result<Self, Error> {
        let mut tracks = Vec::new();
        for found in Boxes::new(moov.data) {
            let found = found?;
            if found.kind == *b"trak" {
                tracks.extend(Track::read(file, &found)?);
            }
        }
        let at = tracks.iter().position(|track| track.kind == TrackKind::Color);
        let color = tracks.swap_remove(at.ok_or_else(|| damaged("no track of images (moov)"))?);
        let is_alpha = |track: &Track<'_>| track.kind == TrackKind::Alpha && track.alpha_of == Some(color.id);
        let alpha = tracks.iter().position(is_alpha).map(|at| tracks.swap_remove(at));
        if alpha
            .as_ref()
            .is_some_and(|alpha| alpha.samples.len() != color.samples.len() || alpha.layer().size != color.layer().size)
        {
            return Err(damaged("the track of alpha differs from that of the images"));
        }
        Ok(Self { color, alpha })
    }

    /// The first frame. The other frames have the same properties.
    pub(crate) fn first_image(&self) -> HeifImage<'a> {
        let color = self.color.layer();
        let (width, height) = color.size;
        HeifImage {
            cicp: color.cicp,
            color,
            alpha: self.alpha.as_ref().map(Track::layer),
            is_premultiplied: self.alpha.as_ref().is_some_and(|alpha| self.color.premultiplied_by == Some(alpha.id)),
            crop: CropRect { x: 0, y: 0, width, height },
            orientation: Orientation::NoTransforms,
            profile: self.color.profile.filter(|profile| profile.len() <= PROFILE_BYTES_MAX),
            sequence: None,
        }
    }

    /// True if the still image of the file has the size and the channels of the frames.
    pub(super) fn matches(&self, still: &HeifImage<'_>) -> bool {
        let frame = self.first_image();
        let is_whole = still.crop == frame.crop && still.color.size == frame.color.size;
        is_whole && still.orientation == Orientation::NoTransforms && still.channels() == frame.channels()
    }

    /// Length of all samples in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.color.len() + self.alpha.as_ref().map_or(0, Track::len)
    }
}
