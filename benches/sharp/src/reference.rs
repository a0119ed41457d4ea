//! Reference images: the original decoded at full size, converted to sRGB, made upright, and scaled with Lanczos in
//! floating point, gamma-encoded or in linear light. Uses none of the code that is measured.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::Cursor;

use anyhow::Context;
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder, ImageReader, Rgba32FImage, RgbaImage};
use moxcms::{ColorProfile, Layout, TransformOptions};
use ssimulacra2::{LinearRgb, compute_frame_ssimulacra2};

#[derive(Debug, Default)]
pub(crate) struct References {
    /// The last original, upright. A comparison requests all sizes of one original before it continues with the next.
    original: Option<(String, Rgba32FImage)>,
    /// By size, and by whether it was scaled in linear light.
    scaled: HashMap<((u32, u32), bool), Rgba32FImage>,
}

impl References {
    /// Computes the ssimulacra2 score of the PNG `made` against the reference made from `file`.
    pub(crate) fn score(&mut self, file: &str, made: &str, linear_light: bool) -> anyhow::Result<f64> {
        let made = image::open(made).context(made.to_owned())?.into_rgba32f();
        if self.original.as_ref().is_none_or(|(name, _)| name != file) {
            self.original = Some((file.to_owned(), upright(&fs::read(file)?)?));
            self.scaled.clear();
        }
        let (_, original) = self.original.as_ref().context("no original")?;
        let size = made.dimensions();
        let reference = match self.scaled.entry((size, linear_light)) {
            Entry::Occupied(scaled) => scaled.into_mut(),
            Entry::Vacant(none) => none.insert(scaled(original, size, linear_light)?),
        };
        Ok(compute_frame_ssimulacra2(linear(reference)?, linear(&made)?)?)
    }
}

fn upright(bytes: &[u8]) -> anyhow::Result<Rgba32FImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let (profile, orientation) = (decoder.icc_profile()?, decoder.orientation()?);
    let mut image = DynamicImage::from_decoder(decoder)?;
    if let Some(profile) = profile
        && image.color().has_color()
    {
        image = to_srgb(image, &ColorProfile::new_from_slice(&profile)?)?;
    }
    image.apply_orientation(orientation);
    Ok(image.into_rgba32f())
}

fn to_srgb(image: DynamicImage, profile: &ColorProfile) -> anyhow::Result<DynamicImage> {
    let (to, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = profile.create_transform_8bit(Layout::Rgba, &to, Layout::Rgba, options)?;
    let pixels = image.into_rgba8();
    let (width, height) = pixels.dimensions();
    let mut converted = vec![0; pixels.len()];
    transform.transform(&pixels, &mut converted)?;
    Ok(RgbaImage::from_raw(width, height, converted).context("the image has another size")?.into())
}

fn scaled(original: &Rgba32FImage, (width, height): (u32, u32), linear_light: bool) -> anyhow::Result<Rgba32FImage> {
    let colors = |[red, green, blue, alpha]: [f32; 4], by: fn(f32) -> f32| {
        if linear_light { [by(red), by(green), by(blue), alpha] } else { [red, green, blue, alpha] }
    };
    let samples = original.pixels().flat_map(|pixel| colors(pixel.0, to_light)).flat_map(f32::to_ne_bytes).collect();
    let source = Image::from_vec_u8(original.width(), original.height(), samples, PixelType::F32x4)?;
    let mut target = Image::new(width, height, PixelType::F32x4);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&source, &mut target, &options)?;
    let bytes = target.into_vec();
    let pixels = bytes.as_chunks::<16>().0.iter().map(|pixel| {
        let sample =
            |n: usize| f32::from_ne_bytes([pixel[4 * n], pixel[4 * n + 1], pixel[4 * n + 2], pixel[4 * n + 3]]);
        colors([0, 1, 2, 3].map(sample), from_light)
    });
    Rgba32FImage::from_raw(width, height, pixels.flatten().collect()).context("the image has another size")
}

/// The transfer function of sRGB (IEC 61966-2-1).
fn to_light(sample: f32) -> f32 {
    let sample = sample.clamp(0.0, 1.0);
    if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
}

/// The inverse of [`to_light`].
fn from_light(light: f32) -> f32 {
    let light = light.clamp(0.0, 1.0);
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

/// Converts to linear light, blended onto mid-gray, as the metric requires.
fn linear(image: &Rgba32FImage) -> anyhow::Result<LinearRgb> {
    let blended = |sample: f32, alpha: f32| to_light(sample * alpha + 0.5 * (1.0 - alpha));
    let pixels = image.pixels().map(|pixel| {
        let [red, green, blue, alpha] = pixel.0;
        [blended(red, alpha), blended(green, alpha), blended(blue, alpha)]
    });
    let (width, height) = (usize::try_from(image.width())?, usize::try_from(image.height())?);
    LinearRgb::new(pixels.collect(), width, height).map_err(|error| anyhow::anyhow!("{error}"))
}
