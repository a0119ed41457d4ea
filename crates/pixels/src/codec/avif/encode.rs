//! Encodes AVIF with rav1e, a pure Rust encoder: one AV1 still image for color, and another for alpha.
//!
//! Colors are encoded as full-range BT.601 in 4:2:0, gray images as luma only.

use avif_serialize::Aviffy;
use avif_serialize::constants::MatrixCoefficients;
use rav1e::prelude::{
    BlockSize, ChromaSampling, Config, Context, EncoderConfig, EncoderStatus, FrameParameters, PartitionRange,
    PixelRange, SpeedSettings,
};

use crate::context::RenderContext;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// The fastest preset, with two changes. Choosing block sizes from 8 to 32 pixels, instead of always 16, saves a sixth
/// of the bytes at a higher quality, and takes twice the time. The constrained directional enhancement filter (CDEF) is
/// off, because it takes a tenth of the time without a visible effect.
fn speed() -> SpeedSettings {
    let mut settings = SpeedSettings::from_preset(10);
    settings.partition.partition_range = PartitionRange::new(BlockSize::BLOCK_8X8, BlockSize::BLOCK_32X32);
    settings.cdef = false;
    settings
}

/// Encodes gray or RGB pixels, with or without alpha.
pub(crate) fn encode(pixels: &Pixels, quality: Quality, context: &RenderContext) -> Result<Vec<u8>, Error> {
    let size = (pixels.width as usize, pixels.height as usize);
    let quantizer = quantizer(quality);
    let (planes, alpha) = planes(pixels);
    let color = still(size, &planes, quantizer, context)?;
    let opaque = alpha.iter().all(|&alpha| alpha == u8::MAX);
    // Errors at the edges of alpha are more visible than color errors, so alpha has a finer quantizer.
    let alpha = if opaque { None } else { Some(still(size, &[alpha], quantizer / 2, context)?) };
    let is_gray = planes.len() == 1;
    let mut file = Aviffy::new();
    file.set_matrix_coefficients(MatrixCoefficients::Bt601);
    if is_gray {
        file.set_monochrome(true);
    }
    file.set_chroma_subsampling((true, true));
    let mut bytes = Vec::with_capacity(color.len() + 512);
    file.write(&mut bytes, &color, alpha.as_deref(), pixels.width, pixels.height, 8).map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// Encodes one plane, or three of which the second and third have half the width and height, rounded up.
fn still(
    (width, height): (usize, usize),
    planes: &[Vec<u8>],
    quantizer: usize,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let config = EncoderConfig {
        width,
        height,
        bit_depth: 8,
        chroma_sampling: if planes.len() == 1 { ChromaSampling::Cs400 } else { ChromaSampling::Cs420 },
        pixel_range: PixelRange::Full,
        still_picture: true,
        quantizer,
        speed_settings: speed(),
        ..EncoderConfig::default()
    };
    let config = Config::new().with_encoder_config(config).with_threads(1);
    let mut encoder: Context<u8> = config.new_context().map_err(|error| failed(&error))?;
    let mut frame = encoder.new_frame();
    for (n, (plane, data)) in frame.planes.iter_mut().zip(planes).enumerate() {
        let width = if n == 0 { width } else { width.div_ceil(2) };
        plane.copy_from_raw_u8(data, width, 1);
    }
    encoder.send_frame((frame, FrameParameters::default())).map_err(|error| failed(&error))?;
    encoder.flush();
    loop {
        context.deadline.check()?;
        match encoder.receive_packet() {
            Ok(packet) => return Ok(packet.data),
            Err(EncoderStatus::Encoded | EncoderStatus::NeedMoreData) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// Returns the color planes (luma, or luma and both chroma planes) and the alpha plane. Alpha is opaque if the pixels
/// have no alpha channel.
fn planes(pixels: &Pixels) -> (Vec<Vec<u8>>, Vec<u8>) {
    let channels = usize::from(pixels.channels);
    let all = pixels.data.chunks_exact(channels);
    let alpha = match channels {
        2 | 4 => all.clone().map(|pixel| pixel[channels - 1]).collect(),
        _ => vec![u8::MAX; all.len()],
    };
    if channels <= 2 {
        return (vec![all.map(|pixel| pixel[0]).collect()], alpha);
    }
    let luma = all.map(|pixel| luma(i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2]))).collect();
    let stride = pixels.width as usize * channels;
    let (mut blue, mut red) = (Vec::new(), Vec::new());
    for rows in pixels.data.chunks(2 * stride) {
        for x in (0..stride).step_by(2 * channels) {
            // A square of 2 x 2 pixels, of which only a part exists at the right and bottom edges.
            let places = [x, x + channels, stride + x, stride + x + channels];
            let inside =
                [true, x + channels < stride, rows.len() > stride, x + channels < stride && rows.len() > stride];
            let seen = places.into_iter().zip(inside).filter(|(_, inside)| *inside).map(|(at, _)| &rows[at..at + 3]);
            let (sums, count) = seen.fold(([0_i32; 3], 0), |([r, g, b], n), pixel| {
                ([r + i32::from(pixel[0]), g + i32::from(pixel[1]), b + i32::from(pixel[2])], n + 1)
            });
            let [r, g, b] = sums.map(|sum| (sum + count / 2) / count);
            // The chroma rows of the BT.601 matrix (ITU-T T.871, section 7), in fixed point with 16 fractional bits.
            blue.push(byte((-11_059 * r - 21_709 * g + 32_768 * b + (128 << 16) + (1 << 15)) >> 16));
            red.push(byte((32_768 * r - 27_439 * g - 5_329 * b + (128 << 16) + (1 << 15)) >> 16));
        }
    }
    (vec![luma, blue, red], alpha)
}

fn luma(r: i32, g: i32, b: i32) -> u8 {
    byte((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16)
}

fn byte(sample: i32) -> u8 {
    u8::try_from(sample.clamp(0, 255)).unwrap_or(0)
}

/// Maps a quality of 1 to 100 linearly to the quantizer indices 255 to 0 of AV1.
fn quantizer(quality: Quality) -> usize {
    (255 * (100 - usize::from(quality.get())) + 50) / 100
}

fn failed(error: &dyn ToString) -> Error {
    Error::Encode { reason: error.to_string() }
}
