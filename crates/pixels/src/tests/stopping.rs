//! Every encoder stops soon after the deadline.

use super::*;
use crate::codec::planes::{Range, Yuv420};
use crate::deadline::cpu_time;
use crate::pixels::Pixels;
use crate::render::encode::{encode_pixels, encode_planes};
use crate::transform::color::Gamut;

/// Noise, which takes every encoder long.
fn noise(side: u32, channels: u8) -> Pixels {
    let mut state = 0x9E37_79B9_u32;
    let random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    let data = std::iter::repeat_with(random).take((side * side) as usize * usize::from(channels)).collect();
    Pixels { width: side, height: side, channels, data }
}

/// The time after which the encoders are stopped. The first of their checks may come later.
const RENDER_TIME: Duration = Duration::from_millis(30);

/// Overshoot that `limits.render_time` documents.
const OVERSHOOT_MAX: Duration = Duration::from_secs(1);

#[track_caller]
fn assert_stopped(name: &str, encode: EncodeOptions, run: impl FnOnce(&RenderContext) -> Result<Vec<u8>, Error>) {
    let limits = Limits { render_time: RENDER_TIME, encode, ..LIMITS };
    let start = cpu_time();
    let result = run(&RenderContext::new(&limits));
    let used = cpu_time() - start;
    assert_eq!(result.unwrap_err(), Error::RenderTimeout { limit: RENDER_TIME }, "{name} after {used:?}");
    assert!(used < RENDER_TIME + OVERSHOOT_MAX, "{name} took {used:?}");
}

#[test]
fn every_encoder_of_stills_stops_at_the_deadline() {
    let quality = |n| Quality::new(n).unwrap();
    let encodings = [
        Encoding::Jpeg(quality(100)),
        Encoding::WebP(quality(99)),
        Encoding::WebP(quality(100)),
        Encoding::Png,
        Encoding::Gif,
    ];
    for encoding in encodings {
        let options = EncodeOptions::default();
        let name = format!("{encoding:?}");
        assert_stopped(&name, options, |context| encode_pixels(noise(3000, 3), Gamut::Srgb, encoding, context));
    }
    let progressive = EncodeOptions { jpeg_progressive: true, ..EncodeOptions::default() };
    assert_stopped("progressive", progressive, |context| {
        encode_pixels(noise(3000, 3), Gamut::Srgb, jpeg_q90(), context)
    });
    let small = EncodeOptions { jpeg_effort: JpegEffort::Small, ..EncodeOptions::default() };
    assert_stopped("small JPEG", small, |context| encode_pixels(noise(3000, 3), Gamut::Srgb, jpeg_q90(), context));
    let few = EncodeOptions { png_colors: NonZeroU16::new(64), ..EncodeOptions::default() };
    assert_stopped("palette", few, |context| encode_pixels(noise(3000, 4), Gamut::Srgb, Encoding::Png, context));
    #[cfg(feature = "png-small")]
    for side in [1400, 3000] {
        let small = EncodeOptions { png_effort: PngEffort::Small, ..EncodeOptions::default() };
        assert_stopped("small", small, |context| encode_pixels(noise(side, 4), Gamut::Srgb, Encoding::Png, context));
    }
    assert_stopped("alpha", EncodeOptions::default(), |context| {
        encode_pixels(noise(2000, 4), Gamut::Srgb, Encoding::Png, context)
    });
}

#[test]
fn encoders_of_planes_stop_at_the_deadline() {
    for encoding in [jpeg_q90(), webp_q90()] {
        let planes = Yuv420 { range: Range::Full, ..Yuv420::from_pixels(&noise(4000, 3)) };
        assert_stopped(&format!("{encoding:?}"), EncodeOptions::default(), |context| {
            encode_planes(planes, Orientation::NoTransforms, encoding, context)
        });
    }
}

#[test]
fn animation_encoders_stop_within_a_frame() {
    use crate::codec::animation::LoopCount;
    use crate::codec::gif::encode::GifEncoder;
    use crate::codec::webp::encode::animation::WebPAnimationEncoder;
    let (pixels, size) = (noise(1500, 4), (1500, 1500));
    for quality in [90, 100] {
        assert_stopped("webp", EncodeOptions::default(), |context| {
            let quality = Quality::new(quality).unwrap();
            let mut encoder = WebPAnimationEncoder::new(size, quality, LoopCount::ONCE, context.deadline)?;
            encoder.add(&pixels, Duration::from_millis(100))?;
            encoder.finish()
        });
    }
    assert_stopped("gif", EncodeOptions::default(), |context| {
        let mut encoder = GifEncoder::new(size, LoopCount::ONCE, context.deadline)?;
        encoder.add(&pixels, Duration::from_millis(100), Some(0))?;
        encoder.finish()
    });
}
