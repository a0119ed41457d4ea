//! Limits on the elements of an SVG, which are checked before the renderer builds its tree.

use std::collections::HashMap;

use resvg::usvg::roxmltree::{Document, Node, NodeId};

/// Maximum number of elements, in which those that `use` repeats count each time, and each character of a text counts as two.
const ELEMENTS_MAX: u64 = 100_000;

/// Memory of an element of the tree. Used rectangles took 680 bytes each, and characters of a text 1,450.
const ELEMENT_BYTES: u64 = 800;

/// Maximum length in bytes of the data of paths, in which those that `use` repeats count each time. It is longer than a file,
/// and a byte takes up to some microseconds if the path is stroked with dashes.
const PATH_BYTES_MAX: u64 = 8 << 20;

/// Maximum number of elements inside of each other. An element also counts as inside of the ones that refer to it, such as
/// by a mask.
const DEPTH_MAX: usize = 100;

/// Maximum number of nodes of the document: elements, texts, and comments.
pub(super) const NODES_MAX: u32 = 400_000;

/// # Errors
/// The document has too many elements for the limit or for a tree of `tree_bytes`, or they are nested too deeply.
pub(super) fn check(document: &Document<'_>, tree_bytes: u64) -> Result<(), String> {
    let mut ids = HashMap::new();
    for node in document.descendants() {
        if let Some(id) = node.attribute("id") {
            ids.entry(id).or_insert(node);
        }
    }
    let mut counter = Counter { ids, known: HashMap::new() };
    let extent = counter.extent(document.root_element(), 0)?;
    let elements_max = ELEMENTS_MAX.min(tree_bytes / ELEMENT_BYTES);
    if extent.elements > elements_max {
        return Err(format!("it has more than {elements_max} elements, counting each use and twice each character"));
    }
    if extent.path_bytes > PATH_BYTES_MAX {
        return Err(format!("its paths have more than {PATH_BYTES_MAX} bytes, counting each use"));
    }
    Ok(())
}

/// Number of elements of a subtree, length of its paths, and number of elements that are inside of each other.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    elements: u64,
    path_bytes: u64,
    depth: usize,
}

impl Extent {
    fn add(&mut self, other: Self) {
        self.elements = self.elements.saturating_add(other.elements);
        self.path_bytes = self.path_bytes.saturating_add(other.path_bytes);
    }
}

/// Length of the path or of the points of an element.
fn path_bytes(node: Node<'_, '_>) -> u64 {
    ["d", "points"].into_iter().filter_map(|name| node.attribute(name)).map(|data| data.len() as u64).sum()
}

struct Counter<'a, 'input> {
    ids: HashMap<&'a str, Node<'a, 'input>>,
    /// The extent of each subtree; zero while it is being measured, because the renderer ignores circular references.
    known: HashMap<NodeId, Extent>,
}

impl<'a, 'input> Counter<'a, 'input> {
    /// The extent of an element at a depth, which bounds this recursion.
    fn extent(&mut self, node: Node<'a, 'input>, depth: usize) -> Result<Extent, String> {
        if let Some(known) = self.known.get(&node.id()) {
            return if depth + known.depth > DEPTH_MAX { Err(too_deep()) } else { Ok(*known) };
        }
        if depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.known.insert(node.id(), Extent::default());
        let mut sum = Extent { elements: 1, path_bytes: path_bytes(node), depth: 1 };
        for child in node.children().filter(Node::is_element) {
            let extent = self.extent(child, depth + 1)?;
            sum.add(extent);
            sum.depth = sum.depth.max(extent.depth + 1);
        }
        if matches!(node.tag_name().name(), "text" | "tspan" | "textPath" | "a") {
            let texts = node.children().filter_map(|child| child.text().filter(|_| child.is_text()));
            let characters: u64 = texts.map(|text| text.chars().count() as u64).sum();
            sum.elements = sum.elements.saturating_add(2 * characters);
        }
        for attribute in node.attributes() {
            let (is_link, value) = (attribute.name() == "href", attribute.value());
            let id = if is_link { value.trim().strip_prefix('#') } else { function_target(value) };
            let Some(target) = id.and_then(|id| self.ids.get(id).copied()) else { continue };
            let extent = self.extent(target, depth + 1)?;
            // Only `use` repeats elements. Masks, patterns and gradients are shared.
            if is_link && node.tag_name().name() == "use" {
                sum.add(extent);
            }
            sum.depth = sum.depth.max(extent.depth + 1);
        }
        self.known.insert(node.id(), sum);
        Ok(sum)
    }
}

/// The id in the first `url(#id)` of a value.
fn function_target(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("url(")?;
    let (target, _) = rest.split_once(')')?;
    target.trim().trim_matches(['"', '\'']).strip_prefix('#')
}

fn too_deep() -> String {
    format!("its elements are nested more than {DEPTH_MAX} levels deep, counting references")
}
