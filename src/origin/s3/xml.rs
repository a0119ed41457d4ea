//! Reads the XML documents of S3: elements with text, a few levels deep.

use quick_xml::Reader;
use quick_xml::events::Event;

/// An element that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// Local names from the root down to this element, separated by slashes: `Error/Code`.
    pub(super) path: &'a str,
    /// The text after the last child element.
    pub(super) text: &'a str,
}

/// Calls `visit` for each element at its end. True if the document is complete and well-formed. If it is not, the elements
/// before the defect are visited, the open one included.
pub(super) fn visit_elements(xml: &str, mut visit: impl FnMut(Element<'_>)) -> bool {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut text) = (String::new(), String::new());
    let mut has_root = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                has_root = true;
                push(&mut path, start.local_name().as_ref());
                text.clear();
            }
            Ok(Event::Empty(empty)) => {
                has_root = true;
                push(&mut path, empty.local_name().as_ref());
                visit(Element { path: &path, text: "" });
                pop(&mut path);
                text.clear();
            }
            Ok(Event::End(_)) => {
                visit(Element { path: &path, text: &text });
                pop(&mut path);
                text.clear();
            }
            Ok(Event::Text(part)) => text.push_str(&part.decode().unwrap_or_default()),
            Ok(Event::CData(part)) => text.push_str(&part.decode().unwrap_or_default()),
            Ok(Event::GeneralRef(reference)) => {
                if let Ok(Some(character)) = reference.resolve_char_ref() {
                    text.push(character);
                } else {
                    let name = reference.decode().unwrap_or_default();
                    text.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap_or_default());
                }
            }
            Ok(Event::Eof) if path.is_empty() => return has_root,
            Ok(Event::Eof) | Err(_) => {
                visit(Element { path: &path, text: &text });
                return false;
            }
            Ok(Event::Comment(_) | Event::Decl(_) | Event::DocType(_) | Event::PI(_)) => {}
        }
    }
}

fn push(path: &mut String, name: &[u8]) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(&String::from_utf8_lossy(name));
}

fn pop(path: &mut String) {
    path.truncate(path.rfind('/').unwrap_or_default());
}

/// The text of the first element at `path`.
pub(super) fn text_of(xml: &str, path: &str) -> Option<String> {
    let mut found = None;
    visit_elements(xml, |element| {
        if element.path == path && found.is_none() {
            found = Some(element.text.to_owned());
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_unescaped_and_namespaces_are_ignored() {
        let xml = "<?xml version=\"1.0\"?>\n<s:R xmlns:s=\"urn:s\"><a>1 &lt; &#x32;</a><a>2</a><b><![CDATA[x]]></b><c/></s:R>";
        let mut elements = Vec::new();
        assert!(visit_elements(xml, |element| elements.push(format!("{}={}", element.path, element.text))));
        assert_eq!(elements, ["R/a=1 < 2", "R/a=2", "R/b=x", "R/c=", "R="]);
        assert_eq!(text_of(xml, "R/a").as_deref(), Some("1 < 2"));
    }

    #[test]
    fn an_incomplete_document_is_told_from_a_complete_one() {
        for xml in ["", "text", "<a>", "<a><b></a>", "<a>x</b>"] {
            assert!(!visit_elements(xml, |_| {}), "{xml}");
        }
        assert_eq!(text_of("<a><b>x", "a/b").as_deref(), Some("x"));
    }
}
