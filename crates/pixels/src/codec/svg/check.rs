//! Limits on the elements of an SVG, which are checked before the renderer builds its tree.

use std::collections::{HashMap, HashSet};

use resvg::usvg::roxmltree::{Document, Node, NodeId};

/// Maximum number of elements, in which those that `use` repeats count each time, and each character of a text counts as two.
const ELEMENTS_MAX: u64 = 100_000;

/// Memory of an element of the tree. Used rectangles took 680 bytes each, and characters of a text 1,450.
const ELEMENT_BYTES: u64 = 800;

/// Maximum length in bytes of the data of paths, of style attributes and of transforms, in which those that `use` repeats count
/// each time. It is longer than a file, and a byte takes up to some microseconds if the path is stroked with dashes.
const DATA_BYTES_MAX: u64 = 8 << 20;

/// Maximum product of the parts of style sheets and the elements, counting each use: the renderer compares each selector with
/// each element, which takes about 20 ns.
const STYLE_WORK_MAX: u64 = 100_000_000;

/// Maximum number of elements inside of each other. An element also counts as inside of the ones that refer to it, such as
/// by a mask.
const DEPTH_MAX: usize = 100;

/// Maximum sum of the levels inside of the masks, clip paths, patterns, markers and filters to which style sheets refer. Each of
/// them might contain an element that a rule makes refer to the next one.
const STYLED_DEPTH_MAX: usize = 400;

/// Maximum number of nodes of the document: elements, texts, and comments.
pub(super) const NODES_MAX: u32 = 400_000;

/// Maximum number of digits before the decimal point of the numbers of a shape. An arc is drawn as curves, whose number is the sixth
/// root of its radius: at most 70.
const DIGITS_MAX: usize = 10;

/// # Errors
/// The document has numbers that are too large, too many elements for the limit or for a tree of `tree_bytes`, they are nested too deeply, or its style
/// sheets take too much work.
pub(super) fn check(document: &Document<'_>, tree_bytes: u64) -> Result<(), String> {
    let mut ids = HashMap::new();
    for node in document.descendants() {
        let shape = ["d", "points", "r", "rx", "ry", "width", "height"];
        if let Some(name) = shape.into_iter().find(|name| node.attribute(*name).is_some_and(has_huge_number)) {
            return Err(format!("an attribute {name} has a number of more than {DIGITS_MAX} digits"));
        }
        if let Some(id) = node.attribute("id") {
            ids.entry(id).or_insert(node);
        }
    }
    let mut counter = Counter { ids, known: HashMap::new() };
    let extent = counter.extent(document.root_element(), 0)?;
    let elements_max = ELEMENTS_MAX.min(tree_bytes / ELEMENT_BYTES);
    if extent.elements.saturating_add(2 * extent.characters) > elements_max {
        return Err(format!("it has more than {elements_max} elements, counting each use and twice each character"));
    }
    if extent.data_bytes > DATA_BYTES_MAX {
        return Err(format!("its paths and style attributes have more than {DATA_BYTES_MAX} bytes, counting each use"));
    }
    let styles: Vec<&str> = style_sheets(document).collect();
    let parts: u64 = styles.iter().map(|css| style_parts(css)).sum();
    if parts.saturating_mul(extent.elements) > STYLE_WORK_MAX {
        return Err(format!("its style sheets have too many rules for {} elements", extent.elements));
    }
    if counter.styled_depth(&styles)? > STYLED_DEPTH_MAX {
        return Err(format!(
            "the masks, clip paths, patterns, markers and filters of its style sheets have more than {STYLED_DEPTH_MAX} levels"
        ));
    }
    Ok(())
}

/// True if one of the numbers has more than [`DIGITS_MAX`] digits before the decimal point, to which its exponent adds.
fn has_huge_number(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit() || c == '.') {
        rest = &rest[begin..];
        let integer = digits(rest);
        rest = &rest[integer..];
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = &fraction[digits(fraction)..];
        }
        let mut exponent = 0;
        if let Some(after) = rest.strip_prefix(['e', 'E']) {
            let after = after.strip_prefix('+').unwrap_or(after);
            let length = digits(after);
            exponent = if length == 0 { 0 } else { after[..length].parse().unwrap_or(usize::MAX) };
            rest = &after[length..];
        }
        if integer.saturating_add(exponent) > DIGITS_MAX {
            return true;
        }
    }
    false
}

/// The texts of all style sheets.
fn style_sheets<'a>(document: &'a Document<'_>) -> impl Iterator<Item = &'a str> {
    let styles = document.descendants().filter(|node| node.tag_name().name() == "style");
    styles.flat_map(|style| style.descendants()).filter(Node::is_text).filter_map(|node| node.text())
}

/// An upper bound on the number of simple selectors and declarations of a style sheet. Comments and strings may contain any of
/// these characters, so blocks are not told from selectors.
fn style_parts(css: &str) -> u64 {
    let separators = css.bytes().filter(|byte| matches!(byte, b'{' | b',' | b';' | b'>' | b'+'));
    separators.count() as u64 + css.split_ascii_whitespace().count() as u64
}

/// Numbers of elements and of characters of a subtree, length of its paths and styles, and number of elements that are inside of
/// each other.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    elements: u64,
    characters: u64,
    data_bytes: u64,
    depth: usize,
}

impl Extent {
    fn add(&mut self, other: Self) {
        self.elements = self.elements.saturating_add(other.elements);
        self.characters = self.characters.saturating_add(other.characters);
        self.data_bytes = self.data_bytes.saturating_add(other.data_bytes);
    }
}

/// Length of the attributes of an element that are parsed at each use.
fn data_bytes(node: Node<'_, '_>) -> u64 {
    ["d", "points", "style", "transform"]
        .into_iter()
        .filter_map(|name| node.attribute(name))
        .map(|data| data.len() as u64)
        .sum()
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
        let mut sum = Extent { elements: 1, characters: 0, data_bytes: data_bytes(node), depth: 1 };
        for child in node.children().filter(Node::is_element) {
            let extent = self.extent(child, depth + 1)?;
            sum.add(extent);
            sum.depth = sum.depth.max(extent.depth + 1);
        }
        if matches!(node.tag_name().name(), "text" | "tspan" | "textPath" | "a") {
            let texts = node.children().filter_map(|child| child.text().filter(|_| child.is_text()));
            let characters: u64 = texts.map(|text| text.chars().count() as u64).sum();
            sum.characters = sum.characters.saturating_add(characters);
        }
        for attribute in node.attributes() {
            let (is_link, value) = (attribute.name() == "href", attribute.value());
            let link = if is_link { value.trim().strip_prefix('#') } else { None };
            for id in link.into_iter().chain(function_targets(value)) {
                let Some(target) = self.ids.get(id).copied() else { continue };
                let extent = self.extent(target, depth + 1)?;
                // Only `use` repeats elements. Masks, patterns and gradients are shared.
                if is_link && node.tag_name().name() == "use" {
                    sum.add(extent);
                }
                sum.depth = sum.depth.max(extent.depth + 1);
            }
        }
        self.known.insert(node.id(), sum);
        Ok(sum)
    }

    /// Sum of the levels of all elements with content to which style sheets refer. Gradients have none.
    fn styled_depth(&mut self, styles: &[&'a str]) -> Result<usize, String> {
        let mut counted = HashSet::new();
        let mut sum = 0_usize;
        for id in styles.iter().flat_map(|css| function_targets(css)) {
            let Some(target) = self.ids.get(id).copied() else { continue };
            let has_content = !matches!(target.tag_name().name(), "linearGradient" | "radialGradient");
            if has_content && counted.insert(target.id()) {
                sum = sum.saturating_add(self.extent(target, 0)?.depth);
            }
        }
        Ok(sum)
    }
}

/// The ids in each `url(#id)` of a value or of a style sheet.
fn function_targets(value: &str) -> impl Iterator<Item = &str> {
    value.split("url(").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        target.trim().trim_matches(['"', '\'']).trim().strip_prefix('#')
    })
}

fn too_deep() -> String {
    format!("its elements are nested more than {DEPTH_MAX} levels deep, counting references")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_numbers_are_found_in_every_notation() {
        for harmless in
            ["", "M0 0", "1234567890", "M1e9-1e9", "1.00000000001234567", ".5.5.5", "9e-300", "2em", "1e", "m1-1e+2z"]
        {
            assert!(!has_huge_number(harmless), "{harmless}");
        }
        for huge in
            ["12345678901", "M0 0 1e10", "1E+10", "99e9", ".5e11", "0 1e99999999999999999999", "a1 1 0 1 1 1e30 1e30"]
        {
            assert!(has_huge_number(huge), "{huge}");
        }
    }
}
