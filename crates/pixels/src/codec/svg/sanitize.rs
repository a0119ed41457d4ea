//! Sanitizing of SVG by `svg-hush`, which runs only in the sandboxed process: it keeps the elements and attributes that are
//! known to be harmless.
//!
//! It removes scripts, event handlers, links, `foreignObject`, comments, document types and style imports. References lead
//! to the same file or site, or are images in `data:` URLs. It is memory-safe and streams, but entities and deep nesting make
//! its time and its output grow faster than the file, and it cannot be stopped.

use std::error::Error as _;
use std::io::{self, Write};

use svg_hush::Filter;
use svg_hush::data_url_filter::allow_standard_images;

use crate::codec::svg::sanitized_bytes_max;

/// # Errors
/// The reason why the file cannot be sanitized: it is not XML, has no element of SVG, or its entities expand to too much.
pub(crate) fn sanitize(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut filter = Filter::new();
    filter.set_data_url_filter(allow_standard_images);
    let mut output = Limited { bytes: Vec::new(), bytes_max: sanitized_bytes_max(file.len()) };
    // The text of the error itself only tells whether reading or writing failed.
    let reason = |error: svg_hush::FError| error.source().map_or_else(|| error.to_string(), ToString::to_string);
    filter.filter(file, &mut output).map_err(reason)?;
    Ok(output.bytes)
}

/// A file of limited length.
struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::Error::other("the sanitized file would be too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
