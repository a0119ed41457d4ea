//! Parses `Range` and selects the bytes that it names (RFC 9110 section 14).

use http::HeaderMap;
use http::header::RANGE;

use super::BodySelection;
use crate::proxy::error::RequestError;

/// One range of a `Range` header. Numbers that are too large for 64 bits are saturated, because they lie outside every
/// picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RangeSpec {
    From { first: u64, last: Option<u64> },
    Suffix { bytes: u64 },
}

/// Selects a single range of a representation of `bytes` bytes. Several ranges, other units and a header that does not
/// match the grammar select the full body, as sections 14.1.1 and 14.2 require or allow.
///
/// # Errors
/// [`RequestError::RangeNotSatisfiable`] (416): the representation has none of the bytes.
pub(super) fn select(request: &HeaderMap, bytes: u64) -> Result<BodySelection, RequestError> {
    let mut headers = request.get_all(RANGE).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else { return Ok(BodySelection::Full) };
    let Some(range) = header.to_str().ok().and_then(single_range) else { return Ok(BodySelection::Full) };
    let end = bytes.saturating_sub(1);
    let range = match range {
        RangeSpec::From { first, last } if first < bytes => first..=last.unwrap_or(end).min(end),
        RangeSpec::Suffix { bytes: suffix } if suffix > 0 && bytes > 0 => bytes.saturating_sub(suffix)..=end,
        RangeSpec::From { .. } | RangeSpec::Suffix { .. } => return Err(RequestError::RangeNotSatisfiable { bytes }),
    };
    Ok(BodySelection::Range(range))
}

/// Parses a range set with exactly one range. The list may have empty elements (section 5.6.1).
fn single_range(value: &str) -> Option<RangeSpec> {
    let (unit, set) = value.split_once('=')?;
    // Whitespace surrounds commas only.
    if !unit.eq_ignore_ascii_case("bytes") || set.starts_with([' ', '\t']) || set.ends_with([' ', '\t']) {
        return None;
    }
    let mut ranges = set.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|range| !range.is_empty());
    let range = range_spec(ranges.next()?)?;
    ranges.next().is_none().then_some(range)
}

/// Parses `first-`, `first-last` or `-suffix`.
fn range_spec(text: &str) -> Option<RangeSpec> {
    let (first, last) = text.split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(RangeSpec::Suffix { bytes: number(suffix)? }),
        (first, "") => Some(RangeSpec::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::From { first, last: Some(last) })
        }
    }
}

/// Parses digits only; `str::parse` would also accept `+5`.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select_from(bytes: u64, ranges: &[&str]) -> Result<BodySelection, RequestError> {
        let mut request = HeaderMap::new();
        for range in ranges {
            request.append(RANGE, range.parse().unwrap());
        }
        select(&request, bytes)
    }

    #[test]
    fn a_single_range_selects_its_bytes_and_an_invalid_one_the_full_body() {
        let outside = Err(RequestError::RangeNotSatisfiable { bytes: 1000 });
        let table = [
            ("bytes=0-0", Ok(BodySelection::Range(0..=0))),
            ("bytes=10-19", Ok(BodySelection::Range(10..=19))),
            ("bytes=990-", Ok(BodySelection::Range(990..=999))),
            ("bytes=990-5000", Ok(BodySelection::Range(990..=999))),
            ("bytes=-10", Ok(BodySelection::Range(990..=999))),
            ("bytes=-5000", Ok(BodySelection::Range(0..=999))),
            ("bytes=1000-", outside.clone()),
            ("bytes=5000-6000", outside.clone()),
            ("bytes=99999999999999999999-", outside.clone()),
            ("bytes=-0", outside),
            ("bytes=0-1,5-6", Ok(BodySelection::Full)),
            ("pages=1-2", Ok(BodySelection::Full)),
            ("bytes=a-b", Ok(BodySelection::Full)),
            ("bytes=5-2", Ok(BodySelection::Full)),
            ("bytes=-", Ok(BodySelection::Full)),
            ("bytes=0-99999999999999999999", Ok(BodySelection::Range(0..=999))),
            ("bytes=-99999999999999999999", Ok(BodySelection::Range(0..=999))),
            ("BYTES=007-9", Ok(BodySelection::Range(7..=9))),
            ("bytes=,0-1 ,", Ok(BodySelection::Range(0..=1))),
            ("bytes=+1-5", Ok(BodySelection::Full)),
            ("bytes=1-+5", Ok(BodySelection::Full)),
            ("bytes=-+5", Ok(BodySelection::Full)),
            ("bytes= 0-1", Ok(BodySelection::Full)),
            ("bytes=0 -1", Ok(BodySelection::Full)),
            ("bytes=0- 1", Ok(BodySelection::Full)),
            ("bytes =0-1", Ok(BodySelection::Full)),
            ("bytes 0-1", Ok(BodySelection::Full)),
            ("bytes=0-1-2", Ok(BodySelection::Full)),
            ("bytes=0-1;q=1", Ok(BodySelection::Full)),
            ("bytes=0x1-5", Ok(BodySelection::Full)),
            ("bytes=1", Ok(BodySelection::Full)),
            ("bytes=", Ok(BodySelection::Full)),
            ("bytes=,", Ok(BodySelection::Full)),
            ("", Ok(BodySelection::Full)),
        ];
        for (range, expected) in table {
            assert_eq!(select_from(1000, &[range]), expected, "{range}");
        }
    }

    #[test]
    fn an_empty_picture_has_no_ranges_and_two_headers_are_no_range() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(select_from(0, &[range]), Err(RequestError::RangeNotSatisfiable { bytes: 0 }), "{range}");
        }
        assert_eq!(select_from(1000, &["bytes=0-1", "bytes=0-1"]), Ok(BodySelection::Full));
    }
}
