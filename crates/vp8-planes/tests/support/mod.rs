//! Frames of every kind that libwebp writes, and what other decoders make of them.

#![expect(unsafe_code, reason = "libwebp is C, and is given nothing but what these tests make")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::slice;

use libwebp_sys::{
    WebPConfig, WebPEncode, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear, WebPMemoryWriterInit,
    WebPPicture, WebPPictureFree, WebPPictureImportRGB,
};

/// A linear congruential generator (Numerical Recipes): the same on every run.
pub struct Random(pub u32);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

pub struct Rgb {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

/// Noise, waves, flat colours, or a piece of a photograph.
pub fn picture(random: &mut Random, photograph: &Rgb, side_max: usize) -> Rgb {
    let (width, height) = (1 + random.below(side_max), 1 + random.below(side_max));
    let kind = random.below(5);
    let (left, top) = (random.below(photograph.width - width), random.below(photograph.height - height));
    let (slow, wild) = (4 + random.below(40), 1 + random.below(256));
    let colours = [0; 6].map(|_| random.below(256) as u8);
    let mut data = Vec::with_capacity(3 * width * height);
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let wave = |n: usize| (127.5 * (1.0 + (n as f32 / slow as f32).sin())) as u8;
        let at = 3 * ((top + y) * photograph.width + left + x);
        let photograph = [photograph.data[at], photograph.data[at + 1], photograph.data[at + 2]];
        data.extend(match kind {
            0 => [0; 3].map(|_| random.below(wild) as u8),
            1 => [wave(x), wave(y), wave(x + y)],
            2 => photograph,
            3 if (x / slow + y / slow) % 2 == 0 => [colours[0], colours[1], colours[2]],
            3 => [colours[3], colours[4], colours[5]],
            _ => photograph.map(|sample| sample.saturating_add(random.below(wild) as u8)),
        });
    }
    Rgb { width, height, data }
}

pub fn photograph() -> Rgb {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/cat.jpg");
    let picture = image::open(file).unwrap().into_rgb8();
    Rgb { width: picture.width() as usize, height: picture.height() as usize, data: picture.into_raw() }
}

/// Settings of libwebp's encoder, any of those that change what a frame has in it.
pub fn settings(random: &mut Random) -> WebPConfig {
    let mut config = WebPConfig::new().unwrap();
    let number = |random: &mut Random, n: usize| random.below(n) as c_int;
    config.quality = number(random, 101) as f32;
    config.method = number(random, 7);
    config.segments = 1 + number(random, 4);
    config.partitions = number(random, 4);
    config.sns_strength = number(random, 101);
    config.filter_strength = random.of(&[0, 5, 20, 40, 60, 80, 100]);
    config.filter_sharpness = number(random, 8);
    config.filter_type = number(random, 2);
    config.autofilter = number(random, 2);
    config.pass = 1 + number(random, 2);
    config.preprocessing = number(random, 2);
    config
}

/// A file of WebP.
pub fn encode(picture: &Rgb, config: &WebPConfig) -> Vec<u8> {
    let mut theirs = WebPPicture::new().unwrap();
    (theirs.width, theirs.height) = (picture.width as c_int, picture.height as c_int);
    let mut writer = MaybeUninit::<WebPMemoryWriter>::zeroed();
    // SAFETY: picture, configuration and writer are libwebp's own, initialised, and outlive the calls; the pixels are
    // `height` rows of `3 * width` bytes.
    unsafe {
        assert_ne!(WebPPictureImportRGB(&raw mut theirs, picture.data.as_ptr(), 3 * theirs.width), 0);
        WebPMemoryWriterInit(writer.as_mut_ptr());
        theirs.writer = Some(WebPMemoryWrite);
        theirs.custom_ptr = writer.as_mut_ptr().cast();
        assert_ne!(WebPEncode(config, &raw mut theirs), 0, "{config:?}");
        let written = writer.assume_init_mut();
        let bytes = slice::from_raw_parts(written.mem, written.size).to_vec();
        WebPMemoryWriterClear(written);
        WebPPictureFree(&raw mut theirs);
        bytes
    }
}

/// The VP8 chunk of a file that has one, in the simple layout.
pub fn frame(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|name| name == b"VP8 ").unwrap();
    let length = u32::from_le_bytes(*file[at + 4..].first_chunk().unwrap()) as usize;
    &file[at + 8..at + 8 + length]
}

pub fn cropped(data: &[u8], stride: usize, (width, height): (u32, u32)) -> Vec<u8> {
    data.chunks(stride).take(height as usize).flat_map(|line| &line[..width as usize]).copied().collect()
}

/// Y, U and V by image-webp.
pub fn by_image_webp(frame: &[u8]) -> Option<[Vec<u8>; 3]> {
    let frame = image_webp::vp8::Vp8Decoder::decode_frame(frame).ok()?;
    let (width, height) = (u32::from(frame.width), u32::from(frame.height));
    let half = (width.div_ceil(2), height.div_ceil(2));
    let across = width.div_ceil(16) as usize;
    Some([
        cropped(&frame.ybuf, 16 * across, (width, height)),
        cropped(&frame.ubuf, 8 * across, half),
        cropped(&frame.vbuf, 8 * across, half),
    ])
}
