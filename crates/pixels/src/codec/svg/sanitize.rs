//! Sanitizing of SVG by `svg-hush`, which runs only in the sandboxed process: it keeps the elements and attributes that are
//! known to be harmless.
//!
//! It removes scripts, event handlers, links, `foreignObject`, comments, document types and style imports. It rewrites the
//! addresses in `href` and `url()`: `https://example.org/a.png` becomes `/a.png` of the same site, and only images stay in
//! `data:` URLs. It keeps addresses in the strings of CSS, such as those of `image-set()` and `src()`, so the policy of the
//! response must block requests. It is memory-safe and streams, but entities, deep nesting and thousands of `url()` make its
//! time and its output grow faster than the file, and it cannot be stopped.

use std::io::{self, Write};

use svg_hush::data_url_filter::allow_standard_images;
use svg_hush::{FError, Filter};

use crate::codec::svg::sanitized_bytes_max;

/// # Errors
/// The reason why the file cannot be sanitized: it is not XML, has no element of SVG, or its entities expand to too much.
pub(crate) fn sanitize(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut filter = Filter::new();
    filter.set_data_url_filter(allow_standard_images);
    let mut output = Limited { bytes: Vec::new(), bytes_max: sanitized_bytes_max(file.len()), is_exceeded: false };
    match filter.filter(file, &mut output) {
        Ok(()) => Ok(output.bytes),
        Err(FError::Reader(error)) => Err(format!("it is not XML: {error}")),
        Err(FError::Writer(_)) if output.is_exceeded => Err("the sanitized file would be too long".to_owned()),
        // Writing to memory fails in no other way, so this is the error for a file of which nothing was written.
        Err(FError::Writer(_)) => Err("it has no element in the namespace http://www.w3.org/2000/svg".to_owned()),
    }
}

/// A file of limited length.
struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_exceeded: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.is_exceeded = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
