//! Statements in XMP packets (ISO 16684-1).
//!
//! Prefixes of namespaces are looked up in the whole packet and not by element, so that a packet is read in one pass
//! whatever it declares.

use std::fmt::Write;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion, escape};

use super::{Copyright, Text};

/// A namespace with its usual prefix.
struct Namespace {
    prefix: &'static str,
    uri: &'static str,
}

const RDF: Namespace = Namespace { prefix: "rdf", uri: "http://www.w3.org/1999/02/22-rdf-syntax-ns#" };
const DC: Namespace = Namespace { prefix: "dc", uri: "http://purl.org/dc/elements/1.1/" };
const PHOTOSHOP: Namespace = Namespace { prefix: "photoshop", uri: "http://ns.adobe.com/photoshop/1.0/" };
const RIGHTS: Namespace = Namespace { prefix: "xmpRights", uri: "http://ns.adobe.com/xap/1.0/rights/" };
const IPTC: Namespace = Namespace { prefix: "Iptc4xmpExt", uri: "http://iptc.org/std/Iptc4xmpExt/2008-02-29/" };

/// A property with one of the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    Creator,
    Rights,
    Credit,
    UsageTerms,
    WebStatement,
    DigitalSourceType,
}

/// The form of a value (ISO 16684-1, section 7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Simple,
    /// An array whose order matters.
    Sequence,
    /// An array with a text for each language.
    Languages,
}

impl Property {
    const ALL: [(Self, &'static Namespace, &'static str, Form); 6] = [
        (Self::Creator, &DC, "creator", Form::Sequence),
        (Self::Rights, &DC, "rights", Form::Languages),
        (Self::Credit, &PHOTOSHOP, "Credit", Form::Simple),
        (Self::UsageTerms, &RIGHTS, "UsageTerms", Form::Languages),
        (Self::WebStatement, &RIGHTS, "WebStatement", Form::Simple),
        (Self::DigitalSourceType, &IPTC, "DigitalSourceType", Form::Simple),
    ];
}

/// True if `name` consists of the prefix, a colon and the local name.
pub(super) fn is_prefix_of(prefix: &[u8], name: &[u8], local: &str) -> bool {
    name.strip_suffix(local.as_bytes()).and_then(|rest| rest.strip_suffix(b":")) == Some(prefix)
}

/// Prefixes that the packet declares.
#[derive(Default)]
struct Prefixes(Vec<(Vec<u8>, &'static str)>);

/// Maximum number of prefixes that are remembered.
const PREFIXES_MAX: usize = 16;

impl Prefixes {
    /// Remembers the declarations of the element.
    fn declare(&mut self, element: &BytesStart<'_>) {
        for attribute in element.attributes().with_checks(false).flatten() {
            let Some(prefix) = attribute.key.as_ref().strip_prefix(b"xmlns:") else { continue };
            let namespace = [&RDF, &DC, &PHOTOSHOP, &RIGHTS, &IPTC]
                .into_iter()
                .find(|namespace| namespace.uri.as_bytes() == &*attribute.value);
            if let Some(namespace) = namespace.filter(|_| self.0.len() < PREFIXES_MAX) {
                self.0.push((prefix.to_vec(), namespace.uri));
            }
        }
    }

    /// True if `name` is this name in the namespace.
    fn matches(&self, name: &[u8], namespace: &Namespace, local: &str) -> bool {
        self.0.iter().any(|(prefix, uri)| *uri == namespace.uri && is_prefix_of(prefix, name, local))
    }

    fn property(&self, name: &[u8]) -> Option<Property> {
        let found = Property::ALL.iter().find(|(_, namespace, local, _)| self.matches(name, namespace, local));
        found.map(|(property, ..)| *property)
    }
}

/// Reads the statements up to the first damage.
pub(super) fn read(packet: &str) -> Copyright {
    let mut copyright = Copyright::default();
    let mut reader = Reader::from_str(packet);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut prefixes = Prefixes::default();
    // The property around the current position, with the number of elements in it and the text of the current one.
    let mut current: Option<(Property, u32)> = None;
    let mut text = String::new();
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) => {
                prefixes.declare(&element);
                read_attributes(&element, &prefixes, &mut copyright);
                text.clear();
                current = match current {
                    Some((property, depth)) => Some((property, depth.saturating_add(1))),
                    None => prefixes.property(element.name().as_ref()).map(|property| (property, 0)),
                };
            }
            Event::Empty(element) => {
                prefixes.declare(&element);
                read_attributes(&element, &prefixes, &mut copyright);
            }
            Event::End(_) => {
                if let Some((property, depth)) = current {
                    set(&mut copyright, property, &text);
                    current = depth.checked_sub(1).map(|depth| (property, depth));
                }
                text.clear();
            }
            Event::Text(part) if current.is_some() => {
                let Ok(part) = part.decode() else { break };
                push(&mut text, &part);
            }
            Event::CData(part) if current.is_some() => {
                let Ok(part) = part.decode() else { break };
                push(&mut text, &part);
            }
            Event::GeneralRef(reference) if current.is_some() => {
                if let Ok(Some(c)) = reference.resolve_char_ref() {
                    push(&mut text, c.encode_utf8(&mut [0; 4]));
                } else if let Ok(name) = reference.decode() {
                    push(&mut text, escape::resolve_predefined_entity(&name).unwrap_or_default());
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    copyright
}

/// Properties with simple values may be attributes (ISO 16684-1, section 7.9.2.2).
fn read_attributes(element: &BytesStart<'_>, prefixes: &Prefixes, copyright: &mut Copyright) {
    let is_description = prefixes.matches(element.name().as_ref(), &RDF, "Description");
    if !is_description {
        return;
    }
    for attribute in element.attributes().with_checks(false).flatten() {
        if let Some(property) = prefixes.property(attribute.key.as_ref())
            && let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0)
        {
            set(copyright, property, &value);
        }
    }
}

/// Appends text, up to a length after which [`Text`] would cut it anyway.
fn push(text: &mut String, part: &str) {
    if text.len() < 8 << 10 {
        text.push_str(part);
    }
}

/// Adds a creator, or sets another statement unless it is set. The first of several languages is the default.
fn set(copyright: &mut Copyright, property: Property, value: &str) {
    let Some(value) = Text::new(value) else { return };
    let statement = match property {
        Property::Creator => return copyright.add_creator(value),
        Property::Rights => &mut copyright.notice,
        Property::Credit => &mut copyright.credit,
        Property::UsageTerms => &mut copyright.usage_terms,
        Property::WebStatement => &mut copyright.web_statement,
        Property::DigitalSourceType => &mut copyright.digital_source_type,
    };
    statement.get_or_insert(value);
}

/// Writes the statements as an `rdf:Description`; `None` without statements.
pub(super) fn write(copyright: &Copyright) -> Option<String> {
    let values = |property| match property {
        Property::Creator => copyright.creators.iter().collect(),
        Property::Rights => Vec::from_iter(&copyright.notice),
        Property::Credit => Vec::from_iter(&copyright.credit),
        Property::UsageTerms => Vec::from_iter(&copyright.usage_terms),
        Property::WebStatement => Vec::from_iter(&copyright.web_statement),
        Property::DigitalSourceType => Vec::from_iter(&copyright.digital_source_type),
    };
    let (mut declarations, mut body) = (String::new(), String::new());
    for (property, Namespace { prefix, uri }, local, form) in Property::ALL {
        let values: Vec<&Text> = values(property);
        if values.is_empty() {
            continue;
        }
        let declaration = format!(" xmlns:{prefix}=\"{uri}\"");
        if !declarations.contains(&declaration) {
            declarations.push_str(&declaration);
        }
        let (array, item) = match form {
            Form::Simple => ("", ""),
            Form::Sequence => ("rdf:Seq", "rdf:li"),
            Form::Languages => ("rdf:Alt", "rdf:li xml:lang=\"x-default\""),
        };
        // Writing to a string cannot fail.
        let _ = write!(body, "<{prefix}:{local}>");
        if form != Form::Simple {
            let _ = write!(body, "<{array}>");
        }
        for value in values {
            let value = escape::escape(value.as_str());
            let _ = match form {
                Form::Simple => write!(body, "{value}"),
                Form::Sequence | Form::Languages => write!(body, "<{item}>{value}</rdf:li>"),
            };
        }
        if form != Form::Simple {
            let _ = write!(body, "</{array}>");
        }
        let _ = write!(body, "</{prefix}:{local}>");
    }
    let description = format!("<rdf:Description rdf:about=\"\"{declarations}>{body}</rdf:Description>");
    (!body.is_empty()).then_some(description)
}

/// A packet with these elements `rdf:Description` (section 7.3).
pub(crate) fn packet(descriptions: &str) -> Vec<u8> {
    let Namespace { uri: rdf, .. } = RDF;
    let packet = format!(
        "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"{rdf}\">{descriptions}</rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>"
    );
    packet.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<Text> {
        Text::new(text)
    }

    #[test]
    fn statements_are_read_as_elements_and_attributes_with_any_prefix() {
        let original = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
            <r:Description xmlns:p='http://ns.adobe.com/photoshop/1.0/' p:Credit='A &amp; B' p:City='Bonn'\
            xmlns:d='http://purl.org/dc/elements/1.1/' xmlns:w='http://ns.adobe.com/xap/1.0/rights/'\
            xmlns:i='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' w:WebStatement='https://example.com/l'>\
            <d:creator><r:Seq><r:li>Ada</r:li><r:li>Bob &#x26; Co</r:li></r:Seq></d:creator>\
            <d:title><r:Alt><r:li>Secret</r:li></r:Alt></d:title>\
            <d:rights><r:Alt><r:li xml:lang='x-default'>© Ada &lt;3</r:li><r:li xml:lang='de'>von Ada</r:li></r:Alt></d:rights>\
            <w:UsageTerms><r:Alt><r:li><![CDATA[Ask <us>]]></r:li></r:Alt></w:UsageTerms>\
            <i:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</i:DigitalSourceType>\
            </r:Description></r:RDF></x:xmpmeta>";
        let copyright = read(original);
        assert_eq!(copyright.creators, [text("Ada").unwrap(), text("Bob & Co").unwrap()]);
        assert_eq!(copyright.credit, text("A & B"));
        assert_eq!(copyright.notice, text("© Ada <3"));
        assert_eq!(copyright.usage_terms, text("Ask <us>"));
        assert_eq!(copyright.web_statement, text("https://example.com/l"));
        let source = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture";
        assert_eq!(copyright.digital_source_type, text(source));
        let written = String::from_utf8(packet(&write(&copyright).unwrap())).unwrap();
        assert_eq!(read(&written), copyright);
        assert!(!written.contains("Bonn") && !written.contains("Secret"));
    }

    #[test]
    fn damage_never_panics_and_keeps_the_statements_before_it() {
        let copyright = Copyright { credit: text("A"), notice: text("B"), ..Copyright::default() };
        let packet = String::from_utf8(packet(&write(&copyright).unwrap())).unwrap();
        for (end, _) in packet.char_indices() {
            read(&packet[..end]);
        }
        let cut = &packet[..packet.find("</photoshop").unwrap()];
        assert_eq!(read(cut).notice, text("B"));
        assert_eq!(read("</a></a><?xml?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), Copyright::default());
    }

    #[test]
    fn packet_without_statements_is_not_written_and_the_longest_fits_a_segment_of_a_jpeg() {
        assert_eq!(write(&Copyright::default()), None);
        let long = |n: u32| Text::new(&format!("{n}{}", "&".repeat(2000)));
        let copyright = Copyright {
            creators: (0..4).filter_map(long).collect(),
            credit: long(0),
            notice: long(0),
            usage_terms: long(0),
            web_statement: long(0),
            digital_source_type: long(0),
        };
        assert!(packet(&write(&copyright).unwrap()).len() < 56 << 10);
    }
}
