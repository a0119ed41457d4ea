//! Sizes that are typed, read as URLs are.

use anyhow::Context;
use resized::variant::{Encoding, Format, Geometry, Grammar, Named};

/// What a size asks for, in `format` or else in that of a file `name`.
pub(in crate::cli) fn read(
    grammar: &Grammar,
    size: &str,
    format: Option<Format>,
    name: &str,
) -> anyhow::Result<(Geometry, Encoding)> {
    let own = || name.rsplit_once('.').and_then(|(_, extension)| Format::from_extension(extension));
    let extension = format.or_else(own).unwrap_or(Format::Jpeg).extension();
    named(grammar, &format!("picture_{size}.{extension}")).with_context(|| {
        format!(
            "--size {size} is none: write it as in URLs, such as 300x200, 300x, x200_q70 or 300x200_crop, with sides up \
             to limits.max_side, or a preset's name"
        )
    })
}

/// What a file's name asks for.
pub(in crate::cli) fn named(grammar: &Grammar, name: &str) -> Option<(Geometry, Encoding)> {
    // Only what stands in it for a size matters, and that is of letters and digits.
    let plain: String =
        name.chars().map(|char| if char.is_ascii_graphic() && char != '%' { char } else { '-' }).collect();
    match grammar.parse(&format!("/{plain}")) {
        Ok(Named::Variant(addressed)) => Some((addressed.variant.geometry, addressed.variant.encoding)),
        Ok(Named::Object(..)) | Err(_) => None,
    }
}

/// A format by its name, for clap.
pub(in crate::cli) fn format(text: &str) -> Result<Format, String> {
    Format::from_extension(text).ok_or_else(|| {
        let written: Vec<_> = Format::WRITTEN.iter().map(|format| format.extension()).collect();
        format!("take one of {}", written.join(", "))
    })
}

/// The path of a URL; of a path itself, with its slash.
pub(in crate::cli) fn path_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("/{}", path.strip_prefix('/').unwrap_or(path))
}
