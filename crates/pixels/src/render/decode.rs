//! From bytes to pixels: eight bits a sample, in the stored orientation.

use image::metadata::Orientation;

#[cfg(feature = "avif-originals")]
use crate::codec::{gif, jpeg, png};
use crate::codec::avif::decode;
use crate::codec::jpeg::cmyk;
use crate::codec::webp::container;
use crate::deadline::Deadline;
use crate::error::RenderError;
use crate::header::{Codec, Header};
use crate::limits::{Finish, Incomplete, Limits};
use crate::pixels::Pixels;
use crate::transform::color::Conversion;

/// What a codec says of a picture before it is decoded.
pub(crate) struct Facts {
    /// As stored.
    pub(crate) size: (u32, u32),
    pub(crate) orientation: Orientation,
    /// Bytes of a decoded pixel.
    pub(crate) pixel_bytes: u8,
    /// Bytes that the codec keeps for each pixel besides.
    pub(crate) codec_bytes: u8,
    /// One, or those of an animation.
    pub(crate) frames: u32,
}

/// What holds for the making of one variant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) deadline: Deadline,
    pub(crate) incomplete: Incomplete,
    pub(crate) pixels_max: u64,
    pub(crate) scans_max: u32,
    pub(crate) finish: Finish,
}

impl Job {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            deadline: Deadline::after(limits.render_time),
            incomplete: limits.incomplete,
            pixels_max: limits.input_pixels,
            scans_max: limits.scans,
            finish: limits.finish,
        }
    }

    /// The same, for which a file that is cut short is an error.
    pub(crate) fn refusing_incomplete(self) -> Self {
        Self { incomplete: Incomplete::Refuse, ..self }
    }

    /// Whether what can be decoded of a file that is cut short is a picture.
    pub(crate) fn keeps_incomplete(&self) -> bool {
        self.incomplete == Incomplete::Keep
    }
}

/// The whole picture, and how its samples become sRGB.
pub(crate) struct Decoded {
    pub(crate) pixels: Pixels,
    pub(crate) conversion: Conversion,
}

/// Decodes the whole picture, or the first frame of an animation.
///
/// # Errors
/// The bytes are damaged, of a kind that the codec does not know, or take too long.
pub(crate) fn decode(original: &[u8], header: &Header, job: &Job) -> Result<Decoded, RenderError> {
    if header.is_ink {
        let (pixels, profile) = ink::decode(original, job)?;
        return Ok(Decoded { pixels, conversion: Conversion::of_ink(profile.as_deref()) });
    }
    let (pixels, profile) = match header.codec {
        Codec::Jpeg => jpeg::decode(original, job)?,
        Codec::Png => png::decode(original, job)?,
        Codec::WebP => riff::decode(original, job)?,
        Codec::Gif => (gif::decode(original, job)?, None),
        #[cfg(feature = "avif-originals")]
        Codec::Avif => return apart::pixels(original, header, job),
    };
    job.deadline.check()?;
    if (pixels.width, pixels.height) != (header.width, header.height) {
        return Err(RenderError::Damaged { reason: "its size is not what its header says".to_owned() });
    }
    let conversion = Conversion::of_light(profile.as_deref(), pixels.channels);
    Ok(Decoded { pixels, conversion })
}
