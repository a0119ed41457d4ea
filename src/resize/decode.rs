//! From bytes to pixels: eight bits a sample, in the stored orientation.

use image::metadata::Orientation;

#[cfg(feature = "avif-originals")]
use super::apart;
use super::colour::Conversion;
use super::deadline::Deadline;
use super::header::Header;
use super::scale::Pixels;
use super::{Codec, Finish, Incomplete, Limits, RenderError, gif, ink, jpeg, png, riff};

/// What a codec says of a picture before it is decoded.
pub(super) struct Facts {
    /// As stored.
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
    /// Bytes of a decoded pixel.
    pub(super) pixel_bytes: u8,
    /// Bytes that the codec keeps for each pixel besides.
    pub(super) codec_bytes: u8,
    /// One, or those of an animation.
    pub(super) frames: u32,
}

/// What holds for the making of one variant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) deadline: Deadline,
    pub(super) incomplete: Incomplete,
    pub(super) pixels_max: u64,
    pub(super) scans_max: u32,
    pub(super) finish: Finish,
}

impl Job {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            deadline: Deadline::after(limits.render_time),
            incomplete: limits.incomplete,
            pixels_max: limits.input_pixels,
            scans_max: limits.scans,
            finish: limits.finish,
        }
    }

    /// The same, for which a file that is cut short is an error.
    pub(super) fn refusing_incomplete(self) -> Self {
        Self { incomplete: Incomplete::Refuse, ..self }
    }

    /// Whether what can be decoded of a file that is cut short is a picture.
    pub(super) fn keeps_incomplete(&self) -> bool {
        self.incomplete == Incomplete::Keep
    }
}

/// The whole picture, and how its samples become sRGB.
pub(super) struct Decoded {
    pub(super) pixels: Pixels,
    pub(super) conversion: Conversion,
}

/// Decodes the whole picture, or the first frame of an animation.
///
/// # Errors
/// The bytes are damaged, of a kind that the codec does not know, or take too long.
pub(super) fn decode(original: &[u8], header: &Header, job: &Job) -> Result<Decoded, RenderError> {
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
