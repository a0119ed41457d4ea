//! A decoded original, and what becomes of it: scaled, then encoded.

use image::metadata::Orientation;

#[cfg(feature = "avif-originals")]
use crate::codec::avif::decode;
use crate::codec::decoded::Decoded;
use crate::context::Job;
use crate::render::decode;
use crate::transform::color::Conversion;
use crate::transform::crop::Frame;
#[cfg(feature = "avif-originals")]
use crate::codec::decoded::Planar;
use crate::codec::jpeg::planar;
use crate::codec::planes::Halved;
use crate::encoding::Encoding;
use crate::error::RenderError;
use crate::geometry::Geometry;
use crate::header::{Codec, Header};
use crate::pixels::Pixels;
use crate::render::encode;
use crate::transform::scale;
use crate::transform::scale::{LANCZOS, MEANS};
use crate::transform::smart_crop::attend;

/// A decoded original.
pub(crate) enum Source {
    Planes(Planar),
    Pixels(Decoded),
}

impl Source {
    pub(crate) fn decode(
        original: &[u8],
        header: &Header,
        variants: &[(Geometry, Encoding)],
        job: &Job,
    ) -> Result<Self, RenderError> {
        #[cfg(feature = "avif-originals")]
        if header.codec == Codec::Avif {
            return apart::decode(original, header, job);
        }
        Ok(match Planar::decode(original, header, variants, job)? {
            Some(planar) => Self::Planes(planar),
            None => Self::Pixels(decode::decode(original, header, job)?),
        })
    }

    /// The frame's pixels, or its planes where it is made of nothing else.
    pub(crate) fn scale(
        &self,
        frame: Frame,
        orientation: Orientation,
        geometry: Geometry,
        encoding: Encoding,
        job: &Job,
    ) -> Result<Scaled<'_>, RenderError> {
        let frame = self.attend(frame, orientation, geometry)?;
        let (window, size) = frame.stored(orientation);
        Ok(match self {
            Self::Planes(Planar { planes, conversion })
                if conversion.is_none() && planar::halves(encoding, size, job) =>
            {
                Scaled::Planes(planes.halved(&window, size)?)
            }
            Self::Planes(Planar { planes, conversion }) => {
                Scaled::Pixels(planes.pixels(&window, size, LANCZOS)?, conversion)
            }
            Self::Pixels(Decoded { pixels, conversion }) => {
                Scaled::Pixels(scale::scale(pixels, conversion, window, size, job)?, conversion)
            }
        })
    }

    /// See [`attend`].
    fn attend(&self, frame: Frame, orientation: Orientation, geometry: Geometry) -> Result<Frame, RenderError> {
        attend(frame, orientation, geometry, |window, size| match self {
            Self::Planes(Planar { planes, conversion }) => Ok(conversion.apply(planes.pixels(&window, size, MEANS)?)),
            Self::Pixels(Decoded { pixels, conversion }) => scale::reduce(pixels, conversion, window, size),
        })
    }
}

/// A variant's samples before they are encoded, in the stored orientation.
pub(crate) enum Scaled<'a> {
    Planes(Halved),
    Pixels(Pixels, &'a Conversion),
}

impl Scaled<'_> {
    pub(crate) fn encode(
        self,
        orientation: Orientation,
        encoding: Encoding,
        job: &Job,
    ) -> Result<Vec<u8>, RenderError> {
        match self {
            Self::Planes(planes) => encode::planes(planes, orientation, encoding),
            Self::Pixels(pixels, conversion) => {
                encode::encode(scale::orient(conversion.apply(pixels), orientation), encoding, job)
            }
        }
    }
}
