//! What a variant should look like: the original decoded whole, made sRGB, turned upright, and scaled by Lanczos in
//! floating point; without any of the product's own code.

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
    /// The last original, upright; a comparison asks for all sizes of one before it goes to the next.
    original: Option<(String, Rgba32FImage)>,
    scaled: HashMap<(u32, u32), Rgba32FImage>,
}

impl References {
    /// How near the PNG `made` is to what it should be of the original `file`.
    pub(crate) fn score(&mut self, file: &str, made: &str) -> anyhow::Result<f64> {
        let made = image::open(made).context(made.to_owned())?.into_rgba32f();
        if self.original.as_ref().is_none_or(|(name, _)| name != file) {
            self.original = Some((file.to_owned(), upright(&fs::read(file)?)?));
            self.scaled.clear();
        }
        let (_, original) = self.original.as_ref().context("no original")?;
        let size = made.dimensions();
        let reference = match self.scaled.entry(size) {
            Entry::Occupied(scaled) => scaled.into_mut(),
            Entry::Vacant(none) => none.insert(scaled(original, size)?),
        };
        Ok(compute_frame_ssimulacra2(linear(reference)?, linear(&made)?)?)
    }
}

fn upright(bytes: &[u8]) -> anyhow::Result<Rgba32FImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let (profile, orientation) = (decoder.icc_profile()?, decoder.orientation()?);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    if let Some(profile) = profile
        && picture.color().has_color()
    {
        picture = in_srgb(picture, &ColorProfile::new_from_slice(&profile)?)?;
    }
    picture.apply_orientation(orientation);
    Ok(picture.into_rgba32f())
}

fn in_srgb(picture: DynamicImage, profile: &ColorProfile) -> anyhow::Result<DynamicImage> {
    let (to, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = profile.create_transform_8bit(Layout::Rgba, &to, Layout::Rgba, options)?;
    let pixels = picture.into_rgba8();
    let (width, height) = pixels.dimensions();
    let mut converted = vec![0; pixels.len()];
    transform.transform(&pixels, &mut converted)?;
    Ok(RgbaImage::from_raw(width, height, converted).context("a picture of another size")?.into())
}

fn scaled(original: &Rgba32FImage, (width, height): (u32, u32)) -> anyhow::Result<Rgba32FImage> {
    let samples: Vec<u8> = original.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
    let source = Image::from_vec_u8(original.width(), original.height(), samples, PixelType::F32x4)?;
    let mut target = Image::new(width, height, PixelType::F32x4);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&source, &mut target, &options)?;
    let samples = target.into_vec().as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
    Rgba32FImage::from_raw(width, height, samples).context("a picture of another size")
}

/// Light on mid-grey, as the metric wants it.
fn linear(picture: &Rgba32FImage) -> anyhow::Result<LinearRgb> {
    let light = |sample: f32| {
        let sample = sample.clamp(0.0, 1.0);
        if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
    };
    let laid = |sample: f32, alpha: f32| light(sample * alpha + 0.5 * (1.0 - alpha));
    let pixels = picture.pixels().map(|pixel| {
        let [red, green, blue, alpha] = pixel.0;
        [laid(red, alpha), laid(green, alpha), laid(blue, alpha)]
    });
    let (width, height) = (usize::try_from(picture.width())?, usize::try_from(picture.height())?);
    LinearRgb::new(pixels.collect(), width, height).map_err(|error| anyhow::anyhow!("{error}"))
}
