//! The items of a file (ISO/IEC 14496-12 section 8.11): what each is, where its bytes lie, what belongs to it and what it
//! refers to.

use std::collections::BTreeMap;

use super::Tile;
use super::boxes::{Boxes, Fields, IsoBox};
use crate::error::{Error, damaged};

/// How many items a file may have: the largest grid, its alpha, and metadata.
const ITEMS_MAX: usize = 4096;

/// How many references there may be.
const REFERENCES_MAX: usize = 4 * ITEMS_MAX;

/// In how many pieces the bytes of an item may lie.
const EXTENTS_MAX: u16 = 64;

#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    file: &'a [u8],
    /// Bytes of items within the metadata.
    idat: &'a [u8],
    pub(super) primary: Option<u32>,
    items: BTreeMap<u32, Item>,
    /// What items refer to, by why and by which refers: the auxiliary picture, or the grid.
    references: BTreeMap<([u8; 4], u32), Vec<u32>>,
    /// In the order in which items refer to them, from 1.
    properties: Vec<IsoBox<'a>>,
}

/// What is known of an item, in whatever order the boxes come.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) kind: Option<[u8; 4]>,
    is_protected: bool,
    location: Option<Location>,
    /// Which properties it has, by number, and whether it cannot be understood without.
    pub(super) properties: Vec<(u16, bool)>,
}

#[derive(Debug)]
struct Location {
    /// 0 for the file, 1 for `idat`, 2 for another item.
    method: u16,
    /// 0 for this file.
    data_reference: u16,
    /// Places and lengths of the pieces.
    extents: Vec<(u64, u64)>,
}

impl<'a> Meta<'a> {
    /// Reads the metadata's boxes; items are looked at when they are asked for.
    pub(super) fn read(file: &'a [u8], meta: &IsoBox<'a>) -> Result<Self, Error> {
        let (_, _, fields) = meta.full_up_to(0)?;
        let mut read = Self { file, ..Self::default() };
        let mut seen = Vec::new();
        for inner in Boxes::of(fields.rest()) {
            let inner = inner?;
            if !matches!(&inner.kind, b"hdlr" | b"pitm" | b"iinf" | b"iloc" | b"iref" | b"iprp" | b"idat") {
                continue;
            }
            if seen.contains(&inner.kind) {
                return Err(damaged(format!("it has two boxes '{}'", inner.kind.escape_ascii())));
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
            return Err(damaged("its metadata do not say what they are of (hdlr)"));
        }
        Ok(read)
    }

    /// The item called `id`.
    pub(super) fn item(&self, id: u32) -> Result<&Item, Error> {
        let item = self.items.get(&id).filter(|item| item.kind.is_some());
        let item = item.ok_or_else(|| damaged(format!("its item {id} is missing")))?;
        if item.is_protected {
            return Err(damaged(format!("its item {id} is encrypted")));
        }
        Ok(item)
    }

    /// The property of a number, from 1.
    pub(super) fn property(&self, number: u16) -> Option<&IsoBox<'a>> {
        self.properties.get(usize::from(number).checked_sub(1)?)
    }

    /// What item `from` refers to, in order.
    pub(super) fn referred(&self, kind: [u8; 4], from: u32) -> &[u32] {
        self.references.get(&(kind, from)).map_or(&[], Vec::as_slice)
    }

    /// Which items refer to which, for the reason `kind`: each `from` and `to`.
    pub(super) fn all_referred(&self, kind: [u8; 4]) -> impl Iterator<Item = (u32, u32)> {
        let lists = self.references.range((kind, 0)..=(kind, u32::MAX));
        lists.flat_map(|((_, from), to)| to.iter().map(|to| (*from, *to)))
    }

    /// The bytes of an item, piece by piece.
    pub(super) fn bytes(&self, id: u32) -> Result<Tile<'a>, Error> {
        let location = self.item(id)?.location.as_ref();
        let location = location.ok_or_else(|| damaged(format!("its item {id} lies nowhere (iloc)")))?;
        let container = match (location.method, location.data_reference) {
            (0, 0) => self.file,
            (1, 0) => self.idat,
            (method @ 0..=1, _) => return Err(damaged(format!("its item {id} lies in another file ({method})"))),
            (method, _) => return Err(damaged(format!("its item {id} is made of others (method {method} of iloc)"))),
        };
        let slice = |&(offset, length): &(u64, u64)| {
            let (start, end) = (usize::try_from(offset).ok()?, usize::try_from(offset.checked_add(length)?).ok()?);
            container.get(start..end).filter(|slice| !slice.is_empty())
        };
        let beyond = || damaged(format!("its item {id} reaches beyond its end, or has no bytes"));
        let extents = location.extents.iter().map(slice).collect::<Option<Vec<_>>>().ok_or_else(beyond)?;
        // Pieces that overlap would be more than there is.
        let bytes = extents.iter().fold(0, |sum: usize, extent| sum.saturating_add(extent.len()));
        if bytes == 0 || bytes > container.len() {
            return Err(beyond());
        }
        Ok(Tile { extents })
    }

    /// The item, as far as it is known. There is room for so many.
    fn entry(&mut self, id: u32) -> Result<&mut Item, Error> {
        if self.items.len() >= ITEMS_MAX && !self.items.contains_key(&id) {
            return Err(damaged(format!("it has more than {ITEMS_MAX} items")));
        }
        Ok(self.items.entry(id).or_default())
    }

    /// Section 8.11.6. Of the oldest versions, no picture is.
    fn infos(&mut self, iinf: &IsoBox<'a>) -> Result<(), Error> {
        let (version, _, mut fields) = iinf.full_up_to(1)?;
        // As many as there are; the count says nothing more.
        let _count = fields.id(version > 0)?;
        let mut boxes = Boxes::of_many(fields.rest(), ITEMS_MAX);
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
                return Err(damaged(format!("it has two items {id}")));
            }
            item.is_protected = is_protected;
            Ok(())
        })
    }

    /// Section 8.11.3.
    fn locations(&mut self, iloc: &IsoBox<'a>) -> Result<(), Error> {
        let (version, _, mut fields) = iloc.full_up_to(2)?;
        let [sizes, more] = fields.array()?;
        let (offset_bytes, length_bytes, base_bytes) = (sizes >> 4, sizes & 15, more >> 4);
        let index_bytes = if version > 0 { more & 15 } else { 0 };
        if length_bytes == 0 {
            // Then each piece would be the whole file.
            return Err(damaged("its items have no lengths (iloc)"));
        }
        for _ in 0..fields.id(version > 1)? {
            let id = fields.id(version > 1)?;
            let method = if version > 0 { fields.u16()? & 15 } else { 0 };
            let data_reference = fields.u16()?;
            let base = fields.uint(base_bytes)?;
            let count = fields.u16()?;
            if count > EXTENTS_MAX {
                return Err(damaged(format!("its item {id} lies in more than {EXTENTS_MAX} pieces")));
            }
            let mut extents = Vec::new();
            for _ in 0..count {
                fields.uint(index_bytes)?;
                let offset = base.checked_add(fields.uint(offset_bytes)?);
                let offset = offset.ok_or_else(|| damaged(format!("its item {id} reaches beyond its end")))?;
                extents.push((offset, fields.uint(length_bytes)?));
            }
            let location = Location { method, data_reference, extents };
            if self.entry(id)?.location.replace(location).is_some() {
                return Err(damaged(format!("its item {id} lies in two places")));
            }
        }
        Ok(())
    }

    /// Section 8.11.12. What is referred to for other reasons is passed over.
    fn references(&mut self, iref: &IsoBox<'a>) -> Result<(), Error> {
        let (version, _, fields) = iref.full_up_to(1)?;
        let mut room = REFERENCES_MAX;
        for list in Boxes::of_many(fields.rest(), ITEMS_MAX) {
            let list = list?;
            if !matches!(&list.kind, b"auxl" | b"dimg" | b"prem") {
                continue;
            }
            let mut fields = list.fields();
            let from = fields.id(version > 0)?;
            let count = usize::from(fields.u16()?);
            room = room
                .checked_sub(count)
                .ok_or_else(|| damaged(format!("it has more than {REFERENCES_MAX} references")))?;
            let to = (0..count).map(|_| fields.id(version > 0)).collect::<Result<Vec<_>, _>>()?;
            if self.references.insert((list.kind, from), to).is_some() {
                return Err(damaged(format!("its item {from} has two lists '{}'", list.kind.escape_ascii())));
            }
        }
        Ok(())
    }

    /// ISO/IEC 23008-12 section 9.3: the properties, and which items they belong to.
    fn properties(&mut self, iprp: &IsoBox<'a>) -> Result<(), Error> {
        for inner in Boxes::of(iprp.data) {
            let inner = inner?;
            match &inner.kind {
                b"ipco" if self.properties.is_empty() => {
                    self.properties = Boxes::of(inner.data).collect::<Result<_, _>>()?;
                }
                b"ipco" => return Err(damaged("it has two boxes 'ipco'")),
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
                return Err(damaged(format!("its item {id} has two lists of properties")));
            }
            item.properties = properties;
        }
        Ok(())
    }
}

/// The number of a property, and whether it is essential: the highest bit of one byte, or of two.
fn association(fields: &mut Fields<'_>, wide: bool) -> Result<(u16, bool), Error> {
    if wide {
        let word = fields.u16()?;
        return Ok((word & 0x7FFF, word & 0x8000 != 0));
    }
    let byte = fields.u8()?;
    Ok((u16::from(byte & 0x7F), byte & 0x80 != 0))
}

/// Section 8.4.3: the metadata are of pictures.
fn handler(hdlr: &IsoBox<'_>) -> Result<(), Error> {
    let (_, _, mut fields) = hdlr.full_up_to(0)?;
    fields.u32()?;
    let kind = fields.four()?;
    if kind != *b"pict" {
        return Err(damaged(format!("its metadata are of '{}' and not of pictures (hdlr)", kind.escape_ascii())));
    }
    Ok(())
}
