//! Random images, streams encoded by libwebp, and decoding by libwebp and image-webp.

#![expect(dead_code, reason = "each test uses a part")]
#![expect(unsafe_code, reason = "libwebp is a C library, called only with input that these tests create")]

use std::ffi::c_int;
use std::io::Cursor;
use std::mem::MaybeUninit;
use std::slice;

use libwebp_sys::{
    WebPConfig, WebPDecodeRGBA, WebPEncode, WebPFree, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear,
    WebPMemoryWriterInit, WebPPicture, WebPPictureFree, WebPPictureImportRGBA,
};
use vp8l::Pixel;

/// A linear congruential generator (constants from Numerical Recipes), so that all runs are equal.
pub struct Random(pub u32);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

#[derive(Clone)]
pub struct Rgba {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Pixel>,
}

pub fn photograph() -> Rgba {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/cat.jpg");
    let image = image::open(file).unwrap().into_rgba8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    Rgba { width, height, pixels: image.into_raw().as_chunks().0.to_vec() }
}

/// Palettes of every size, gradients, noise, or a part of a photograph, each with or without alpha.
pub fn random_image(random: &mut Random, photograph: &Rgba, side_max: usize) -> Rgba {
    let (width, height) = (1 + random.below(side_max), 1 + random.below(side_max));
    let kind = random.below(6);
    let (left, top) = (random.below(photograph.width - width), random.below(photograph.height - height));
    let has_alpha = random.below(2) == 0;
    let colors = [2, 3, 4, 5, 15, 16, 17, 100, 256, 300][random.below(10)];
    let palette: Vec<Pixel> = (0..colors).map(|_| [(); 4].map(|()| random.byte())).collect();
    let (run, mut last) = (1 + random.below(40), 0);
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| {
        let seen = photograph.pixels[(top + y) * photograph.width + left + x];
        let [red, green, blue, alpha] = match kind {
            0 | 1 => {
                if random.below(run) == 0 {
                    last = random.below(palette.len());
                }
                palette[last]
            }
            2 => [(x * 5) as u8, (y * 3) as u8, (x + y) as u8, (x * y) as u8],
            3 => [(); 4].map(|()| random.byte()),
            4 => [seen[0], seen[1], seen[2], seen[0]],
            _ => [seen[0] & 0xF0, seen[1] & 0xF0, seen[2] & 0xF0, 255 - seen[1]],
        };
        [red, green, blue, if has_alpha { alpha } else { 255 }]
    });
    let pixels = pixels.collect();
    Rgba { width, height, pixels }
}

/// Random settings of libwebp's lossless encoder.
pub fn random_settings(random: &mut Random) -> WebPConfig {
    let mut config = WebPConfig::new().unwrap();
    config.lossless = 1;
    config.quality = random.below(101) as f32;
    config.method = random.below(7) as c_int;
    config.exact = random.below(2) as c_int;
    config
}

/// Encodes a WebP file.
pub fn encode(image: &Rgba, config: &WebPConfig) -> Vec<u8> {
    let mut picture = WebPPicture::new().unwrap();
    (picture.width, picture.height) = (image.width as c_int, image.height as c_int);
    picture.use_argb = 1;
    let mut writer = MaybeUninit::<WebPMemoryWriter>::zeroed();
    // SAFETY: picture, configuration and writer are initialized and outlive the calls. The pixels are `height` rows of
    // `4 * width` bytes.
    unsafe {
        let pixels = image.pixels.as_flattened();
        assert_ne!(WebPPictureImportRGBA(&raw mut picture, pixels.as_ptr(), 4 * picture.width), 0);
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

/// The payload of the "VP8L" chunk of a WebP file in the simple layout.
pub fn vp8l_chunk(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|name| name == b"VP8L").unwrap();
    let length = u32::from_le_bytes(*file[at + 4..].first_chunk().unwrap()) as usize;
    &file[at + 8..at + 8 + length]
}

/// A WebP file in the simple layout with this stream.
pub fn file(stream: &[u8]) -> Vec<u8> {
    let padding = &[0][..stream.len() % 2];
    let length = |n: usize| (n as u32).to_le_bytes();
    let body = [&b"WEBPVP8L"[..], &length(stream.len()), stream, padding].concat();
    [&b"RIFF"[..], &length(body.len()), &body].concat()
}

/// The pixels as decoded by libwebp. `None` if it refuses the file.
pub fn decode_with_libwebp(file: &[u8]) -> Option<Vec<Pixel>> {
    let (mut width, mut height) = (0, 0);
    // SAFETY: the length matches the slice. libwebp returns one allocation of `height` rows of `4 * width` bytes, which
    // is freed once.
    unsafe {
        let bytes = WebPDecodeRGBA(file.as_ptr(), file.len(), &raw mut width, &raw mut height);
        if bytes.is_null() {
            return None;
        }
        let pixels = slice::from_raw_parts(bytes, 4 * width as usize * height as usize).as_chunks().0.to_vec();
        WebPFree(bytes.cast());
        Some(pixels)
    }
}

/// The pixels as decoded by image-webp. `None` if it refuses the file.
pub fn decode_with_image_webp(file: &[u8]) -> Option<Vec<Pixel>> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).ok()?;
    let mut bytes = vec![0; decoder.output_buffer_size()?];
    decoder.read_image(&mut bytes).ok()?;
    Some(if decoder.has_alpha() {
        bytes.as_chunks().0.to_vec()
    } else {
        bytes.as_chunks().0.iter().map(|&[red, green, blue]| [red, green, blue, 255]).collect()
    })
}
