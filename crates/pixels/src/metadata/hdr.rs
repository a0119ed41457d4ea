//! The description of a gain map in XMP (Adobe, Gain Map 1.0; Android, Ultra HDR Image Format 1.1; Apple, HDR gain map).

use std::fmt::Write;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::xmp::is_prefix_of;

/// A namespace with its usual prefix.
#[derive(Debug, PartialEq, Eq)]
struct Namespace {
    prefix: &'static str,
    uri: &'static str,
}

static HDRGM: Namespace = Namespace { prefix: "hdrgm", uri: "http://ns.adobe.com/hdr-gain-map/1.0/" };
static APPLE: Namespace = Namespace { prefix: "HDRGainMap", uri: "http://ns.apple.com/HDRGainMap/1.0/" };

/// Names the map of an Apple camera.
const APPLE_TYPE: &str = " xmlns:apdi=\"http://ns.apple.com/pixeldatainfo/1.0/\" \
    apdi:AuxiliaryImageType=\"urn:com:apple:photo:2020:aux:hdrgainmap\"";

/// A property of a gain map, with one value, or one for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Property {
    namespace: &'static Namespace,
    name: &'static str,
}

const fn adobe(name: &'static str) -> Property {
    Property { namespace: &HDRGM, name }
}

const VERSION: Property = adobe("Version");
const GAIN_MAP_MAX: Property = adobe("GainMapMax");
const BASE_RENDITION_IS_HDR: Property = adobe("BaseRenditionIsHDR");
const APPLE_VERSION: Property = Property { namespace: &APPLE, name: "HDRGainMapVersion" };
const APPLE_HEADROOM: Property = Property { namespace: &APPLE, name: "HDRGainMapHeadroom" };

const PROPERTIES: [Property; 11] = [
    VERSION,
    adobe("GainMapMin"),
    GAIN_MAP_MAX,
    adobe("Gamma"),
    adobe("OffsetSDR"),
    adobe("OffsetHDR"),
    adobe("HDRCapacityMin"),
    adobe("HDRCapacityMax"),
    BASE_RENDITION_IS_HDR,
    APPLE_VERSION,
    APPLE_HEADROOM,
];

/// Properties of a gain map and their values as they are written in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GainMapXmp(Vec<(Property, Vec<String>)>);

/// A prefix that a packet declares.
type Prefix = (Vec<u8>, &'static Namespace);

impl GainMapXmp {
    /// Reads the properties. `None` unless the packet describes a gain map of a base image in SDR.
    pub(crate) fn read(packet: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut prefixes: Vec<Prefix> = Vec::new();
        let mut reader = Reader::from_str(packet);
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        let mut current = None;
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Start(element) => {
                    found.read_attributes(&element, &mut prefixes);
                    current = property(element.name().as_ref(), &prefixes).or(current);
                }
                Event::Empty(element) => found.read_attributes(&element, &mut prefixes),
                Event::Text(text) => {
                    if let (Some(property), Ok(text)) = (current, text.decode()) {
                        found.add(property, &text);
                    }
                }
                Event::End(element) if property(element.name().as_ref(), &prefixes).is_some() => current = None,
                Event::Eof => break,
                _ => {}
            }
        }
        let is_base_hdr = found.values(BASE_RENDITION_IS_HDR).iter().any(|value| value == "True");
        ((found.is_of_adobe() && !is_base_hdr) || found.is_of_apple()).then_some(found)
    }

    /// True for a map as Adobe and Android describe it.
    pub(crate) fn is_of_adobe(&self) -> bool {
        [VERSION, GAIN_MAP_MAX].into_iter().all(|property| !self.values(property).is_empty())
    }

    /// True for a map as Apple describes it.
    fn is_of_apple(&self) -> bool {
        !self.values(APPLE_VERSION).is_empty()
    }

    /// True if the packet describes the map completely.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_of_adobe() || !self.values(APPLE_HEADROOM).is_empty()
    }

    fn values(&self, property: Property) -> &[String] {
        let found = self.0.iter().find(|(known, _)| *known == property);
        found.map_or(&[], |(_, values)| values.as_slice())
    }

    fn read_attributes(&mut self, element: &BytesStart<'_>, prefixes: &mut Vec<Prefix>) {
        for attribute in element.attributes().with_checks(false).flatten() {
            let Some(prefix) = attribute.key.as_ref().strip_prefix(b"xmlns:") else { continue };
            let namespace = [&HDRGM, &APPLE].into_iter().find(|space| space.uri.as_bytes() == &*attribute.value);
            if let Some(namespace) = namespace.filter(|_| prefixes.len() < 16) {
                prefixes.push((prefix.to_vec(), namespace));
            }
        }
        for attribute in element.attributes().with_checks(false).flatten() {
            if let Some(property) = property(attribute.key.as_ref(), prefixes)
                && let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0)
            {
                self.add(property, &value);
            }
        }
    }

    /// Adds a value if it is a number or a truth value.
    fn add(&mut self, property: Property, value: &str) {
        let value = value.trim();
        let is_valid =
            value == "True" || value == "False" || (value.len() < 32 && value.parse::<f64>().is_ok_and(f64::is_finite));
        if !is_valid {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == property) {
            Some((_, values)) if values.len() < 3 => values.push(value.to_owned()),
            Some(_) => {}
            None => self.0.push((property, vec![value.to_owned()])),
        }
    }

    /// Writes the packet of a gain map.
    pub(crate) fn write(&self) -> Vec<u8> {
        let (mut attributes, mut elements) = (String::new(), String::new());
        for namespace in [&HDRGM, &APPLE] {
            if self.0.iter().any(|(property, _)| property.namespace == namespace) {
                let Namespace { prefix, uri } = namespace;
                let _ = write!(attributes, " xmlns:{prefix}=\"{uri}\"");
            }
        }
        if self.is_of_apple() {
            attributes.push_str(APPLE_TYPE);
        }
        for (Property { namespace: Namespace { prefix, .. }, name }, values) in &self.0 {
            // Writing to a string cannot fail.
            let _ = match values.as_slice() {
                [value] => write!(attributes, " {prefix}:{name}=\"{value}\""),
                values => {
                    let items: String = values.iter().map(|value| format!("<rdf:li>{value}</rdf:li>")).collect();
                    write!(elements, "<{prefix}:{name}><rdf:Seq>{items}</rdf:Seq></{prefix}:{name}>")
                }
            };
        }
        super::xmp::packet(&format!("<rdf:Description rdf:about=\"\"{attributes}>{elements}</rdf:Description>"))
    }
}

/// The description, in the packet of the primary image, of a file with a gain map of `length` bytes (Android, Ultra HDR
/// Image Format 1.1, "GContainer").
pub(crate) fn directory(length: usize) -> String {
    let Namespace { uri, .. } = HDRGM;
    format!(
        "<rdf:Description rdf:about=\"\" xmlns:hdrgm=\"{uri}\" xmlns:Container=\"http://ns.google.com/photos/1.0/container/\" \
         xmlns:Item=\"http://ns.google.com/photos/1.0/container/item/\" hdrgm:Version=\"1.0\"><Container:Directory><rdf:Seq>\
         <rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"Primary\" Item:Mime=\"image/jpeg\"/></rdf:li>\
         <rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"GainMap\" Item:Mime=\"image/jpeg\" \
         Item:Length=\"{length}\"/></rdf:li></rdf:Seq></Container:Directory></rdf:Description>"
    )
}

fn property(name: &[u8], prefixes: &[Prefix]) -> Option<Property> {
    let is_declared = |Property { namespace, name: local }: &Property| {
        prefixes.iter().any(|(prefix, declared)| declared == namespace && is_prefix_of(prefix, name, local))
    };
    PROPERTIES.into_iter().find(is_declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_all_channels_are_read_and_written() {
        let packet = "<rdf:RDF xmlns:rdf='r'><rdf:Description xmlns:h='http://ns.adobe.com/hdr-gain-map/1.0/' h:Version='1.0'\
            h:GainMapMin='-0.5' h:Gamma='1e0' h:OffsetSDR='nan' h:HDRCapacityMax='x' h:BaseRenditionIsHDR='False'>\
            <h:GainMapMax><rdf:Seq><rdf:li>1</rdf:li><rdf:li>2.5</rdf:li><rdf:li>3</rdf:li></rdf:Seq></h:GainMapMax>\
            </rdf:Description></rdf:RDF>";
        let read = GainMapXmp::read(packet).unwrap();
        let written = String::from_utf8(read.write()).unwrap();
        assert_eq!(GainMapXmp::read(&written), Some(read));
        for expected in ["hdrgm:GainMapMin=\"-0.5\"", "<rdf:li>2.5</rdf:li>", "hdrgm:BaseRenditionIsHDR=\"False\""] {
            assert!(written.contains(expected), "{written}");
        }
        assert!(!written.contains("OffsetSDR") && !written.contains("HDRCapacityMax"));
        assert_eq!(GainMapXmp::read(&packet.replace("False", "True")), None);
        assert_eq!(GainMapXmp::read(&packet.replace("Version", "Other")), None);
        for (end, _) in packet.char_indices() {
            GainMapXmp::read(&packet[..end]);
        }
    }

    #[test]
    fn maps_of_apple_cameras_are_recognized() {
        let packet = "<r:RDF xmlns:r='r'><r:Description xmlns:HDRGainMap='http://ns.apple.com/HDRGainMap/1.0/'>\
            <HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion></r:Description></r:RDF>";
        let read = GainMapXmp::read(packet).unwrap();
        assert!(!read.is_of_adobe() && !read.is_complete());
        let written = String::from_utf8(read.write()).unwrap();
        assert!(written.contains("HDRGainMap:HDRGainMapVersion=\"65536\"") && written.contains("aux:hdrgainmap"));
        assert_eq!(GainMapXmp::read(&written), Some(read));
        let with_headroom =
            packet.replace("</r:Desc", "<HDRGainMap:HDRGainMapHeadroom>4.5</HDRGainMap:HDRGainMapHeadroom></r:Desc");
        assert!(GainMapXmp::read(&with_headroom).unwrap().is_complete());
    }
}
