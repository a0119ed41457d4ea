//! Size suffixes at the end of a name, independent of paths and extensions.
//!
//! Parsing proceeds from right to left without backtracking: `@2x`, `_q80`, `_crop_top`, then the size or preset. The last
//! characters of each part distinguish it from the others, so every name has one interpretation.

use std::num::NonZeroU32;

use super::{Geometry, Quality, Region, Side};

/// The geometry and quality that a suffix specifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SizeSpec {
    pub geometry: Geometry,
    pub quality: Option<Quality>,
}

/// The suffix is valid, but a side exceeds `limits.max_side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SideTooLarge;

/// Parses suffixes with a maximum side and a set of presets.
#[derive(Debug, Clone)]
pub(super) struct Suffixes {
    side_max: u32,
    /// Longest names first, so that `photo_small_square` matches `small_square` rather than `square`.
    presets: Vec<Preset>,
}

#[derive(Debug, Clone)]
struct Preset {
    name: String,
    size: Size,
    modifiers: Modifiers,
}

impl Suffixes {
    pub(super) fn new(side_max: u32) -> Self {
        Self { side_max, presets: Vec::new() }
    }

    /// Makes `_{name}` mean `_{text}`.
    ///
    /// # Errors
    /// The name or the text is invalid, with advice for the operator.
    pub(super) fn add_preset(&mut self, name: &str, text: &str) -> Result<(), String> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || !name.bytes().all(word) {
            return Err("the name of a preset may contain ASCII letters, digits, `_` and `-`".into());
        }
        // A name that can be parsed as another part of a suffix would change the meaning of URLs without presets.
        let as_suffix = format!("a_{name}");
        let (rest, _) = Modifiers::split_trailing(&as_suffix);
        if rest != as_suffix || Size::split_trailing(rest).is_some() {
            return Err("this name can be parsed as a size, a crop or a quality; choose another name".into());
        }
        let (rest, modifiers) = Modifiers::split_trailing(text);
        let Some(("", size)) = Size::split_trailing(rest) else {
            return Err(format!(
                "{text:?} is not a size; write one such as 300x300, 300x, x300 or 300x300_crop_top_q80"
            ));
        };
        if resolve(size, modifiers, Separator::Underscore, self.side_max).is_err() {
            return Err(format!("{text:?} has a side over limits.max_side = {}", self.side_max));
        }
        self.presets.push(Preset { name: name.to_owned(), size, modifiers });
        self.presets.sort_by_key(|preset| std::cmp::Reverse(preset.name.len()));
        Ok(())
    }

    /// Splits `name` into a nonempty stem and the suffix at its end, if it has one.
    pub(super) fn parse_trailing<'t>(&self, name: &'t str) -> Option<(&'t str, Result<SizeSpec, SideTooLarge>)> {
        let (rest, modifiers) = Modifiers::split_trailing(name);
        if let Some((before, size)) = Size::split_trailing(rest) {
            let (stem, separator) = Separator::split_trailing(before)?;
            if separator == Separator::Dash && modifiers.crop.is_some() {
                return None;
            }
            return Some((stem, resolve(size, modifiers, separator, self.side_max)));
        }
        let (stem, preset) = self.presets.iter().find_map(|preset| {
            let stem = rest.strip_suffix(preset.name.as_str())?.strip_suffix('_').filter(|stem| !stem.is_empty())?;
            Some((stem, preset))
        })?;
        let modifiers = modifiers.or_preset(preset.modifiers);
        Some((stem, resolve(preset.size, modifiers, Separator::Underscore, self.side_max)))
    }

    /// Parses a whole segment, such as `300x300` or `300x300_crop_q80`.
    pub(super) fn parse_exact(&self, segment: &str) -> Option<Result<SizeSpec, SideTooLarge>> {
        let (rest, modifiers) = Modifiers::split_trailing(segment);
        let (before, size) = Size::split_trailing(rest)?;
        before.is_empty().then(|| resolve(size, modifiers, Separator::Underscore, self.side_max))
    }
}

/// Applies the modifiers and the separator to a size.
fn resolve(size: Size, modifiers: Modifiers, separator: Separator, side_max: u32) -> Result<SizeSpec, SideTooLarge> {
    let scaled = |side: Option<Side>| match side.map(|side| side.saturating_mul(modifiers.scale)) {
        Some(side) if side.get() > side_max => Err(SideTooLarge),
        side => Ok(side),
    };
    let crop = match separator {
        Separator::Underscore => modifiers.crop,
        Separator::Dash => Some(Region::Center),
    };
    let geometry = match (scaled(size.width)?, scaled(size.height)?, crop) {
        (Some(width), Some(height), Some(region)) => Geometry::Crop { width, height, region },
        // With a free side the image fits exactly, so a crop is the same variant as a fit.
        (width, height, _) => Geometry::Fit { width, height },
    };
    Ok(SizeSpec { geometry, quality: modifiers.quality })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// Like Shopify: fits inside the size unless `_crop` follows.
    Underscore,
    /// Like WordPress: crops to exactly the size.
    Dash,
}

impl Separator {
    fn split_trailing(text: &str) -> Option<(&str, Self)> {
        let (stem, separator) = match text.strip_suffix('_') {
            Some(stem) => (stem, Self::Underscore),
            None => (text.strip_suffix('-')?, Self::Dash),
        };
        (!stem.is_empty()).then_some((stem, separator))
    }
}

/// `{W}x{H}`, `{W}x` or `x{H}` as written, neither scaled nor limited yet. It has at least one side.
#[derive(Debug, Clone, Copy)]
struct Size {
    width: Option<Side>,
    height: Option<Side>,
}

impl Size {
    fn split_trailing(text: &str) -> Option<(&str, Self)> {
        let start = text.trim_end_matches(|c: char| c == 'x' || c.is_ascii_digit()).len();
        let (before, size) = text.split_at_checked(start)?;
        let (width, height) = size.split_once('x')?;
        let size = Self { width: Self::side(width)?, height: Self::side(height)? };
        (size.width.is_some() || size.height.is_some()).then_some((before, size))
    }

    /// Parses a side: `Some(None)` if it is free, `None` if it is invalid because of a leading zero or a second `x`.
    fn side(digits: &str) -> Option<Option<Side>> {
        if digits.is_empty() {
            return Some(None);
        }
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A number that overflows is larger than any limit.
        Some(Some(digits.parse().unwrap_or(NonZeroU32::MAX)))
    }
}

/// The parts of a suffix after the size.
#[derive(Debug, Clone, Copy)]
struct Modifiers {
    crop: Option<Region>,
    quality: Option<Quality>,
    scale: NonZeroU32,
}

impl Modifiers {
    /// Splits the modifiers off the end of `text`, if it has any.
    fn split_trailing(text: &str) -> (&str, Self) {
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
        // Most names end in a digit or an `x` and need no further comparison.
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

    /// Takes missing modifiers from a preset. The scales multiply.
    fn or_preset(self, preset: Self) -> Self {
        Self {
            crop: self.crop.or(preset.crop),
            quality: self.quality.or(preset.quality),
            scale: self.scale.saturating_mul(preset.scale),
        }
    }
}
