//! Rasterizing of SVG, which runs only in the sandboxed process.
//!
//! Scripts, animations and `foreignObject` are not implemented by the renderer. No reference leaves the file: images are
//! not loaded, not even those in `data:` URLs, and all text is set in the embedded font.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::roxmltree::{Document, ParsingOptions};
use resvg::usvg::{FontResolver, ImageHrefResolver, Options, Size, Tree};

use crate::codec::svg::root::FONT_SIZE;
use crate::codec::svg::{NominalSize, check, layer_bytes, layers, root, tree_bytes};
use crate::pixel_image::{PixelImage, PixelShape};

/// Roboto Regular with Latin, Greek and Cyrillic letters: `fonts/README.md`.
const FONT: &[u8] = include_bytes!("../../../fonts/Roboto-Regular.ttf");

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.to_vec());
    Arc::new(fonts)
});

/// Rasterizes the picture to the whole of `shape`, which may have another aspect ratio by up to a pixel.
///
/// # Errors
/// The reason why the picture cannot be rasterized: it is not XML, or exceeds a limit.
pub(crate) fn decode(file: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let nominal = root::read(file).map_err(|error| error.to_string())?;
    let tree = parse(file, nominal)?;
    let transform = transform(nominal, shape);
    let (size, limit) = ((shape.width, shape.height), layer_bytes((shape.width, shape.height)));
    let layers = layers::peak(tree.root(), transform, size)?;
    if layers > limit {
        return Err(format!(
            "its groups, filters, masks or patterns need {layers} bytes at this size, more than {limit}"
        ));
    }
    let mut pixmap = Pixmap::new(shape.width, shape.height).ok_or("its size is impossible")?;
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    Ok(PixelImage { shape, profile: None, data: pixmap.take_demultiplied() })
}

/// The elements that are drawn, with all styles and references resolved.
fn parse(file: &[u8], nominal: NominalSize) -> Result<Tree, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is not UTF-8")?;
    // Entities are needed for files of common editors. The parser limits their depth and number.
    let options = ParsingOptions { allow_dtd: true, nodes_limit: check::NODES_MAX, entity_resolver: None };
    let document = Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
    check::check(&document, tree_bytes(file.len() as u64))?;
    Tree::from_xmltree(&document, &self::options(nominal)?).map_err(|error| error.to_string())
}

fn options(nominal: NominalSize) -> Result<Options<'static>, String> {
    let font = FONTS.faces().next().map(|face| face.id).ok_or("the embedded font is damaged")?;
    Ok(Options {
        font_size: to_f32(FONT_SIZE),
        default_size: size(nominal)?,
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        font_resolver: FontResolver {
            select_font: Box::new(move |_, _| Some(font)),
            select_fallback: Box::new(|_, _, _| None),
        },
        fontdb: FONTS.clone(),
        ..Options::default()
    })
}

/// Stretches the picture to the shape. The size of the tree is not used, because without a view box it is that of its
/// elements.
fn transform(nominal: NominalSize, shape: PixelShape) -> Transform {
    let scale = |pixels: u32, length: f64| to_f32(f64::from(pixels) / length);
    Transform::from_scale(scale(shape.width, nominal.width), scale(shape.height, nominal.height))
}

fn size(nominal: NominalSize) -> Result<Size, String> {
    Size::from_wh(to_f32(nominal.width), to_f32(nominal.height)).ok_or_else(|| "its size is impossible".to_owned())
}

#[expect(clippy::cast_possible_truncation, reason = "lengths need no more precision")]
fn to_f32(length: f64) -> f32 {
    length as f32
}
