//! Colours as screens show them: what an ICC profile says, made sRGB; inks made light.
//!
//! Variants carry no profile, so their samples have to mean sRGB, which is what a picture without one means everywhere.
//! Samples are converted after they have been scaled, when there are fewest of them. The order shows only at hard edges
//! between strong colours, where a mean of P3's samples made sRGB is not the mean of sRGB's samples; the former is the
//! nearer to the mean of the light (held by a test), and what lies beyond sRGB's gamut is cut off once, not in each
//! sample. Inks are scaled likewise, as four channels none of which is alpha.
//!
//! A profile that is damaged, larger than [`PROFILE_BYTES_MAX`], or for another number of channels than the picture has
//! is passed over, as browsers do: the picture is worth more than its profile.

use std::sync::Arc;

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, ParsingOptions,
    RenderingIntent, TransferCharacteristics, TransformExecutor, TransformOptions,
};

use crate::pixels::Pixels;

/// Beyond those of printing presses, which have 0.5 to 3 MB, nothing is left to say.
pub(crate) const PROFILE_BYTES_MAX: usize = 4 << 20;

type Transform = Arc<dyn TransformExecutor<u8> + Send + Sync>;

/// How decoded samples become sRGB.
pub(crate) enum Conversion {
    /// They are already, or nothing says otherwise.
    None,
    /// Grey by a table, with or without alpha.
    Grey(Box<[u8; 256]>),
    /// Red, green and blue, with or without alpha.
    Rgb { three: Transform, four: Transform },
    /// Cyan, magenta, yellow and black, 255 being all of an ink, by a profile or else by [`light`].
    Ink(Option<Transform>),
}

impl Conversion {
    /// What `profile` asks for, for a picture of light in `channels` (1 to 4, the last of 2 and 4 being alpha).
    pub(crate) fn of_light(profile: Option<&[u8]>, channels: u8) -> Self {
        let Some(profile) = profile.and_then(read) else { return Self::None };
        match (profile.color_space, channels) {
            (DataColorSpace::Gray, 1 | 2) => grey(&profile, Layout::Gray).map_or(Self::None, Self::Grey),
            (DataColorSpace::Rgb, 3 | 4) => rgb(&profile).unwrap_or(Self::None),
            _ => Self::None,
        }
    }

    /// What `profile` asks for, for luma alone with or without alpha. AVIF's luma may have a profile of three colours, all of
    /// which it is then.
    pub(crate) fn of_monochrome(profile: &[u8]) -> Self {
        let Some(profile) = read(profile) else { return Self::None };
        let layout = match profile.color_space {
            DataColorSpace::Gray => Layout::Gray,
            DataColorSpace::Rgb => Layout::Rgb,
            _ => return Self::None,
        };
        grey(&profile, layout).map_or(Self::None, Self::Grey)
    }

    /// What primaries ask for by their number (ITU-T H.273 table 2), for red, green and blue on sRGB's curve.
    pub(crate) fn of_primaries(primaries: u16) -> Self {
        of_primaries(primaries).as_ref().and_then(rgb).unwrap_or(Self::None)
    }

    /// What `profile` asks for, for a picture of inks.
    pub(crate) fn of_ink(profile: Option<&[u8]>) -> Self {
        let profile = profile.and_then(read).filter(|profile| profile.color_space == DataColorSpace::Cmyk);
        Self::Ink(profile.and_then(|profile| transform(&profile, Layout::Rgba, Layout::Rgb)))
    }

    /// Whether the samples stay as they are.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether the last of two or four channels is alpha, and premultiplied while it is scaled.
    pub(crate) fn has_alpha(&self) -> bool {
        !matches!(self, Self::Ink(_))
    }

    /// The samples as sRGB; grey stays grey.
    pub(crate) fn apply(&self, mut pixels: Pixels) -> Pixels {
        match self {
            Self::None => pixels,
            Self::Grey(table) => {
                for pixel in pixels.data.chunks_exact_mut(usize::from(pixels.channels)) {
                    pixel[0] = table[usize::from(pixel[0])];
                }
                pixels
            }
            Self::Rgb { three, four } => {
                let transform = if pixels.channels == 4 { four } else { three };
                let mut data = vec![0; pixels.data.len()];
                // It fails only on lengths that do not fit one another; then the samples stay as they are.
                match transform.transform(&pixels.data, &mut data) {
                    Ok(()) => Pixels { data, ..pixels },
                    Err(_) => pixels,
                }
            }
            Self::Ink(transform) => {
                let mut data = vec![0; pixels.data.len() / 4 * 3];
                let converted = transform.as_ref().is_some_and(|by| by.transform(&pixels.data, &mut data).is_ok());
                if !converted {
                    for (ink, rgb) in pixels.data.chunks_exact(4).zip(data.chunks_exact_mut(3)) {
                        rgb.copy_from_slice(&light([ink[0], ink[1], ink[2], ink[3]]));
                    }
                }
                Pixels { data, channels: 3, ..pixels }
            }
        }
    }
}

/// Inks without a profile: each lets through what it does not cover, and black darkens all three alike. It is what
/// browsers show for such a picture.
fn light([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let through = |ink: u8| {
        let product = u16::from(255 - ink) * u16::from(255 - black);
        u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
    };
    [through(cyan), through(magenta), through(yellow)]
}

fn read(profile: &[u8]) -> Option<ColorProfile> {
    let options = ParsingOptions { max_profile_size: PROFILE_BYTES_MAX, ..ParsingOptions::default() };
    ColorProfile::new_from_slice_with_options(profile, options).ok()
}

fn transform(from: &ColorProfile, layout: Layout, to: Layout) -> Option<Transform> {
    // Perceptual: what the profile's maker means to look right. Profiles of screens have one way only.
    let options = TransformOptions { rendering_intent: RenderingIntent::Perceptual, ..TransformOptions::default() };
    from.create_transform_8bit(layout, &ColorProfile::new_srgb(), to, options).ok()
}

/// A profile of sRGB's curve and the primaries of that number; `None` for sRGB's own, and where nothing is said.
pub(crate) fn of_primaries(primaries: u16) -> Option<ColorProfile> {
    let primaries = CicpColorPrimaries::try_from(u8::try_from(primaries).ok()?).ok()?;
    if matches!(primaries, CicpColorPrimaries::Bt709 | CicpColorPrimaries::Unspecified | CicpColorPrimaries::Reserved) {
        return None;
    }
    Some(ColorProfile::new_from_cicp(CicpProfile {
        color_primaries: primaries,
        transfer_characteristics: TransferCharacteristics::Srgb,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    }))
}

/// Each grey's place on sRGB's curve; `None` where that is where it was.
fn grey(profile: &ColorProfile, layout: Layout) -> Option<Box<[u8; 256]>> {
    let transform = transform(profile, layout, Layout::Rgb)?;
    let greys: Vec<u8> = (0..=u8::MAX).collect();
    let mut colours = vec![0; 3 * greys.len()];
    let samples = greys.iter().flat_map(|grey| std::iter::repeat_n(*grey, layout.channels())).collect::<Vec<_>>();
    transform.transform(&samples, &mut colours).ok()?;
    let mut table = Box::new([0; 256]);
    for (to, colour) in table.iter_mut().zip(colours.chunks_exact(3)) {
        *to = colour[1];
    }
    let changes = table.iter().zip(&greys).any(|(to, from)| to.abs_diff(*from) > 1);
    changes.then_some(table)
}

/// `None` for sRGB by whatever name: a profile that moves no colour by more than one level in 255. Many files carry
/// some maker's own copy of sRGB, and none of them is worth a conversion.
fn rgb(profile: &ColorProfile) -> Option<Conversion> {
    let three = transform(profile, Layout::Rgb, Layout::Rgb)?;
    const STEPS: [u8; 6] = [0, 51, 102, 153, 204, 255];
    let samples: Vec<u8> = (0..216).flat_map(|n: usize| [STEPS[n % 6], STEPS[n / 6 % 6], STEPS[n / 36]]).collect();
    let mut converted = vec![0; samples.len()];
    three.transform(&samples, &mut converted).ok()?;
    if samples.iter().zip(&converted).all(|(from, to)| from.abs_diff(*to) <= 1) {
        return None;
    }
    let four = transform(profile, Layout::Rgba, Layout::Rgba)?;
    Some(Conversion::Rgb { three, four })
}
