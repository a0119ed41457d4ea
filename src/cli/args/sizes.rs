//! Parses sizes on the command line with the grammar of URLs.

use anyhow::Context;
use resized::variant::{Encoding, Format, Geometry, Grammar, ParsedPath};

/// Parses `size`. The output format is `format`, else the format of the file name `name`, else JPEG.
pub(in crate::cli) fn parse_size(
    grammar: &Grammar,
    size: &str,
    format: Option<Format>,
    name: &str,
) -> anyhow::Result<(Geometry, Encoding)> {
    let name_format = || name.rsplit_once('.').and_then(|(_, extension)| Format::for_original(extension));
    let extension = format.or_else(name_format).unwrap_or(Format::Jpeg).extension();
    size_in_name(grammar, &format!("picture_{size}.{extension}")).with_context(|| {
        format!(
            "--size {size} is invalid: use the format of URLs, for example 300x200, 300x, x200_q70 or 300x200_crop, with \
             sides up to limits.max_side, or the name of a preset"
        )
    })
}

/// Parses the size in a file name such as `cat_300x200.jpg`.
pub(in crate::cli) fn size_in_name(grammar: &Grammar, name: &str) -> Option<(Geometry, Encoding)> {
    // Replaces characters that are not allowed in URLs. A size contains none of them, so it does not change.
    let url_safe: String =
        name.chars().map(|char| if char.is_ascii_graphic() && char != '%' { char } else { '-' }).collect();
    match grammar.parse(&format!("/{url_safe}")) {
        Ok(ParsedPath::Variant(addressed)) => Some((addressed.variant.geometry, addressed.variant.encoding)),
        Ok(ParsedPath::Object(..)) | Err(_) => None,
    }
}

/// Parses the name of a format. A value parser for clap.
pub(in crate::cli) fn parse_format(text: &str) -> Result<Format, String> {
    Format::from_extension(text).ok_or_else(|| {
        let formats: Vec<_> = Format::SUPPORTED.iter().map(|format| format.extension()).collect();
        format!("the formats are {}", formats.join(", "))
    })
}

/// Returns the path of `url` with a leading slash. `url` may also be a path.
pub(in crate::cli) fn url_path(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("/{}", path.strip_prefix('/').unwrap_or(path))
}
