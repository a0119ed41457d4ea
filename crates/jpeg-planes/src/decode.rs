//! Decodes a file to its planes.

use planes::{Error, Incomplete};

use crate::header::Header;
use crate::options::{Options, Plane};
use component::Component;
use frame::Frame;
use tables::Tables;

mod arithmetic;
mod bit_reader;
mod block_values;
mod component;
mod frame;
mod huffman;
mod idct;
mod progressive;
mod restart;
mod scan;
mod scan_script;
mod sequential;
mod standard_tables;
mod tables;

/// Decodes one plane for each scale of each component, ordered by component and then by ascending scale. See
/// [`Header::plane_size`] for the size of each plane. Chroma is not upsampled and colors are not converted.
///
/// `header` must have been read from the same bytes.
///
/// # Errors
/// The file is damaged, truncated (unless [`Options::incomplete`] keeps such files) or exceeds the limits, or
/// [`Options::should_continue`] returned `false`.
pub fn decode(data: &[u8], header: &Header, options: &Options<'_>) -> Result<Vec<Plane>, Error> {
    let mut components = Vec::with_capacity(header.component_count());
    for (n, scales) in (0..header.component_count()).zip(options.scales) {
        components.push(Component::new(header, n, scales)?);
    }
    let mut frame = Frame { data, header, options, tables: Tables::default(), components };
    let result = if header.progressive { progressive::decode(&mut frame) } else { sequential::decode(&mut frame) };
    match (result, options.incomplete) {
        (Ok(()), _) | (Err(Error::Truncated | Error::Damaged(_)), Incomplete::Keep) => {}
        (Err(error), _) => return Err(error),
    }
    Ok(frame.components.into_iter().flat_map(|component| component.planes).collect())
}
