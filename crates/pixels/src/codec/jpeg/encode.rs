//! Encodes JPEG: baseline from planes, progressive from pixels.

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use jpeg_planes::{PlaneLayout, PlaneRef};

use crate::codec::planes::Yuv420;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// Encodes a baseline file in 4:2:0, with one interleaved scan and optimized Huffman tables.
pub(crate) fn encode_planes(planes: &Yuv420, quality: Quality) -> Result<Vec<u8>, Error> {
    let refs: Vec<_> =
        planes.planes.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
    let layout = if refs.len() == 1 { PlaneLayout::Gray } else { PlaneLayout::YCbCr420 };
    jpeg_planes::encode(&refs, layout, quality.get()).map_err(|error| Error::Encode { reason: error.to_string() })
}

/// Encodes a progressive file in 4:2:0 with optimized Huffman tables.
pub(crate) fn encode_progressive(pixels: &Pixels, quality: Quality) -> Result<Vec<u8>, Error> {
    let failed = |reason: &dyn ToString| Error::Encode { reason: reason.to_string() };
    let side = |n: u32| u16::try_from(n).map_err(|error| failed(&error));
    let (width, height) = (side(pixels.width)?, side(pixels.height)?);
    let mut bytes = Vec::with_capacity(pixels.data.len() / 8 + 1024);
    let mut encoder = Encoder::new(&mut bytes, quality.get());
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    // The default of the encoder uses the first of four samples, which shifts colors by half a pixel.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    let color = if pixels.channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&pixels.data, width, height, color).map_err(|error| failed(&error))?;
    Ok(bytes)
}
