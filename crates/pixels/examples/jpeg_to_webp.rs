//! Renders an image, for example a JPEG, to a WebP that fits into a box: `jpeg_to_webp IN OUT.webp [SIDE]`.

use std::error::Error;
use std::num::NonZeroU32;

use pixels::{Encoding, Geometry, Header, Limits, OutputSpec, Quality, RenderOptions, render};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: jpeg_to_webp IN OUT.webp [SIDE]".into());
    };
    let side = arguments.next().map_or(Ok(300), |side| side.parse())?;
    let (side, quality) = (NonZeroU32::new(side), Quality::new(80).ok_or("a quality is 1 to 100")?);

    let limits = Limits::default();
    let original = std::fs::read(input)?;
    let header = Header::read(&original, &limits)?;
    let spec = OutputSpec { geometry: Geometry::Fit { width: side, height: side }, encoding: Encoding::WebP(quality) };
    let webp = render(&original, &header, spec, &RenderOptions::new(&limits))?;
    std::fs::write(output, webp)?;
    Ok(())
}
