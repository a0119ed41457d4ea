//! AVIF image sequences: a track of images, and a track of their alpha (AV1 Image File Format, sections 3 and 4).

use image::metadata::Orientation;

use super::boxes::{Boxes, IsoBox};
use super::layer::Layer;
use super::track::{Track, TrackHead, TrackKind};
use super::{CropRect, HeifImage};
use crate::error::{Error, damaged};
use crate::transform::color::PROFILE_BYTES_MAX;

/// The first track that `is_wanted` accepts.
fn find_track<'a>(
    moov: &IsoBox<'a>,
    is_wanted: impl Fn(&TrackHead<'a>) -> Result<bool, Error>,
) -> Result<Option<TrackHead<'a>>, Error> {
    for found in Boxes::new(moov.data) {
        let found = found?;
        if found.kind == *b"trak"
            && let Some(track) = TrackHead::read(found)?
            && is_wanted(&track)?
        {
            return Ok(Some(track));
        }
    }
    Ok(None)
}

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
        let color = find_track(moov, |track| Ok(track.kind == TrackKind::Color))?;
        let color = color.ok_or_else(|| damaged("no track of images (moov)"))?.read_samples(file)?;
        let alpha =
            find_track(moov, |track| Ok(track.kind == TrackKind::Alpha && track.alpha_of()? == Some(color.id)))?;
        let alpha = alpha.map(|alpha| alpha.read_samples(file)).transpose()?;
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

    /// True if the still image of the file has the size and the samples of the frames, for which memory is charged.
    pub(super) fn matches(&self, still: &HeifImage<'_>) -> bool {
        let frame = self.first_image();
        let samples = |layer: &Layer<'_>| (layer.size, layer.depth, layer.sampling);
        let layers = |image: &HeifImage<'_>| (samples(&image.color), image.alpha.as_ref().map(samples));
        let is_whole = still.crop == frame.crop && still.orientation == Orientation::NoTransforms;
        is_whole && layers(still) == layers(&frame)
    }

    /// Length of all samples in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.color.len() + self.alpha.as_ref().map_or(0, Track::len)
    }
}
