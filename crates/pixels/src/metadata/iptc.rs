//! By-line, credit and copyright notice of IPTC-IIM (version 4.2), which Photoshop stores in image resources.

use super::{Copyright, Text};

/// Reads Photoshop image resources (Adobe Photoshop File Formats Specification, "Image Resource Blocks").
pub(super) fn read(mut resources: &[u8]) -> Copyright {
    while let Some((id, data, rest)) = next_resource(resources) {
        if id == IPTC {
            return records(data);
        }
        resources = rest;
    }
    Copyright::default()
}

/// The resource with IPTC-IIM records.
const IPTC: u16 = 0x0404;

/// The id and the data of the first resource, and the rest.
fn next_resource(resources: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (id, rest) = resources.strip_prefix(b"8BIM")?.split_first_chunk()?;
    // A name with its length, and the data, are padded to an even length.
    let name = usize::from(*rest.first()?) + 1;
    let (length, rest) = rest.get(name.next_multiple_of(2)..)?.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (data, rest) = rest.split_at_checked(length)?;
    Some((u16::from_be_bytes(*id), data, rest.get(length % 2..).unwrap_or_default()))
}

/// Reads the datasets of record 2 (sections 1.5 and 6).
fn records(mut data: &[u8]) -> Copyright {
    let mut copyright = Copyright::default();
    while let [0x1C, record, dataset, high, low, rest @ ..] = data {
        let length = u16::from_be_bytes([*high, *low]);
        // Longer datasets have an extended length, which these statements never need.
        let Some((value, rest)) = rest.split_at_checked(length.into()) else { break };
        data = rest;
        match (record, dataset) {
            (2, 80) => Text::from_bytes(value).into_iter().for_each(|creator| copyright.add_creator(creator)),
            (2, 110) => copyright.credit = copyright.credit.or_else(|| Text::from_bytes(value)),
            (2, 116) => copyright.notice = copyright.notice.or_else(|| Text::from_bytes(value)),
            _ => {}
        }
    }
    copyright
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_from_image_resources() {
        let dataset =
            |number: u8, value: &[u8]| [&[0x1C, 2, number, 0, u8::try_from(value.len()).unwrap()], value].concat();
        let datasets = [
            dataset(0, &[0, 4]),
            dataset(80, b"Ada"),
            dataset(80, b"Bob"),
            dataset(110, b"Agency"),
            dataset(116, b"\xA9 Ada"),
        ];
        let datasets = datasets.concat();
        let length = u32::try_from(datasets.len()).unwrap().to_be_bytes();
        let thumbnail = b"8BIM\x04\x0C\x02ab\0\0\0\0\x03xyz\0";
        let resources = [&thumbnail[..], b"8BIM\x04\x04\0\0", &length, &datasets].concat();
        let copyright = read(&resources);
        assert_eq!(copyright.creators, [Text::new("Ada").unwrap(), Text::new("Bob").unwrap()]);
        assert_eq!((copyright.credit, copyright.notice), (Text::new("Agency"), Text::new("© Ada")));
        for length in 0..resources.len() {
            read(&resources[..length]);
            let mut damaged = resources.clone();
            damaged[length] ^= 0xFF;
            read(&damaged);
        }
    }
}
