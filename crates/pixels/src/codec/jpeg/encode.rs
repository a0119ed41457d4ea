//! Encodes JPEG: baseline from planes, progressive from pixels.

use std::io::{self, Write};

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use jpeg_planes::{EncodeError, PlaneLayout, PlaneRef};

use crate::codec::planes::Yuv420;
use crate::deadline::Deadline;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// Encodes a baseline file in 4:2:0, with one interleaved scan and optimized Huffman tables.
///
/// # Errors
/// The deadline passed, or the encoder fails, which valid planes do not cause.
pub(crate) fn encode_planes(planes: &Yuv420, quality: Quality, deadline: Deadline) -> Result<Vec<u8>, Error> {
    let refs: Vec<_> =
        planes.planes.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
    let layout = if refs.len() == 1 { PlaneLayout::Gray } else { PlaneLayout::YCbCr420 };
    let encoded = jpeg_planes::encode_while(&refs, layout, quality.get(), &|| deadline.is_ahead());
    encoded.map_err(|error| match error {
        EncodeError::Cancelled => deadline.error(),
        error => Error::Encode { reason: error.to_string() },
    })
}

/// Encodes a progressive file in 4:2:0 with optimized Huffman tables.
///
/// # Errors
/// The deadline passed, or the encoder fails, which valid pixels do not cause.
pub(crate) fn encode_progressive(pixels: &Pixels, quality: Quality, deadline: Deadline) -> Result<Vec<u8>, Error> {
    let failed = |reason: &dyn ToString| Error::Encode { reason: reason.to_string() };
    let side = |n: u32| u16::try_from(n).map_err(|error| failed(&error));
    let (width, height) = (side(pixels.width)?, side(pixels.height)?);
    let mut bytes = Vec::with_capacity(pixels.data.len() / 8 + 1024);
    let output = DeadlineWriter { bytes: &mut bytes, deadline, checked_at: 0 };
    let mut encoder = Encoder::new(output, quality.get());
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    // The default of the encoder uses the first of four samples, which shifts colors by half a pixel.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    let color = if pixels.channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    if let Err(error) = encoder.encode(&pixels.data, width, height, color) {
        deadline.check()?;
        return Err(failed(&error));
    }
    Ok(bytes)
}

/// The output of the progressive encoder. It fails once the deadline has passed, which stops the encoder.
struct DeadlineWriter<'a> {
    bytes: &'a mut Vec<u8>,
    deadline: Deadline,
    /// Length of the output at the last check of the deadline.
    checked_at: usize,
}

/// Bytes of output between two checks of the deadline. A check takes about as long as encoding ten bytes.
const CHECKED_BYTES: usize = 4096;

impl Write for DeadlineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() >= self.checked_at + CHECKED_BYTES {
            self.checked_at = self.bytes.len();
            if !self.deadline.is_ahead() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
