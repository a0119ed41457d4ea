//! Size suffixes, read off the end of a name. Knows neither paths nor extensions.
//!
//! Reading goes from right to left and never goes back: `@2x`, then `_q80`, then `_crop_top`, then the size or preset.
//! Each part can be told from the others by its last characters, so there is one way to read any name.

use std::num::NonZeroU32;

use super::{Geometry, Quality, Region, Side};

/// What a suffix asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub geometry: Geometry,
    pub quality: Option<Quality>,
}

/// It reads as a suffix, but a side is longer than `limits.max_side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SideTooLarge;

/// Reads suffixes within one longest side and one set of presets.
#[derive(Debug, Clone)]
pub(super) struct Suffixes {
    side_max: u32,
    /// Longest names first: of `square` and `small_square`, `photo_small_square` means the latter.
    presets: Vec<(String, Size, Options)>,
}

impl Suffixes {
    pub(super) fn new(side_max: u32) -> Self {
        Self { side_max, presets: Vec::new() }
    }

    /// Makes `_{name}` mean `_{text}`.
    ///
    /// # Errors
    /// What is wrong with the name or the text, as a sentence for the operator.
    pub(super) fn add_preset(&mut self, name: &str, text: &str) -> Result<(), String> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || !name.bytes().all(word) {
            return Err("a preset's name is made of ASCII letters, digits, `_` and `-`".into());
        }
        // Were it readable as another part of a suffix, it would change what URLs without presets mean.
        let as_suffix = format!("a_{name}");
        let (rest, _) = Options::off_the_end(&as_suffix);
        if rest != as_suffix || Size::off_the_end(rest).is_some() {
            return Err("this name reads as a size, a crop or a quality; choose another".into());
        }
        let (rest, options) = Options::off_the_end(text);
        let Some(("", size)) = Size::off_the_end(rest) else {
            return Err(format!("{text:?} is no size; write one such as 300x300, 300x, x300 or 300x300_crop_top_q80"));
        };
        if ask(size, options, Separator::Underscore, self.side_max).is_err() {
            return Err(format!("{text:?} has a side over limits.max_side = {}", self.side_max));
        }
        self.presets.push((name.to_owned(), size, options));
        self.presets.sort_by_key(|(name, ..)| std::cmp::Reverse(name.len()));
        Ok(())
    }

    /// Splits `name` into a stem, never empty, and the suffix at its end; `None` where there is no suffix.
    pub(super) fn at_the_end<'t>(&self, name: &'t str) -> Option<(&'t str, Result<Ask, SideTooLarge>)> {
        let (rest, options) = Options::off_the_end(name);
        if let Some((before, size)) = Size::off_the_end(rest) {
            let (stem, separator) = Separator::off_the_end(before)?;
            if separator == Separator::Dash && options.crop.is_some() {
                return None;
            }
            return Some((stem, ask(size, options, separator, self.side_max)));
        }
        let (stem, size, preset) = self.presets.iter().find_map(|(name, size, preset)| {
            let stem = rest.strip_suffix(name.as_str())?.strip_suffix('_').filter(|stem| !stem.is_empty())?;
            Some((stem, *size, *preset))
        })?;
        Some((stem, ask(size, options.over(preset), Separator::Underscore, self.side_max)))
    }

    /// Reads a whole segment, such as `300x300` or `300x300_crop_q80`, as it stands between two slashes.
    pub(super) fn whole(&self, segment: &str) -> Option<Result<Ask, SideTooLarge>> {
        let (rest, options) = Options::off_the_end(segment);
        let (before, size) = Size::off_the_end(rest)?;
        before.is_empty().then(|| ask(size, options, Separator::Underscore, self.side_max))
    }
}

/// How many pixels a size means once everything beside it has been read.
fn ask(size: Size, options: Options, separator: Separator, side_max: u32) -> Result<Ask, SideTooLarge> {
    let scaled = |side: Option<Side>| match side.map(|side| side.saturating_mul(options.scale)) {
        Some(side) if side.get() > side_max => Err(SideTooLarge),
        side => Ok(side),
    };
    let crop = match separator {
        Separator::Underscore => options.crop,
        Separator::Dash => Some(Region::Center),
    };
    let geometry = match (scaled(size.width)?, scaled(size.height)?, crop) {
        (Some(width), Some(height), Some(region)) => Geometry::Crop { width, height, region },
        // With a free side nothing stands out of the box, so a crop of it is the same variant as a fit.
        (width, height, _) => Geometry::Fit { width, height },
    };
    Ok(Ask { geometry, quality: options.quality })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// Shopify: fit inside the box unless `_crop` follows.
    Underscore,
    /// WordPress: these are the output's dimensions.
    Dash,
}

impl Separator {
    fn off_the_end(text: &str) -> Option<(&str, Self)> {
        let (stem, separator) = match text.strip_suffix('_') {
            Some(stem) => (stem, Self::Underscore),
            None => (text.strip_suffix('-')?, Self::Dash),
        };
        (!stem.is_empty()).then_some((stem, separator))
    }
}

/// `{W}x{H}`, `{W}x` or `x{H}` as written: at least one side, not yet scaled or held against the limit.
#[derive(Debug, Clone, Copy)]
struct Size {
    width: Option<Side>,
    height: Option<Side>,
}

impl Size {
    fn off_the_end(text: &str) -> Option<(&str, Self)> {
        let start = text.trim_end_matches(|c: char| c == 'x' || c.is_ascii_digit()).len();
        let (before, size) = text.split_at_checked(start)?;
        let (width, height) = size.split_once('x')?;
        let size = Self { width: Self::side(width)?, height: Self::side(height)? };
        (size.width.is_some() || size.height.is_some()).then_some((before, size))
    }

    /// `Some(None)` is a free side; `None` is not a side: a leading zero or a second `x`.
    fn side(digits: &str) -> Option<Option<Side>> {
        if digits.is_empty() {
            return Some(None);
        }
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // More digits than fit are still a side, one that is too large.
        Some(Some(digits.parse().unwrap_or(NonZeroU32::MAX)))
    }
}

/// What may follow a size.
#[derive(Debug, Clone, Copy)]
struct Options {
    crop: Option<Region>,
    quality: Option<Quality>,
    scale: NonZeroU32,
}

impl Options {
    /// Never fails: where nothing follows, everything is left to be read as a size.
    fn off_the_end(text: &str) -> (&str, Self) {
        let (rest, scale) = Self::scale(text).unwrap_or((text, NonZeroU32::MIN));
        let (rest, quality) = Self::quality(rest).map_or((rest, None), |(rest, quality)| (rest, Some(quality)));
        let (rest, crop) = Self::crop(rest).map_or((rest, None), |(rest, crop)| (rest, Some(crop)));
        (rest, Self { crop, quality, scale })
    }

    fn scale(text: &str) -> Option<(&str, NonZeroU32)> {
        let (rest, scale) = text.strip_suffix('x')?.rsplit_once('@')?;
        let scale = match scale {
            "2" => 2,
            "3" => 3,
            _ => return None,
        };
        Some((rest, NonZeroU32::new(scale)?))
    }

    fn quality(text: &str) -> Option<(&str, Quality)> {
        let rest = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = text.get(rest.len()..).filter(|digits| !digits.is_empty() && !digits.starts_with('0'))?;
        Some((rest.strip_suffix("_q")?, Quality::new(digits.parse().ok()?)?))
    }

    fn crop(text: &str) -> Option<(&str, Region)> {
        // Most names end in a digit or an `x`, and are told apart here.
        if !text.ends_with(['p', 'r', 'm', 't']) {
            return None;
        }
        if let Some(rest) = text.strip_suffix("_crop") {
            return Some((rest, Region::default()));
        }
        Region::ALL.into_iter().find_map(|region| {
            let rest = text.strip_suffix(region.as_str())?.strip_suffix("_crop_")?;
            Some((rest, region))
        })
    }

    /// What the URL says goes before what the preset says; scales multiply.
    fn over(self, preset: Self) -> Self {
        Self {
            crop: self.crop.or(preset.crop),
            quality: self.quality.or(preset.quality),
            scale: self.scale.saturating_mul(preset.scale),
        }
    }
}
