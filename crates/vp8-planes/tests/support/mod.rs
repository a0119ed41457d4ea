//! Random frames encoded by libwebp, and decoding by image-webp.

#![expect(unsafe_code, reason = "libwebp is a C library, called only with input that these tests create")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::slice;

use libwebp_sys::{
    WebPConfig, WebPEncode, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear, WebPMemoryWriterInit,
    WebPPicture, WebPPictureFree, WebPPictureImportRGB,
};

/// A linear congruential generator (constants from Numerical Recipes), so that all runs are equal.
pub struct Random(pub u32);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }

    pub fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

pub struct Rgb {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

/// Noise, waves, flat colors, a part of a photograph, or a noisy part.
pub fn random_image(random: &mut Random, photograph: &Rgb, side_max: usize) -> Rgb {
    let (width, height) = (1 + random.below(side_max), 1 + random.below(side_max));
    let kind = random.below(5);
    let (left, top) = (random.below(photograph.width - width), random.below(photograph.height - height));
    let (period, amplitude) = (4 + random.below(40), 1 + random.below(256));
    let colors = [0; 6].map(|_| random.below(256) as u8);
    let mut data = Vec::with_capacity(3 * width * height);
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let wave = |n: usize| (127.5 * (1.0 + (n as f32 / period as f32).sin())) as u8;
        let at = 3 * ((top + y) * photograph.width + left + x);
        let photograph = [photograph.data[at], photograph.data[at + 1], photograph.data[at + 2]];
        data.extend(match kind {
            0 => [0; 3].map(|_| random.below(amplitude) as u8),
            1 => [wave(x), wave(y), wave(x + y)],
            2 => photograph,
            3 if (x / period + y / period) % 2 == 0 => [colors[0], colors[1], colors[2]],
            3 => [colors[3], colors[4], colors[5]],
            _ => photograph.map(|sample| sample.saturating_add(random.below(amplitude) as u8)),
        });
    }
    Rgb { width, height, data }
}

pub fn photograph() -> Rgb {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/cat.jpg");
    let image = image::open(file).unwrap().into_rgb8();
    Rgb { width: image.width() as usize, height: image.height() as usize, data: image.into_raw() }
}

/// Random values for the settings of libwebp's encoder that affect the bitstream features.
pub fn random_settings(random: &mut Random) -> WebPConfig {
    let mut config = WebPConfig::new().unwrap();
    let number = |random: &mut Random, n: usize| random.below(n) as c_int;
    config.quality = number(random, 101) as f32;
    config.method = number(random, 7);
    config.segments = 1 + number(random, 4);
    config.partitions = number(random, 4);
    config.sns_strength = number(random, 101);
    config.filter_strength = random.choose(&[0, 5, 20, 40, 60, 80, 100]);
    config.filter_sharpness = number(random, 8);
    config.filter_type = number(random, 2);
    config.autofilter = number(random, 2);
    config.pass = 1 + number(random, 2);
    config.preprocessing = number(random, 2);
    config
}

/// Encodes a WebP file.
pub fn encode(image: &Rgb, config: &WebPConfig) -> Vec<u8> {
    let mut picture = WebPPicture::new().unwrap();
    (picture.width, picture.height) = (image.width as c_int, image.height as c_int);
    let mut writer = MaybeUninit::<WebPMemoryWriter>::zeroed();
    // SAFETY: picture, configuration and writer are initialized and outlive the calls. The pixels are `height` rows of
    // `3 * width` bytes.
    unsafe {
        assert_ne!(WebPPictureImportRGB(&raw mut picture, image.data.as_ptr(), 3 * picture.width), 0);
        WebPMemoryWriterInit(writer.as_mut_ptr());
        picture.writer = Some(WebPMemoryWrite);
        picture.custom_ptr = writer.as_mut_ptr().cast();
        assert_ne!(WebPEncode(config, &raw mut picture), 0, "{config:?}");
        let written = writer.assume_init_mut();
        let bytes = slice::from_raw_parts(written.mem, written.size).to_vec();
        WebPMemoryWriterClear(written);
        WebPPictureFree(&raw mut picture);
        bytes
    }
}

/// The payload of the "VP8 " chunk of a WebP file in the simple layout.
pub fn vp8_chunk(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|name| name == b"VP8 ").unwrap();
    let length = u32::from_le_bytes(*file[at + 4..].first_chunk().unwrap()) as usize;
    &file[at + 8..at + 8 + length]
}

/// Copies the top left part of a plane.
pub fn crop(data: &[u8], stride: usize, (width, height): (u32, u32)) -> Vec<u8> {
    data.chunks(stride).take(height as usize).flat_map(|line| &line[..width as usize]).copied().collect()
}

/// Y, U and V as decoded by image-webp. `None` if it refuses the frame.
pub fn decode_with_image_webp(frame: &[u8]) -> Option<[Vec<u8>; 3]> {
    let frame = image_webp::vp8::Vp8Decoder::decode_frame(frame).ok()?;
    let (width, height) = (u32::from(frame.width), u32::from(frame.height));
    let half = (width.div_ceil(2), height.div_ceil(2));
    let columns = width.div_ceil(16) as usize;
    Some([
        crop(&frame.ybuf, 16 * columns, (width, height)),
        crop(&frame.ubuf, 8 * columns, half),
        crop(&frame.vbuf, 8 * columns, half),
    ])
}
