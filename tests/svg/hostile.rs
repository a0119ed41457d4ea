//! Small SVG files that demand much time or memory, or that are damaged.

use crate::{SQUARE, picture};

/// `levels` groups, each of which uses the one before ten times.
fn uses(levels: usize) -> String {
    let mut elements = "<defs><rect id='g0' width='1' height='1'/>".to_owned();
    for n in 1..=levels {
        let ten = format!("<use xlink:href='#g{}'/>", n - 1).repeat(10);
        elements += &format!("<g id='g{n}'>{ten}</g>");
    }
    picture(&format!("{elements}</defs><use xlink:href='#g{levels}'/>"))
}

/// A path of 3,000 bytes that is used 3,600 times.
fn used_path() -> String {
    let path = format!("<path id='p' stroke='#000' stroke-dasharray='1' d='M0 0{}'/>", "l1 1-1 2".repeat(375));
    let sixty = "<use xlink:href='#p'/>".repeat(60);
    picture(&format!("<defs>{path}<g id='a'>{sixty}</g></defs>{}", "<use xlink:href='#a'/>".repeat(60)))
}

/// `levels` entities, each of which repeats the one before ten times.
fn entities(levels: usize) -> String {
    let mut declarations = "<!ENTITY e0 'ha'>".to_owned();
    for n in 1..=levels {
        declarations += &format!("<!ENTITY e{n} '{}'>", format!("&e{};", n - 1).repeat(10));
    }
    format!("<!DOCTYPE svg [{declarations}]>{}", picture(&format!("<text>&e{levels};</text>")))
}

fn nested(start: &str, inner: &str, end: &str, count: usize) -> String {
    picture(&format!("{}{inner}{}", start.repeat(count), end.repeat(count)))
}

/// A chain of masks, each of which refers to the next one by a rule of a style sheet.
fn styled_masks(count: usize) -> String {
    let rules: String = (0..count).map(|n| format!("#r{n}{{mask:url(#m{})}}", n + 1)).collect();
    let masks: String =
        (0..=count).map(|n| format!("<mask id='m{n}'><rect id='r{n}' width='9' height='9'/></mask>")).collect();
    picture(&format!("<style>{rules}</style>{masks}<rect width='9' height='9' mask='url(#m0)'/>"))
}

/// Masks in a chain, each of which follows a reference that leads nowhere.
fn second_references(count: usize) -> String {
    let filters: String = (0..count)
        .map(|n| format!("<mask id='m{n}'><g style='filter:url(#x) url(#m{})'><rect/></g></mask>", n + 1))
        .collect();
    picture(&filters)
}

/// Hostile files with a part of the error, which is empty if a harmless picture is acceptable.
pub(crate) fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let masks: String = (0..300)
        .map(|n| format!("<mask id='m{n}' mask='url(#m{})'><rect width='9' height='9'/></mask>", n + 1))
        .collect();
    let patterns = |content: &str| format!("<pattern id='p' width='1' height='1'>{content}</pattern>");
    let filter = |primitives: &str| {
        picture(&format!(
            "<filter id='f' x='-1e6' y='-1e6' width='2e6' height='2e6'>{primitives}</filter><g filter='url(#f)'>{SQUARE}</g>"
        ))
    };
    vec![
        ("entities", entities(9), "damaged"),
        ("uses", uses(9), "elements, counting each use"),
        ("uses of a long path", used_path(), "bytes, counting each use"),
        ("few uses", uses(3), ""),
        ("deep groups", nested("<g>", SQUARE, "</g>", 200_000), "damaged"),
        (
            "deep opacity",
            nested("<g opacity='.9'>", "<rect width='999' height='999'/>", "</g>", 90),
            "bytes at this size",
        ),
        ("masks in a chain", picture(&format!("{masks}<rect width='9' height='9' mask='url(#m0)'/>")), "100 levels"),
        ("circular use", picture("<g id='a'><use xlink:href='#b'/></g><g id='b'><use xlink:href='#a'/></g>"), ""),
        (
            "circular pattern",
            picture(&format!(
                "{}<rect width='9' height='9' fill='url(#p)'/>",
                patterns("<rect width='9' height='9' fill='url(#p)'/>")
            )),
            "",
        ),
        ("huge filter region", filter("<feFlood flood-color='#0f0'/>"), ""),
        ("many primitives", filter(&"<feFlood result='a'/>".repeat(300)), "bytes at this size"),
        ("endless turbulence", filter("<feTurbulence baseFrequency='.1' numOctaves='100000000'/>"), "too much work"),
        ("huge morphology", filter("<feMorphology operator='dilate' radius='100000'/>"), "too much work"),
        (
            "huge pattern",
            picture(
                "<pattern id='p' width='1e5' height='1e5' patternUnits='userSpaceOnUse'><rect width='9' height='9'/></pattern><rect width='99' height='99' fill='url(#p)'/>",
            ),
            "too much work",
        ),
        (
            "huge numbers",
            picture(
                "<path d='M-1e38 1e38L1e38 -1e38 3e38 3e38z' stroke='#000' stroke-width='1e38' stroke-dasharray='1e-9'/>",
            ),
            "",
        ),
        ("dashes", picture("<path d='M0 0H1e7' stroke='#000' stroke-dasharray='.00001'/>"), ""),
        (
            "many markers",
            picture(&format!(
                "<marker id='m'>{}</marker><path marker-mid='url(#m)' d='M0 0{}'/>",
                SQUARE.repeat(1000),
                "L1 1".repeat(50_000)
            )),
            "",
        ),
        (
            "wide rules",
            picture(&format!("<style>{}</style>{}", "g g g>*{fill:red}".repeat(2000), "<g/>".repeat(20_000))),
            "too many rules",
        ),
        (
            "many rules",
            picture(&format!("<style>{}</style>{}", ".a{fill:red}".repeat(40_000), "<g/>".repeat(40_000))),
            "too many rules",
        ),
        (
            "many declarations",
            picture(&format!("<style>*{{{}}}</style>{}", "fill:red;".repeat(100_000), "<g/>".repeat(20_000))),
            "too many rules",
        ),
        (
            "used style attribute",
            picture(&format!(
                "<g id='a'><g style='{}'/></g>{}",
                "fill:red;".repeat(50_000),
                "<use href='#a'/>".repeat(1000)
            )),
            "style attributes",
        ),
        ("masks in a chain of rules", styled_masks(300), "levels"),
        ("masks in a short chain of rules", styled_masks(190), ""),
        ("references after others", second_references(300), "100 levels"),
        ("many addresses", picture(&format!("<rect style='{}'/>", "url(a) ".repeat(500_000))), ""),
        ("long text", picture(&format!("<text>{}</text>", "W".repeat(500_000))), ""),
        ("unclosed", "<svg xmlns='http://www.w3.org/2000/svg'><g>".to_owned(), "damaged"),
        ("other root", "<svg xmlns='http://www.w3.org/1999/xhtml'/>".to_owned(), "damaged"),
    ]
}
