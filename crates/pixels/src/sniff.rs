//! Detection of image types from the first bytes.

/// Media type of an image that begins with `head`, of which 64 bytes are enough. `None` if the type is unknown. SVG is
/// never detected, because it can contain scripts; see [`is_svg`].
///
/// The signatures are those of the WHATWG MIME Sniffing standard, section 6.1, and section 6.2.1 for ISO base media
/// files.
#[must_use]
pub fn sniff(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"\xFF\xD8\xFF") {
        return Some("image/jpeg");
    }
    if at(0, b"\x89PNG\r\n\x1A\n") {
        return Some("image/png");
    }
    if at(0, b"GIF87a") || at(0, b"GIF89a") {
        return Some("image/gif");
    }
    if at(0, b"RIFF") && at(8, b"WEBP") {
        return Some("image/webp");
    }
    if at(4, b"ftyp") {
        return iso_brand(head);
    }
    if at(0, b"\xFF\x0A") || at(0, b"\0\0\0\x0CJXL \r\n\x87\n") {
        return Some("image/jxl");
    }
    if at(0, b"II*\0") || at(0, b"MM\0*") {
        return Some("image/tiff");
    }
    if at(0, b"BM") && at(6, &[0; 4]) {
        return Some("image/bmp");
    }
    if at(0, b"\0\0\x01\0") {
        return Some("image/x-icon");
    }
    None
}

/// True if a file that begins with `head` is SVG: its root element is `svg`, after an optional byte order mark, XML
/// declaration, comments and document type. Looks at the first [`SVG_HEAD_BYTES`].
#[must_use]
pub fn is_svg(head: &[u8]) -> bool {
    let head = &head[..head.len().min(SVG_HEAD_BYTES)];
    let mut rest = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    loop {
        let after = match rest {
            [b'<', b'?', ..] => after(rest, b"?>"),
            [b'<', b'!', b'-', b'-', ..] => after(rest, b"-->"),
            [b'<', b'!', ..] => after_document_type(rest),
            _ => break,
        };
        let Some(after) = after else { return false };
        rest = after.trim_ascii_start();
    }
    let Some(tag) = rest.strip_prefix(b"<") else { return false };
    let length = tag.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'));
    let name = &tag[..length.unwrap_or(tag.len())];
    name == b"svg" || name.ends_with(b":svg")
}

/// The bytes after the first `end`.
fn after<'a>(bytes: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(end.len()).position(|window| window == end)?;
    bytes.get(at + end.len()..)
}

/// The bytes after a document type. An internal subset contains `>`, and ends with `]`, white space and `>` (XML 1.0, section
/// 2.8).
fn after_document_type(bytes: &[u8]) -> Option<&[u8]> {
    let first = bytes.iter().find(|byte| matches!(byte, b'[' | b'>'))?;
    if *first == b'>' {
        return after(bytes, b">");
    }
    let brackets = bytes.iter().enumerate().filter(|(_, byte)| **byte == b']');
    let mut rests = brackets.filter_map(|(at, _)| bytes.get(at + 1..)?.trim_ascii_start().strip_prefix(b">"));
    rests.next()
}

/// Number of bytes in which the root element of an SVG must begin.
pub const SVG_HEAD_BYTES: usize = 4 << 10;

/// Media type of an ISO base media file, from the major brand and the compatible brands in `head`.
fn iso_brand(head: &[u8]) -> Option<&'static str> {
    let length = head.get(..4).and_then(|length| length.try_into().ok()).map_or(0, u32::from_be_bytes);
    let end = usize::try_from(length).unwrap_or(usize::MAX).min(head.len());
    let brands = head.get(8..end).unwrap_or_default().chunks_exact(4);
    // The second word is the minor version.
    brands.enumerate().filter(|(n, _)| *n != 1).find_map(|(_, brand)| match brand {
        b"avif" | b"avis" => Some("image/avif"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Some("image/heic"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_types_are_detected_and_other_files_are_not() {
        let table: [(&[u8], _); 14] = [
            (b"\xFF\xD8\xFF\xE0", Some("image/jpeg")),
            (b"\x89PNG\r\n\x1A\n\0", Some("image/png")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"\0\0\0\x1Cftypavif\0\0\0\0mif1", Some("image/avif")),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0miafavif", Some("image/avif")),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1", Some("image/heic")),
            (b"\0\0\0\x18ftypisom\0\0\0\0mp42", None),
            (b"\xFF\x0A\x00", Some("image/jxl")),
            (b"II*\0", Some("image/tiff")),
            (b"BM\x10\0\0\0\0\0\0\0", Some("image/bmp")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
            (b"", None),
        ];
        for (head, expected) in table {
            assert_eq!(sniff(head), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn svg_is_recognized_by_its_root_element() {
        let subset = "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x' [ <!ENTITY a 'b'> ]> <svg/>";
        for text in [
            "<svg xmlns='http://www.w3.org/2000/svg'>",
            "<svg>",
            "<svg/>",
            "\u{FEFF}<?xml version='1.0'?>\n<!-- <html> -->\n<!DOCTYPE svg>\n <svg\twidth='1'>",
            "<s:svg xmlns:s='http://www.w3.org/2000/svg'>",
            subset,
            "<!DOCTYPE svg [ <!ENTITY a '>'> ] \n> <svg/>",
        ] {
            assert!(is_svg(text.as_bytes()), "{text}");
        }
        for text in [
            "<!DOCTYPE svg [ <!ENTITY a 'b'> ] <svg/>",
            "",
            "svg",
            "<",
            "<html><svg>",
            "<svgs>",
            "<?xml version='1.0'?>",
            "<!-- <svg>",
            "<!DOCTYPE svg",
        ] {
            assert!(!is_svg(text.as_bytes()), "{text}");
        }
    }
}
