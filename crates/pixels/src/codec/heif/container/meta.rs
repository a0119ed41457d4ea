//! The items of a file (ISO/IEC 14496-12, section 8.11): their types, locations, properties and references.

use std::collections::BTreeMap;

use super::boxes::{Boxes, Fields, IsoBox};
use super::layer::{Coding, Tile};
use crate::error::{Error, damaged};

/// Maximum number of items: the largest grid, its alpha images, and metadata.
const ITEMS_MAX: usize = 4096;

/// Maximum number of references.
const REFERENCES_MAX: usize = 4 * ITEMS_MAX;

/// Maximum number of extents of an item.
const EXTENTS_MAX: u16 = 64;

#[derive(Debug)]
pub(super) struct Meta<'a> {
    file: &'a [u8],
    pub(super) coding: Coding,
    /// Item data within the metadata.
    idat: &'a [u8],
    pub(super) primary: Option<u32>,
    items: BTreeMap<u32, Item>,
    /// Targets of references, by reference type and source item.
    references: BTreeMap<([u8; 4], u32), Vec<u32>>,
    /// Items refer to these by index, starting at 1.
    properties: Vec<IsoBox<'a>>,
}

/// An item. All fields are optional, because the boxes may come in any order.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) kind: Option<[u8; 4]>,
    is_protected: bool,
    location: Option<Location>,
    /// Property numbers, and true for essential properties.
    pub(super) properties: Vec<(u16, bool)>,
}

#[derive(Debug)]
struct Location {
    /// 0 for the file, 1 for `idat`, 2 for another item.
    method: u16,
    /// 0 for this file.
    data_reference: u16,
    /// Offsets and lengths.
    extents: Vec<(u64, u64)>,
}

impl<'a> Meta<'a> {
    /// Metadata without items.
    fn new(file: &'a [u8], coding: Coding) -> Self {
        let (items, references) = (BTreeMap::new(), BTreeMap::new());
        Self { file, coding, idat: &[], primary: None, items, references, properties: Vec::new() }
    }

    /// Reads the boxes of the metadata. The items are validated on access.
    pub(super) fn read(file: &'a [u8], meta: &IsoBox<'a>, coding: Coding) -> Result<Self, Error> {
        let (_, _, fields) = meta.full_up_to(0)?;
        let mut read = Self::new(file, coding);
        let mut seen = Vec::new();
        for inner in Boxes::new(fields.rest()) {
            let inner = inner?;
            if !matches!(&inner.kind, b"hdlr" | b"pitm" | b"iinf" | b"iloc" | b"iref" | b"iprp" | b"idat") {
                continue;
            }
            if seen.contains(&inner.kind) {
                return Err(damaged(format!("duplicate box '{}'", inner.kind.escape_ascii())));
            }
            seen.push(inner.kind);
            match &inner.kind {
                b"hdlr" => handler(&inner)?,
                b"pitm" => {
                    let (version, _, mut fields) = inner.full_up_to(1)?;
                    read.primary = Some(fields.id(version > 0)?);
                }
                b"iinf" => read.infos(&inner)?,
                b"iloc" => read.locations(&inner)?,
                b"iref" => read.references(&inner)?,
                b"iprp" => read.properties(&inner)?,
                _ => read.idat = inner.data,
            }
        }
        if !seen.contains(b"hdlr") {
            return Err(damaged("metadata without a handler (hdlr)"));
        }
        Ok(read)
    }

    /// The item with this id. Fails if it is missing or encrypted.
    pub(super) fn item(&self, id: u32) -> Result<&Item, Error> {
        let item = self.items.get(&id).filter(|item| item.kind.is_some());
        let item = item.ok_or_else(|| damaged(format!("item {id} is missing")))?;
        if item.is_protected {
            return Err(damaged(format!("item {id} is encrypted")));
        }
        Ok(item)
    }

    /// The property with this number, starting at 1.
    pub(super) fn property(&self, number: u16) -> Option<&IsoBox<'a>> {
        self.properties.get(usize::from(number).checked_sub(1)?)
    }

    /// Targets of the references of type `kind` from item `from`, in order.
    pub(super) fn references_from(&self, kind: [u8; 4], from: u32) -> &[u32] {
        self.references.get(&(kind, from)).map_or(&[], Vec::as_slice)
    }

    /// All references of type `kind`, as pairs of source and target.
    pub(super) fn all_references(&self, kind: [u8; 4]) -> impl Iterator<Item = (u32, u32)> {
        let lists = self.references.range((kind, 0)..=(kind, u32::MAX));
        lists.flat_map(|((_, from), to)| to.iter().map(|to| (*from, *to)))
    }

    /// The data of an item.
    pub(super) fn bytes(&self, id: u32) -> Result<Tile<'a>, Error> {
        let location = self.item(id)?.location.as_ref();
        let location = location.ok_or_else(|| damaged(format!("item {id} has no location (iloc)")))?;
        let container = match (location.method, location.data_reference) {
            (0, 0) => self.file,
            (1, 0) => self.idat,
            (method @ 0..=1, _) => {
                return Err(damaged(format!("item {id} is stored in another file (method {method})")));
            }
            (method, _) => {
                return Err(damaged(format!("item {id} has the unsupported construction method {method} (iloc)")));
            }
        };
        let slice = |&(offset, length): &(u64, u64)| {
            let (start, end) = (usize::try_from(offset).ok()?, usize::try_from(offset.checked_add(length)?).ok()?);
            container.get(start..end).filter(|slice| !slice.is_empty())
        };
        let beyond = || damaged(format!("item {id} is empty or extends past the end of the file"));
        let extents = location.extents.iter().map(slice).collect::<Option<Vec<_>>>().ok_or_else(beyond)?;
        // Overlapping extents can add up to more than the container.
        let bytes = extents.iter().fold(0, |sum: usize, extent| sum.saturating_add(extent.len()));
        if bytes == 0 || bytes > container.len() {
            return Err(beyond());
        }
        Ok(Tile { config: None, extents })
    }

    /// The possibly incomplete item with this id. Adds it if it is new.
    fn entry(&mut self, id: u32) -> Result<&mut Item, Error> {
        if self.items.len() >= ITEMS_MAX && !self.items.contains_key(&id) {
            return Err(damaged(format!("more than {ITEMS_MAX} items")));
        }
        Ok(self.items.entry(id).or_default())
    }

    /// Item types (ISO/IEC 14496-12, section 8.11.6). Versions 0 and 1 have no item type, so they cannot describe
    /// images.
    fn infos(&mut self, iinf: &IsoBox<'a>) -> Result<(), Error> {
        let (version, _, mut fields) = iinf.full_up_to(1)?;
        // The number of entries is redundant: they extend to the end of the box.
        let _count = fields.id(version > 0)?;
        let mut boxes = Boxes::with_max(fields.rest(), ITEMS_MAX);
        boxes.try_for_each(|info| {
            let info = info?;
            if info.kind != *b"infe" {
                return Ok(());
            }
            let (version, _, mut fields) = info.full_up_to(3)?;
            if version < 2 {
                return Ok(());
            }
            let id = fields.id(version > 2)?;
            let is_protected = fields.u16()? != 0;
            let kind = fields.four()?;
            let item = self.entry(id)?;
            if item.kind.replace(kind).is_some() {
                return Err(damaged(format!("duplicate item {id}")));
            }
            item.is_protected = is_protected;
            Ok(())
        })
    }

    /// Item locations (ISO/IEC 14496-12, section 8.11.3).
    fn locations(&mut self, iloc: &IsoBox<'a>) -> Result<(), Error> {
        let (version, _, mut fields) = iloc.full_up_to(2)?;
        let [sizes, more] = fields.array()?;
        let (offset_bytes, length_bytes, base_bytes) = (sizes >> 4, sizes & 15, more >> 4);
        let index_bytes = if version > 0 { more & 15 } else { 0 };
        if length_bytes == 0 {
            // Without a length, each extent would be the whole file.
            return Err(damaged("item locations without lengths (iloc)"));
        }
        for _ in 0..fields.id(version > 1)? {
            let id = fields.id(version > 1)?;
            let method = if version > 0 { fields.u16()? & 15 } else { 0 };
            let data_reference = fields.u16()?;
            let base = fields.uint(base_bytes)?;
            let count = fields.u16()?;
            if count > EXTENTS_MAX {
                return Err(damaged(format!("item {id} has more than {EXTENTS_MAX} extents")));
            }
            let mut extents = Vec::new();
            for _ in 0..count {
                fields.uint(index_bytes)?;
                let offset = base.checked_add(fields.uint(offset_bytes)?);
                let offset = offset.ok_or_else(|| damaged(format!("item {id} extends past the end of the file")))?;
                extents.push((offset, fields.uint(length_bytes)?));
            }
            let location = Location { method, data_reference, extents };
            if self.entry(id)?.location.replace(location).is_some() {
                return Err(damaged(format!("item {id} has two locations")));
            }
        }
        Ok(())
    }

    /// Item references (ISO/IEC 14496-12, section 8.11.12). Other reference types are ignored.
    fn references(&mut self, iref: &IsoBox<'a>) -> Result<(), Error> {
        let (version, _, fields) = iref.full_up_to(1)?;
        let mut room = REFERENCES_MAX;
        for list in Boxes::with_max(fields.rest(), ITEMS_MAX) {
            let list = list?;
            if !matches!(&list.kind, b"auxl" | b"cdsc" | b"dimg" | b"prem") {
                continue;
            }
            let mut fields = list.fields();
            let from = fields.id(version > 0)?;
            let count = usize::from(fields.u16()?);
            room = room.checked_sub(count).ok_or_else(|| damaged(format!("more than {REFERENCES_MAX} references")))?;
            let to = (0..count).map(|_| fields.id(version > 0)).collect::<Result<Vec<_>, _>>()?;
            // Descriptions do not change the image, so a second list is ignored.
            if self.references.insert((list.kind, from), to).is_some() && list.kind != *b"cdsc" {
                return Err(damaged(format!("item {from} has two reference lists '{}'", list.kind.escape_ascii())));
            }
        }
        Ok(())
    }

    /// Properties and their association with items (ISO/IEC 23008-12, section 9.3).
    fn properties(&mut self, iprp: &IsoBox<'a>) -> Result<(), Error> {
        for inner in Boxes::new(iprp.data) {
            let inner = inner?;
            match &inner.kind {
                b"ipco" if self.properties.is_empty() => {
                    self.properties = Boxes::new(inner.data).collect::<Result<_, _>>()?;
                }
                b"ipco" => return Err(damaged("duplicate box 'ipco'")),
                b"ipma" => self.associations(&inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn associations(&mut self, ipma: &IsoBox<'a>) -> Result<(), Error> {
        let (version, flags, mut fields) = ipma.full_up_to(1)?;
        for _ in 0..fields.u32()? {
            let id = fields.id(version > 0)?;
            let properties = (0..fields.u8()?).map(|_| association(&mut fields, flags & 1 != 0));
            let properties = properties.collect::<Result<Vec<_>, _>>()?;
            let item = self.entry(id)?;
            if !item.properties.is_empty() {
                return Err(damaged(format!("item {id} has two property lists")));
            }
            item.properties = properties;
        }
        Ok(())
    }
}

/// Reads the number of a property, and the highest bit, which is set if the property is essential.
fn association(fields: &mut Fields<'_>, wide: bool) -> Result<(u16, bool), Error> {
    if wide {
        let word = fields.u16()?;
        return Ok((word & 0x7FFF, word & 0x8000 != 0));
    }
    let byte = fields.u8()?;
    Ok((u16::from(byte & 0x7F), byte & 0x80 != 0))
}

/// Checks that the handler type is `pict` (ISO/IEC 14496-12, section 8.4.3).
fn handler(hdlr: &IsoBox<'_>) -> Result<(), Error> {
    let (_, _, mut fields) = hdlr.full_up_to(0)?;
    fields.u32()?;
    let kind = fields.four()?;
    if kind != *b"pict" {
        return Err(damaged(format!("handler '{}' instead of 'pict' (hdlr)", kind.escape_ascii())));
    }
    Ok(())
}
