//! Planes on their way between the server and the child process. Samples of more than 8 bits have native byte order.

use std::io::{self, Read, Write};

use pixels::{PixelShape, YuvSamples, YuvShape};

use super::message::Depth;

/// Number of two-byte samples that are converted at once.
const CHUNK_SAMPLES: usize = 1 << 16;

/// Reads the planes of an image of this shape, which the caller has checked or charged. Larger samples than its depth
/// allows are reduced to the maximum, because the sender may not be trusted.
pub(super) fn read_planes(from: &mut impl Read, shape: YuvShape) -> io::Result<Vec<YuvSamples>> {
    (0..shape.sampling.planes()).map(|n| read_plane(from, shape, n)).collect()
}

fn read_plane(from: &mut impl Read, shape: YuvShape, n: usize) -> io::Result<YuvSamples> {
    let (width, height) = shape.sampling.plane_size(n, (shape.width, shape.height));
    let samples = usize::try_from(u64::from(width) * u64::from(height)).map_err(io::Error::other)?;
    if shape.depth == 8 {
        let mut plane = vec![0; samples];
        from.read_exact(&mut plane)?;
        return Ok(YuvSamples::U8(plane));
    }
    read_words(from, samples, ((1_u32 << shape.depth.min(16)) - 1) as u16).map(YuvSamples::U16)
}

/// Reads the samples of pixels of this shape, which the caller has checked or charged.
pub(super) fn read_samples(from: &mut impl Read, shape: PixelShape, depth: Depth) -> io::Result<YuvSamples> {
    let samples = u64::from(shape.width) * u64::from(shape.height) * u64::from(shape.layout.channels());
    let samples = usize::try_from(samples).map_err(io::Error::other)?;
    match depth {
        Depth::Eight => {
            let mut bytes = vec![0; samples];
            from.read_exact(&mut bytes)?;
            Ok(YuvSamples::U8(bytes))
        }
        Depth::Sixteen => read_words(from, samples, u16::MAX).map(YuvSamples::U16),
    }
}

/// Reads that many samples of two bytes, each at most `sample_max`.
pub(super) fn read_words(from: &mut impl Read, samples: usize, sample_max: u16) -> io::Result<Vec<u16>> {
    let mut words = vec![0; samples];
    let mut bytes = vec![0; 2 * CHUNK_SAMPLES.min(samples)];
    for chunk in words.chunks_mut(CHUNK_SAMPLES) {
        let bytes = &mut bytes[..2 * chunk.len()];
        from.read_exact(bytes)?;
        for (sample, bytes) in chunk.iter_mut().zip(bytes.as_chunks().0) {
            *sample = u16::from_ne_bytes(*bytes).min(sample_max);
        }
    }
    Ok(words)
}

/// Writes the planes one after the other.
pub(super) fn write_planes(to: &mut impl Write, planes: &[YuvSamples]) -> io::Result<()> {
    planes.iter().try_for_each(|plane| match plane {
        YuvSamples::U8(samples) => to.write_all(samples),
        YuvSamples::U16(samples) => samples.chunks(CHUNK_SAMPLES).try_for_each(|chunk| {
            let bytes: Vec<u8> = chunk.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
            to.write_all(&bytes)
        }),
    })
}
