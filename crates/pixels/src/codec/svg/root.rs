//! The root element of an SVG: its size in CSS pixels.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::{Error, damaged};
use crate::size_limits::SIDE_MAX;

/// Length of the part of a file in which the root element must end. It bounds the memory of the reader.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Width and height of a replaced element without a size (CSS 2.2, section 10.3.2).
const DEFAULT: NominalSize = NominalSize { width: 300.0, height: 150.0 };

/// Range of a side in CSS pixels. The renderer calculates in 32 bits.
const SIDES: std::ops::RangeInclusive<f64> = 1e-3..=1e7;

/// The size of a picture in CSS pixels, of which the renderer needs only the ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NominalSize {
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl NominalSize {
    /// The size in whole pixels.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the values are in the range")]
    pub(crate) fn pixels(self) -> (u32, u32) {
        let side = |length: f64| length.round().clamp(1.0, f64::from(SIDE_MAX)) as u32;
        (side(self.width), side(self.height))
    }
}

/// Reads the size from the attributes `width`, `height` and `viewBox` (SVG 2, sections 5.1 and 8.2). Relative lengths refer
/// to the view box or, without one, to 300 x 150.
///
/// # Errors
/// The first element is not `svg` or does not end in the first 64 KiB, or the size is impossible.
pub(crate) fn read(original: &[u8]) -> Result<NominalSize, Error> {
    let head = &original[..original.len().min(HEAD_BYTES_MAX)];
    let mut reader = Reader::from_reader(head);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element) | Event::Empty(element)) if element.local_name().as_ref() == b"svg" => {
                return size(&element);
            }
            Ok(Event::Start(_) | Event::Empty(_) | Event::End(_)) => {
                return Err(damaged("its root element is not svg"));
            }
            Ok(Event::Eof) => return Err(damaged("it has no root element in its first 64 KiB")),
            Ok(_) => {}
            Err(error) => return Err(damaged(format!("its first 64 KiB are not XML: {error}"))),
        }
    }
}

fn size(root: &BytesStart<'_>) -> Result<NominalSize, Error> {
    let (mut width, mut height, mut view_box) = (None, None, None);
    for attribute in root.attributes().with_checks(false).flatten() {
        let Ok(value) = std::str::from_utf8(&attribute.value) else { continue };
        match attribute.key.as_ref() {
            b"width" => width = Length::parse(value),
            b"height" => height = Length::parse(value),
            b"viewBox" => view_box = parse_view_box(value),
            _ => {}
        }
    }
    let whole = view_box.unwrap_or(DEFAULT);
    let size = match (width, height, view_box) {
        (Some(width), None, Some(view_box)) => {
            let width = width.resolve(view_box.width);
            NominalSize { width, height: width * view_box.height / view_box.width }
        }
        (None, Some(height), Some(view_box)) => {
            let height = height.resolve(view_box.height);
            NominalSize { width: height * view_box.width / view_box.height, height }
        }
        _ => NominalSize {
            width: width.map_or(whole.width, |width| width.resolve(whole.width)),
            height: height.map_or(whole.height, |height| height.resolve(whole.height)),
        },
    };
    if !SIDES.contains(&size.width) || !SIDES.contains(&size.height) {
        return Err(damaged(format!("its width and height must be from {} to {}", SIDES.start(), SIDES.end())));
    }
    Ok(size)
}

/// Width and height of a view box: the third and fourth of four numbers.
fn parse_view_box(value: &str) -> Option<NominalSize> {
    let numbers = value.split([' ', '\t', '\r', '\n', ',']).filter(|number| !number.is_empty());
    let numbers: Vec<f64> = numbers.take(5).map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [_, _, width, height] = numbers[..] else { return None };
    (width > 0.0 && height > 0.0).then_some(NominalSize { width, height })
}

/// A length of CSS.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Length {
    Pixels(f64),
    Percent(f64),
}

impl Length {
    /// `None` if the value is not a length with a known unit.
    fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let is_number = |(_, c): &(usize, char)| !matches!(c, '0'..='9' | '.' | '+' | '-');
        let mut end = value.char_indices().find(is_number).map_or(value.len(), |(at, _)| at);
        // An exponent is a letter e before a digit or a sign; otherwise it begins the unit em or ex.
        if let Some(exponent) = value[end..].strip_prefix(['e', 'E'])
            && exponent.starts_with(|c: char| matches!(c, '0'..='9' | '+' | '-'))
        {
            let digits = exponent.char_indices().find(is_number).map_or(exponent.len(), |(at, _)| at);
            end += 1 + digits;
        }
        let (number, unit) = value.split_at(end);
        let number: f64 = number.parse().ok()?;
        let pixels = match unit.trim() {
            "" | "px" => 1.0,
            "in" => 96.0,
            "cm" => 96.0 / 2.54,
            "mm" => 96.0 / 25.4,
            "pt" => 96.0 / 72.0,
            "pc" => 16.0,
            "em" => FONT_SIZE,
            "ex" => FONT_SIZE / 2.0,
            "%" => return Some(Self::Percent(number)),
            _ => return None,
        };
        Some(Self::Pixels(number * pixels))
    }

    fn resolve(self, whole: f64) -> f64 {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Percent(percent) => whole * percent / 100.0,
        }
    }
}

/// The font size in pixels to which relative units refer.
pub(crate) const FONT_SIZE: f64 = 16.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_attributes_of_the_root_element() {
        let table = [
            ("width='20' height='10'", (20.0, 10.0)),
            ("width='1in' height='2.54cm'", (96.0, 96.0)),
            ("width='72pt' height='1pc'", (96.0, 16.0)),
            ("width='2em' height='1e1'", (32.0, 10.0)),
            ("width=' 20px ' height='10' viewBox='0 0 5 5'", (20.0, 10.0)),
            ("viewBox='-1,-1 40 30'", (40.0, 30.0)),
            ("width='100%' height='100%' viewBox='0 0 40 30'", (40.0, 30.0)),
            ("width='20' viewBox='0 0 40 30'", (20.0, 15.0)),
            ("height='15' viewBox='0 0 40 30'", (20.0, 15.0)),
            ("width='50%'", (150.0, 150.0)),
            ("width='auto' height='&entity;'", (300.0, 150.0)),
            ("viewBox='0 0 0 0'", (300.0, 150.0)),
            ("", (300.0, 150.0)),
        ];
        for (attributes, expected) in table {
            let text = format!("<?xml version='1.0'?><!-- - --><!DOCTYPE svg [<!ENTITY a 'b'>]><s:svg {attributes}/>");
            let size = read(text.as_bytes()).unwrap();
            let is_near = (size.width - expected.0).abs() < 1e-9 && (size.height - expected.1).abs() < 1e-9;
            assert!(is_near, "{attributes}: {size:?}");
        }
    }

    #[test]
    fn impossible_sizes_and_other_files_are_refused() {
        for text in [
            "<svg width='0' height='1'/>",
            "<svg width='-5' height='1'/>",
            "<svg width='1e30' height='1'/>",
            "<svg width='1' height='1e-9'/>",
            "<html/>",
            "",
            "<svg",
            "text",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let late = format!("<!--{}--><svg/>", " ".repeat(HEAD_BYTES_MAX));
        assert!(read(late.as_bytes()).is_err());
    }
}
