//! Builds valid and invalid AVIF files.

/// Builder of a file. Items with construction method 1 are stored in `idat`.
pub(super) struct FileBuilder {
    pub(super) primary: Option<u16>,
    pub(super) items: Vec<Item>,
    pub(super) references: Vec<([u8; 4], u16, Vec<u16>)>,
    pub(super) idat: Vec<u8>,
    /// The version of `iloc`, and the size of its fields in bytes.
    pub(super) iloc: (u8, u8),
    /// The number of an additional property of the first item.
    pub(super) extra_association: Option<u8>,
}

#[derive(Clone)]
pub(super) struct Item {
    pub(super) id: u16,
    pub(super) kind: [u8; 4],
    pub(super) is_protected: bool,
    pub(super) method: u16,
    pub(super) data_reference: u16,
    pub(super) extents: Vec<(u64, u64)>,
    pub(super) properties: Vec<([u8; 4], Vec<u8>, bool)>,
}

impl Item {
    /// An AV1 item in 4:2:0 with 8 bits, stored in the first eight bytes of `idat`.
    fn av1(id: u16, (width, height): (u32, u32)) -> Self {
        let size = [[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat();
        let properties = vec![(*b"ispe", size[4..].to_vec(), false), (*b"av1C", vec![0x81, 0, 0x0C, 0], true)];
        Self {
            id,
            kind: *b"av01",
            is_protected: false,
            method: 1,
            data_reference: 0,
            extents: vec![(0, 8)],
            properties,
        }
    }
}

impl FileBuilder {
    /// A single image of 8 x 8 pixels.
    pub(super) fn single() -> Self {
        Self {
            primary: Some(1),
            items: vec![Item::av1(1, (8, 8))],
            references: Vec::new(),
            idat: b"12345678".to_vec(),
            iloc: (1, 4),
            extra_association: None,
        }
    }

    /// A grid of two tiles of 8 x 8 pixels, side by side.
    pub(super) fn grid() -> Self {
        let mut builder = Self::single();
        builder.idat.extend([0, 0, 0, 1, 0, 16, 0, 8]);
        let grid = Item { kind: *b"grid", extents: vec![(8, 8)], ..Item::av1(1, (16, 8)) };
        builder.items = vec![grid, Item::av1(2, (8, 8)), Item::av1(3, (8, 8))];
        builder.references = vec![(*b"dimg", 1, vec![2, 3])];
        builder
    }

    /// Adds a property to the first item.
    pub(super) fn property(&mut self, kind: &[u8; 4], data: &[u8], is_essential: bool) {
        self.items[0].properties.push((*kind, data.to_vec(), is_essential));
    }

    /// Replaces the data of a property of the first item. The version field of `ispe` is dropped.
    pub(super) fn set(&mut self, kind: &[u8; 4], data: &[u8]) {
        let property = self.items[0].properties.iter_mut().find(|property| property.0 == *kind).unwrap();
        property.1 = if kind == b"ispe" { data[4..].to_vec() } else { data.to_vec() };
    }

    /// Adds an auxiliary image of type `purpose` to item `master`.
    pub(super) fn alpha(&mut self, id: u16, master: u16, size: (u32, u32), purpose: &[u8]) {
        let mut item = Item::av1(id, size);
        item.properties.push((*b"auxC", [&[0; 4], purpose, &[0]].concat(), false));
        self.items.push(item);
        self.references.push((*b"auxl", id, vec![master]));
    }

    pub(super) fn file(&self) -> Vec<u8> {
        let mut boxes = vec![full_box(b"hdlr", 0, &[&[0; 4][..], b"pict", &[0; 13]].concat())];
        boxes.extend(self.primary.map(|id| full_box(b"pitm", 0, &id.to_be_bytes())));
        boxes.extend([self.iloc(), self.iinf(), self.iprp(), iso_box(b"idat", &self.idat), self.iref()]);
        file(b"avif", &[full_box(b"meta", 0, &boxes.concat())])
    }

    fn iloc(&self) -> Vec<u8> {
        let (version, bytes) = self.iloc;
        let number = |n: u64| n.to_be_bytes()[8 - usize::from(bytes)..].to_vec();
        let id = |n: u16| if version > 1 { u32::from(n).to_be_bytes().to_vec() } else { n.to_be_bytes().to_vec() };
        let mut data = vec![bytes << 4 | bytes, bytes << 4];
        data.extend(id(u16::try_from(self.items.len()).unwrap()));
        for (n, item) in self.items.iter().enumerate() {
            // Items with the same id share one location.
            if self.items[..n].iter().any(|other| other.id == item.id) {
                data[if version > 1 { 5 } else { 3 }] -= 1;
                continue;
            }
            data.extend(id(item.id));
            if version > 0 {
                data.extend(item.method.to_be_bytes());
            }
            data.extend(item.data_reference.to_be_bytes());
            // The base offset.
            data.extend(number(0));
            data.extend(u16::try_from(item.extents.len()).unwrap().to_be_bytes());
            data.extend(item.extents.iter().flat_map(|(at, length)| [number(*at), number(*length)].concat()));
        }
        full_box(b"iloc", version, &data)
    }

    fn iinf(&self) -> Vec<u8> {
        let mut data = u16::try_from(self.items.len()).unwrap().to_be_bytes().to_vec();
        for item in &self.items {
            let protection = u16::from(item.is_protected).to_be_bytes();
            data.extend(full_box(b"infe", 2, &[&item.id.to_be_bytes()[..], &protection, &item.kind, b"\0"].concat()));
        }
        full_box(b"iinf", 0, &data)
    }

    fn iprp(&self) -> Vec<u8> {
        let (mut properties, mut associations, mut number) = (Vec::new(), Vec::new(), 0);
        let mut seen = Vec::new();
        for item in &self.items {
            if seen.contains(&item.id) {
                continue;
            }
            seen.push(item.id);
            let mut own = Vec::new();
            for (kind, data, is_essential) in &item.properties {
                number += 1;
                properties.extend(if kind == b"ispe" { full_box(kind, 0, data) } else { iso_box(kind, data) });
                own.push(number | if *is_essential { 0x80 } else { 0 });
            }
            own.extend(self.extra_association.filter(|_| item.id == 1));
            associations.extend(item.id.to_be_bytes());
            associations.push(u8::try_from(own.len()).unwrap());
            associations.extend(own);
        }
        let count = u32::try_from(seen.len()).unwrap().to_be_bytes();
        let ipma = full_box(b"ipma", 0, &[&count[..], &associations].concat());
        iso_box(b"iprp", &[iso_box(b"ipco", &properties), ipma].concat())
    }

    fn iref(&self) -> Vec<u8> {
        let list = |(kind, from, to): &([u8; 4], u16, Vec<u16>)| {
            let count = u16::try_from(to.len()).unwrap();
            let numbers = [*from, count].into_iter().chain(to.iter().copied());
            iso_box(kind, &numbers.flat_map(u16::to_be_bytes).collect::<Vec<_>>())
        };
        full_box(b"iref", 0, &self.references.iter().flat_map(list).collect::<Vec<_>>())
    }
}

/// A file with a brand and these boxes.
pub(super) fn file(brand: &[u8; 4], boxes: &[Vec<u8>]) -> Vec<u8> {
    let ftyp = iso_box(b"ftyp", &[brand, &[0; 4][..], brand].concat());
    [ftyp, boxes.concat()].concat()
}

pub(super) fn iso_box(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(data.len() + 8).unwrap().to_be_bytes();
    [&size[..], kind, data].concat()
}

fn full_box(kind: &[u8; 4], version: u8, data: &[u8]) -> Vec<u8> {
    iso_box(kind, &[&[version, 0, 0, 0], data].concat())
}

/// The payload of `clap`: width, height, and the horizontal and vertical offset of the center.
pub(super) fn clap(fractions: [(u32, u32); 4]) -> Vec<u8> {
    fractions.iter().flat_map(|(n, d)| [n.to_be_bytes(), d.to_be_bytes()].concat()).collect()
}
