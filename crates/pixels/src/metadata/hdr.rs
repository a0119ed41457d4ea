//! The description of a gain map in XMP (Adobe, Gain Map 1.0; Android, Ultra HDR Image Format 1.1).

use std::fmt::Write;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::xmp::is_prefix_of;

/// The namespace of gain maps.
const HDRGM: &str = "http://ns.adobe.com/hdr-gain-map/1.0/";

/// The properties of a gain map, each with one value, or one for each channel.
const PROPERTIES: [&str; 9] = [
    "Version",
    "GainMapMin",
    "GainMapMax",
    "Gamma",
    "OffsetSDR",
    "OffsetHDR",
    "HDRCapacityMin",
    "HDRCapacityMax",
    "BaseRenditionIsHDR",
];

/// Properties of a gain map and their values as they are written in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GainMapXmp(Vec<(&'static str, Vec<String>)>);

impl GainMapXmp {
    /// Reads the properties. `None` unless the packet describes a gain map of a base image in SDR.
    pub(crate) fn read(packet: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
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
                    if let (Some(name), Ok(text)) = (current, text.decode()) {
                        found.add(name, &text);
                    }
                }
                Event::End(element) if property(element.name().as_ref(), &prefixes).is_some() => current = None,
                Event::Eof => break,
                _ => {}
            }
        }
        let has = |name| found.0.iter().find(|(known, _)| *known == name);
        let is_base_hdr =
            has("BaseRenditionIsHDR").is_some_and(|(_, values)| values.iter().any(|value| value == "True"));
        (has("Version").is_some() && has("GainMapMax").is_some() && !is_base_hdr).then_some(found)
    }

    fn read_attributes(&mut self, element: &BytesStart<'_>, prefixes: &mut Vec<Vec<u8>>) {
        for attribute in element.attributes().with_checks(false).flatten() {
            if let Some(prefix) = attribute.key.as_ref().strip_prefix(b"xmlns:")
                && *attribute.value == *HDRGM.as_bytes()
                && prefixes.len() < 16
            {
                prefixes.push(prefix.to_vec());
            }
        }
        for attribute in element.attributes().with_checks(false).flatten() {
            if let Some(name) = property(attribute.key.as_ref(), prefixes)
                && let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0)
            {
                self.add(name, &value);
            }
        }
    }

    /// Adds a value if it is a number or a truth value.
    fn add(&mut self, name: &'static str, value: &str) {
        let value = value.trim();
        let is_valid =
            value == "True" || value == "False" || (value.len() < 32 && value.parse::<f64>().is_ok_and(f64::is_finite));
        if !is_valid {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) if values.len() < 3 => values.push(value.to_owned()),
            Some(_) => {}
            None => self.0.push((name, vec![value.to_owned()])),
        }
    }

    /// Writes the packet of a gain map.
    pub(crate) fn write(&self) -> Vec<u8> {
        let (mut attributes, mut elements) = (String::new(), String::new());
        for (name, values) in &self.0 {
            // Writing to a string cannot fail.
            let _ = match values.as_slice() {
                [value] => write!(attributes, " hdrgm:{name}=\"{value}\""),
                values => {
                    let items: String = values.iter().map(|value| format!("<rdf:li>{value}</rdf:li>")).collect();
                    write!(elements, "<hdrgm:{name}><rdf:Seq>{items}</rdf:Seq></hdrgm:{name}>")
                }
            };
        }
        super::xmp::packet(&format!(
            "<rdf:Description rdf:about=\"\" xmlns:hdrgm=\"{HDRGM}\"{attributes}>{elements}</rdf:Description>"
        ))
    }
}

/// The description, in the packet of the primary image, of a file with a gain map of `length` bytes (Android, Ultra HDR
/// Image Format 1.1, "GContainer").
pub(crate) fn directory(length: usize) -> String {
    format!(
        "<rdf:Description rdf:about=\"\" xmlns:hdrgm=\"{HDRGM}\" xmlns:Container=\"http://ns.google.com/photos/1.0/container/\" \
         xmlns:Item=\"http://ns.google.com/photos/1.0/container/item/\" hdrgm:Version=\"1.0\"><Container:Directory><rdf:Seq>\
         <rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"Primary\" Item:Mime=\"image/jpeg\"/></rdf:li>\
         <rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"GainMap\" Item:Mime=\"image/jpeg\" \
         Item:Length=\"{length}\"/></rdf:li></rdf:Seq></Container:Directory></rdf:Description>"
    )
}

fn property(name: &[u8], prefixes: &[Vec<u8>]) -> Option<&'static str> {
    PROPERTIES.into_iter().find(|property| prefixes.iter().any(|prefix| is_prefix_of(prefix, name, property)))
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
}
