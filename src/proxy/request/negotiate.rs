//! Content negotiation: the output format that the `Accept` header prefers (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use crate::variant::Format;

/// The format of `offers` with the highest weight in `Accept`; the first of several with equal weights. `None` if
/// `Accept` names no offered format.
///
/// Wildcards are ignored, because clients that support only old formats send `image/*` and `*/*` too.
pub(in crate::proxy) fn negotiate(request: &HeaderMap, offers: impl Iterator<Item = Format>) -> Option<Format> {
    let mut best: Option<(Format, u16)> = None;
    for offer in offers {
        let weight = request
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|range| weight(range, offer.media_type()))
            .unwrap_or(0);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((offer, weight));
        }
    }
    best.map(|(format, _)| format)
}

/// The weight of a media range in thousandths, if it names `media_type` (RFC 9110 section 12.4.2).
fn weight(range: &str, media_type: &str) -> Option<u16> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(media_type) {
        return None;
    }
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")));
    let Some(weight) = weight else { return Some(1000) };
    let weight = weight.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    Some((weight * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_format_with_the_highest_weight_wins() {
        let table = [
            ("image/webp", Some(Format::WebP)),
            ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", Some(Format::WebP)),
            ("image/*,*/*;q=0.8", None),
            ("", None),
            ("image/webp;q=0", None),
            ("image/webp;q=0.4, image/png;q=0.5", Some(Format::Png)),
            ("image/png, IMAGE/WEBP ; Q=1.0", Some(Format::WebP)),
            ("image/webp;q=nonsense", None),
            ("image/webp;q=7", None),
        ];
        for (accept, expected) in table {
            let mut request = HeaderMap::new();
            request.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(negotiate(&request, [Format::WebP, Format::Png].into_iter()), expected, "{accept}");
        }
    }
}
