//! Content negotiation: the output format that the `Accept` header prefers (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use crate::support::field_value::{is_token, split_unquoted};
use crate::variant::Format;

/// The format of `offers` with the highest weight in `Accept`; the first of several with equal weights. `None` if
/// `Accept` names no offered format, or weights all of them lower than `own`, the format in the URL.
///
/// An offer must be named, because clients that support only old formats send `image/*` and `*/*` too.
pub(in crate::proxy) fn negotiate(
    request: &HeaderMap,
    offers: impl Iterator<Item = Format>,
    own: Format,
) -> Option<Format> {
    let headers = request.get_all(ACCEPT);
    let ranges = || headers.iter().filter_map(|value| value.to_str().ok()).flat_map(MediaRanges);
    let mut best: Option<(Format, u16)> = None;
    for offer in offers {
        // The first of several ranges for one type counts.
        let range = ranges().find(|range| range.specificity(offer.media_type()) == Some(Specificity::Type));
        let weight = range.map_or(0, |range| range.weight);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((offer, weight));
        }
    }
    let (format, weight) = best?;
    let matching = ranges().filter_map(|range| Some((range.specificity(own.media_type())?, range.weight)));
    let own_weight = matching.reduce(|best, next| if next.0 > best.0 { next } else { best }).map_or(0, |(_, own)| own);
    (weight >= own_weight).then_some(format)
}

/// A media range with its weight in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MediaRange<'a> {
    media_type: &'a str,
    /// True if the range has other parameters than its weight. Our media types have none, so it matches none of them.
    has_parameters: bool,
    weight: u16,
}

/// How exactly a range names a media type. More exact ranges take precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// `*/*`
    Any,
    /// `image/*`
    Subtypes,
    /// `image/webp`
    Type,
}

impl MediaRange<'_> {
    fn specificity(&self, media_type: &str) -> Option<Specificity> {
        if self.has_parameters {
            return None;
        }
        if self.media_type.eq_ignore_ascii_case(media_type) {
            return Some(Specificity::Type);
        }
        let (main, _) = media_type.split_once('/')?;
        match self.media_type.strip_suffix("/*")? {
            "*" => Some(Specificity::Any),
            range if range.eq_ignore_ascii_case(main) => Some(Specificity::Subtypes),
            _ => None,
        }
    }
}

/// The valid ranges in a header line. An invalid one is skipped.
struct MediaRanges<'a>(&'a str);

impl<'a> Iterator for MediaRanges<'a> {
    type Item = MediaRange<'a>;

    fn next(&mut self) -> Option<MediaRange<'a>> {
        while !self.0.is_empty() {
            let element = split_off(&mut self.0, b',');
            if let Some(range) = media_range(element) {
                return Some(range);
            }
        }
        None
    }
}

fn media_range(mut element: &str) -> Option<MediaRange<'_>> {
    let media_type = trim(split_off(&mut element, b';'));
    if !media_type.split_once('/').is_some_and(|(main, sub)| is_token(main) && is_token(sub)) {
        return None;
    }
    let mut range = MediaRange { media_type, has_parameters: false, weight: 1000 };
    let mut has_weight = false;
    while !element.is_empty() {
        let parameter = trim(split_off(&mut element, b';'));
        if parameter.is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=')?;
        if !name.eq_ignore_ascii_case("q") {
            if !is_token(name) || !(is_token(value) || is_quoted(value)) {
                return None;
            }
            range.has_parameters = true;
        } else if std::mem::replace(&mut has_weight, true) {
            return None;
        } else {
            range.weight = weight(value)?;
        }
    }
    Some(range)
}

/// Parses a weight (section 12.4.2): 0 to 1 with at most three decimals. Returns thousandths.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = decimals.bytes().zip([100, 10, 1]).map(|(digit, place)| u16::from(digit - b'0') * place).sum();
    match whole {
        "0" => Some(thousandths),
        "1" => (thousandths == 0).then_some(1000),
        _ => None,
    }
}

/// Removes and returns the text before the first `separator` outside quoted strings, and removes the separator.
fn split_off<'a>(text: &mut &'a str, separator: u8) -> &'a str {
    let (before, after) = split_unquoted(text, separator);
    *text = after.unwrap_or_default();
    before
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// True for one complete quoted string. [`split_off`] has paired the quotes.
fn is_quoted(text: &str) -> bool {
    let Some(content) = text.strip_prefix('"') else { return false };
    let mut is_escaped = false;
    let end = content.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.is_some_and(|end| end + 1 == content.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lines: &[&str]) -> Option<Format> {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(ACCEPT, line.parse().unwrap());
        }
        negotiate(&request, [Format::WebP, Format::Png].into_iter(), Format::Jpeg)
    }

    #[test]
    fn the_named_format_with_the_highest_weight_wins() {
        let (webp, png) = (Some(Format::WebP), Some(Format::Png));
        let table = [
            ("image/webp", webp),
            ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", webp),
            ("image/*,*/*;q=0.8", None),
            ("", None),
            (",, ,", None),
            ("image/webp;q=0.4, image/png;q=0.5", png),
            ("image/png, IMAGE/WEBP ; Q=1.0", webp),
            ("image/png ,\timage/webp\t;\tq=1.000", webp),
            ("image/webp;q=0.001", webp),
            ("image/webp;q=0.", None),
            ("image/webp;q=1.", webp),
            // Weights of zero, and texts that are no weights.
            ("image/webp;q=0", None),
            ("image/webp;q=0.000", None),
            ("image/webp;q=0, */*", None),
            ("image/webp;q=0, image/png;q=0.1", png),
            ("image/webp;q=1e-1", None),
            ("image/webp;q=1e0", None),
            ("image/webp;q=nonsense", None),
            ("image/webp;q=7", None),
            ("image/webp;q=1.001", None),
            ("image/webp;q=0.1234", None),
            ("image/webp;q=.5", None),
            ("image/webp;q=+1", None),
            ("image/webp;q=-0", None),
            ("image/webp;q=00.5", None),
            ("image/webp;q=\"1\"", None),
            ("image/webp;q =1", None),
            ("image/webp;q= 1", None),
            ("image/webp;q=", None),
            ("image/webp;q", None),
            ("image/webp;q=1;q=1", None),
            ("image/webp;q=inf", None),
            ("image/webp;q=NaN", None),
        ];
        for (accept, expected) in table {
            assert_eq!(chosen(&[accept]), expected, "{accept}");
        }
    }

    #[test]
    fn separators_in_quoted_strings_separate_nothing() {
        let (webp, png) = (Some(Format::WebP), Some(Format::Png));
        let table = [
            (r#"text/html;a="image/webp,", image/png"#, png),
            (r#"text/html;a=", image/webp", image/png"#, png),
            (r#"text/html;a="\", image/webp,", image/png"#, png),
            (r#"text/html;a=";q=0", image/webp"#, webp),
            (r#"text/html;a=", image/webp"#, None),
            // A type with parameters is another type.
            (r#"image/webp;a="b;q=1,c""#, None),
            ("image/webp;a=b", None),
            ("image/webp;a=b, image/webp;q=0.2", webp),
            ("image/webp;a=b;q=0, image/webp", webp),
            (r#"image/webp;a="b"c, image/png"#, png),
            ("image/webp;;q=0.5;", webp),
            ("image /webp", None),
            ("image/webp/x", None),
            ("image/webp image/png", None),
        ];
        for (accept, expected) in table {
            assert_eq!(chosen(&[accept]), expected, "{accept}");
        }
    }

    #[test]
    fn the_most_specific_range_determines_the_weight_of_the_format_in_the_url() {
        let webp = Some(Format::WebP);
        let table = [
            ("image/webp;q=0.5, image/jpeg", None),
            ("image/webp;q=0.5, image/jpeg;q=0.5", webp),
            ("image/webp;q=0.5, image/jpeg;q=0.4, */*", webp),
            ("image/webp;q=0.5, */*;q=0.8", None),
            ("image/webp;q=0.5, image/*;q=0.4, */*;q=0.8", webp),
            ("*/*;q=0.8, image/*;q=0.6, image/webp;q=0.5", None),
            ("image/*;q=0, image/webp", webp),
            ("image/webp;q=0.5, video/*", webp),
            ("image/webp;q=0.5, image/jpeg;a=b", webp),
        ];
        for (accept, expected) in table {
            assert_eq!(chosen(&[accept]), expected, "{accept}");
        }
    }

    #[test]
    fn several_header_lines_are_one_list_and_the_first_of_several_ranges_counts() {
        let (webp, png) = (Some(Format::WebP), Some(Format::Png));
        assert_eq!(chosen(&["image/png;q=0.5", "image/webp"]), webp);
        assert_eq!(chosen(&["image/webp;q=0", "image/webp, image/png"]), png);
        assert_eq!(chosen(&["image/webp;q=0.1, image/webp;q=0.9, image/png;q=0.5"]), png);
        assert_eq!(chosen(&["text/html;a=\"", "image/webp"]), webp, "a quote ends with its line");
    }
}
