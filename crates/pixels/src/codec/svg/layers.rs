//! An estimate of the layers that the renderer holds at the same time, and of the work on them, before it allocates the first
//! one.
//!
//! The renderer draws a group with opacity, a clip path, a mask or a filter into a layer of the size of the group, but at
//! most five times as wide and high as the picture; a filter holds the results of all its primitives; a pattern is a layer
//! of the size of its tile.

use resvg::tiny_skia::{Rect, Transform};
use resvg::usvg::filter::Kind;
use resvg::usvg::{ClipPath, Group, Mask, Node, Paint, Path, Pattern};

/// Maximum number of elements that are drawn, in which those of masks and patterns count each time.
const DRAWN_MAX: u32 = 1_000_000;

/// Maximum distance in pixels of a point from the corner of the picture. The rasterizer computes in fixed point, and asserts
/// that its edges are in order, which coordinates such as 10^22 violate.
const DISTANCE_MAX: f32 = (1_u32 << 20) as f32;

/// Layers of a filter in addition to the results of its primitives: its inputs in another color space, and the buffer of a
/// blur.
const FILTER_LAYERS: u64 = 3;

/// Bytes per pixel of a layer.
const PIXEL_BYTES: u64 = 4;

/// Maximum number of operations on the pixels of layers. A filter that only copies its input takes one for each pixel.
const OPERATIONS_MAX: f64 = 2e9;

/// Memory of the layers of a picture of that size in pixels.
///
/// # Errors
/// Too many elements would be drawn, or filters or layers would take too much work.
pub(super) fn peak(root: &Group, transform: Transform, (width, height): (u32, u32)) -> Result<u64, String> {
    let bounds = (5.0 * f64::from(width), 5.0 * f64::from(height));
    Walk { bounds, drawn: 0, operations: 0.0 }.group(root, transform)
}

struct Walk {
    /// The largest width and height of the layer of a group.
    bounds: (f64, f64),
    drawn: u32,
    operations: f64,
}

impl Walk {
    fn group(&mut self, group: &Group, transform: Transform) -> Result<u64, String> {
        let transform = transform.pre_concat(group.transform());
        let mut inner = 0;
        for node in group.children() {
            inner = inner.max(self.node(node, transform)?);
        }
        if !group.should_isolate() {
            return Ok(inner);
        }
        let layer = match group.layer_bounding_box().transform(transform) {
            Some(area) => self.layer(f64::from(area.width()) + 4.0, f64::from(area.height()) + 4.0),
            // The renderer draws nothing.
            None => return Ok(0),
        };
        self.count_operations(layer, 1.0)?;
        let mut extra = inner;
        for filter in group.filters() {
            let mut of_images = 0;
            for primitive in filter.primitives() {
                self.count_operations(layer, operations(primitive.kind(), transform, self.bounds))?;
                if let Kind::Image(image) = primitive.kind() {
                    of_images = of_images.max(self.group(image.root(), transform)?);
                }
            }
            let layers = FILTER_LAYERS + filter.primitives().len() as u64;
            extra = extra.max(layers.saturating_mul(layer).saturating_add(of_images));
        }
        if let Some(clip) = group.clip_path() {
            extra = extra.max(self.clip(clip, layer)?);
        }
        if let Some(mask) = group.mask() {
            extra = extra.max(self.mask(mask, layer, transform)?);
        }
        Ok(layer.saturating_add(extra))
    }

    fn node(&mut self, node: &Node, transform: Transform) -> Result<u64, String> {
        self.drawn += 1;
        if self.drawn > DRAWN_MAX {
            return Err(format!("it draws more than {DRAWN_MAX} elements, counting each use of a mask or pattern"));
        }
        match node {
            Node::Group(group) => self.group(group, transform),
            Node::Path(path) => self.path(path, transform),
            Node::Text(text) => self.group(text.flattened(), transform),
            // No images are loaded.
            Node::Image(_) => Ok(0),
        }
    }

    fn path(&mut self, path: &Path, transform: Transform) -> Result<u64, String> {
        let is_near = |bounds: Rect| {
            let edges = bounds.transform(transform).map(|area| [area.left(), area.top(), area.right(), area.bottom()]);
            edges.is_some_and(|edges| edges.iter().all(|edge| edge.abs() <= DISTANCE_MAX))
        };
        if ![path.bounding_box(), path.stroke_bounding_box()].into_iter().all(is_near) {
            return Err(format!("a path reaches more than {DISTANCE_MAX} pixels beyond the picture"));
        }
        let paints = [path.fill().map(|fill| fill.paint()), path.stroke().map(|stroke| stroke.paint())];
        let mut most = 0;
        for paint in paints.into_iter().flatten() {
            if let Paint::Pattern(pattern) = paint {
                most = most.max(self.pattern(pattern, transform)?);
            }
        }
        Ok(most)
    }

    /// A tile is as large as the pattern states, even if little of it is visible.
    fn pattern(&mut self, pattern: &Pattern, transform: Transform) -> Result<u64, String> {
        let (across, down) = transform.pre_concat(pattern.transform()).get_scale();
        let (width, height) = (pattern.rect().width() * across, pattern.rect().height() * down);
        let tile = bytes(f64::from(width), f64::from(height));
        self.count_operations(tile, 1.0)?;
        let inner = self.group(pattern.root(), Transform::from_scale(across, down))?;
        Ok(tile.saturating_add(inner))
    }

    /// A clip path is drawn into a layer, and so is each clip path inside of it.
    fn clip(&mut self, clip: &ClipPath, layer: u64) -> Result<u64, String> {
        let mut inner = 0;
        for node in clip.root().children() {
            self.drawn += 1;
            if let Node::Group(group) = node
                && let Some(clip) = group.clip_path()
            {
                inner = inner.max(self.clip(clip, layer)?);
            }
        }
        if let Some(outer) = clip.clip_path() {
            inner = inner.max(self.clip(outer, layer)?);
        }
        Ok((2 * layer).saturating_add(inner))
    }

    /// A mask is drawn into a layer, and so is the mask of the mask.
    fn mask(&mut self, mask: &Mask, layer: u64, transform: Transform) -> Result<u64, String> {
        let mut inner = self.group(mask.root(), transform)?;
        if let Some(outer) = mask.mask() {
            inner = inner.max(self.mask(outer, layer, transform)?);
        }
        Ok((2 * layer).saturating_add(inner))
    }

    /// Counts a number of operations for each pixel of a layer.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn count_operations(&mut self, layer: u64, per_pixel: f64) -> Result<(), String> {
        self.operations += (layer / PIXEL_BYTES) as f64 * per_pixel;
        if self.operations > OPERATIONS_MAX {
            return Err("its groups, filters, masks or patterns take too much work at this size".to_owned());
        }
        Ok(())
    }

    fn layer(&self, width: f64, height: f64) -> u64 {
        bytes(width.min(self.bounds.0), height.min(self.bounds.1))
    }
}

/// Operations of a filter primitive for each pixel. The costs of most do not depend on their attributes.
fn operations(kind: &Kind, transform: Transform, bounds: (f64, f64)) -> f64 {
    match kind {
        Kind::Turbulence(turbulence) => 4.0 * f64::from(turbulence.num_octaves()),
        Kind::ConvolveMatrix(convolve) => f64::from(convolve.matrix().columns()) * f64::from(convolve.matrix().rows()),
        Kind::Morphology(morphology) => {
            let (across, down) = transform.get_scale();
            let side = |radius: f32, scale: f32, bound: f64| (2.0 * f64::from(radius * scale) + 1.0).min(bound);
            let x = side(morphology.radius_x().get(), across, bounds.0);
            x * side(morphology.radius_y().get(), down, bounds.1)
        }
        Kind::GaussianBlur(_) | Kind::DropShadow(_) | Kind::DiffuseLighting(_) | Kind::SpecularLighting(_) => 8.0,
        _ => 2.0,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "conversion from floating point saturates")]
fn bytes(width: f64, height: f64) -> u64 {
    (width.ceil().max(0.0) as u64).saturating_mul(height.ceil().max(0.0) as u64).saturating_mul(PIXEL_BYTES)
}
