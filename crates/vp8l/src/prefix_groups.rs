//! Groups of five prefix codes (RFC 9649, section 3.7.2.2).
//!
//! A stream can define 65,536 groups. With all symbols in use, the tables of one group take 10 KB, but its description
//! takes only some 40 bytes. So only the groups that occur in the image have tables, and their total size is limited. If
//! it is reached, all tables are dropped, and each group that is used again is read again from its place in the stream.
//! Encoders write far fewer groups than fit, so this happens only for files that were made to take memory.

use planes::Error;

use crate::Pixel;
use crate::bit_reader::BitReader;
use crate::code_lengths;
use crate::options::Options;
use crate::prefix_code::{self, ALPHABET_MAX, Entry, GROUP_ENTRIES_MAX, PrefixCode};

/// Number of codes in a group: green, red, blue, alpha and distance.
const CODES: usize = 5;

/// Maximum number of entries of all tables. libwebp writes at most 2,600 groups, which fit.
const ENTRIES_MAX: usize = 4 << 20;

/// Maximum number of groups, whose numbers have 16 bits.
const GROUPS_MAX: u64 = 1 << 16;

/// Number of groups that are read between two calls of `should_continue`.
const GROUPS_PER_CHECK: usize = 64;

/// The groups of an image, of which all codes have been checked.
#[derive(Debug)]
pub(crate) struct PrefixGroups<'a> {
    data: &'a [u8],
    groups: Vec<Group>,
    entries: Vec<Entry>,
    reader: GroupReader,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    /// Position of its description in the stream, in bits.
    position: u64,
    /// Position of its tables among the entries. `None` if it has none.
    tables: Option<Tables>,
}

/// The tables of a group.
#[derive(Debug, Clone, Copy)]
struct Tables {
    start: u32,
    /// End of the tables of each code, counted from the start.
    ends: [u16; CODES],
    root_bits: [u8; CODES],
}

/// The codes of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrefixGroup<'a> {
    pub(crate) green: PrefixCode<'a>,
    pub(crate) red: PrefixCode<'a>,
    pub(crate) blue: PrefixCode<'a>,
    pub(crate) alpha: PrefixCode<'a>,
    pub(crate) distance: PrefixCode<'a>,
    /// Red, blue and alpha of all literal pixels, if they never change.
    pub(crate) constant: Option<Pixel>,
}

/// Upper bound, in bytes, on the memory for the groups of an image with this number of tiles.
pub(crate) fn bytes_max(tiles: u64) -> u64 {
    let groups = tiles.min(GROUPS_MAX);
    let tables = (groups * GROUP_ENTRIES_MAX as u64).min(ENTRIES_MAX as u64);
    tables * size_of::<Entry>() as u64 + groups * size_of::<Group>() as u64
}

impl<'a> PrefixGroups<'a> {
    /// Reads `is_used.len()` groups. Those that are not used get no place among the groups of the result.
    ///
    /// # Errors
    /// A code is damaged, the data is truncated, or the caller stopped the work.
    pub(crate) fn read(
        bits: &mut BitReader<'a>,
        data: &'a [u8],
        cache_bits: Option<u32>,
        is_used: impl ExactSizeIterator<Item = bool> + Clone,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let used = is_used.clone().filter(|used| *used).count();
        let mut groups = Self {
            data,
            groups: Vec::with_capacity(used),
            entries: Vec::with_capacity((used * GROUP_ENTRIES_MAX).min(ENTRIES_MAX)),
            reader: GroupReader::new(cache_bits),
        };
        for (n, is_used) in is_used.enumerate() {
            if n % GROUPS_PER_CHECK == 0 && !(options.should_continue)() {
                return Err(Error::Cancelled);
            }
            if is_used {
                let position = bits.position();
                let has_room = groups.has_room();
                let tables = groups.reader.read(bits, has_room.then_some(&mut groups.entries))?;
                groups.groups.push(Group { position, tables });
            } else {
                groups.reader.read(bits, None)?;
            }
            bits.check_truncated()?;
        }
        Ok(groups)
    }

    fn has_room(&self) -> bool {
        self.entries.len() + GROUP_ENTRIES_MAX <= self.entries.capacity().min(ENTRIES_MAX)
    }

    /// Gives group `n` its tables if it has none. Returns false if it had them.
    ///
    /// # Errors
    /// There is no such group.
    pub(crate) fn prepare(&mut self, n: usize) -> Result<bool, Error> {
        let Some(Group { position, tables: None }) = self.groups.get(n).copied() else { return Ok(false) };
        if !self.has_room() {
            self.entries.clear();
            self.groups.iter_mut().for_each(|group| group.tables = None);
        }
        let mut bits = BitReader::new(self.data, position);
        self.groups[n].tables = self.reader.read(&mut bits, Some(&mut self.entries))?;
        Ok(true)
    }

    /// The codes of group `n`, which has tables.
    #[inline(always)]
    pub(crate) fn get(&self, n: usize) -> Option<PrefixGroup<'_>> {
        let Tables { start, ends, root_bits } = self.groups.get(n)?.tables?;
        let entries = self.entries.get(start as usize..)?;
        let code = |n: usize| {
            let begin = if n == 0 { 0 } else { usize::from(ends[n - 1]) };
            Some(PrefixCode::new(entries.get(begin..usize::from(ends[n]))?, root_bits[n]))
        };
        let (green, red, blue, alpha, distance) = (code(0)?, code(1)?, code(2)?, code(3)?, code(4)?);
        let constant = match (red.single(), blue.single(), alpha.single()) {
            (Some(red), Some(blue), Some(alpha)) => Some([red as u8, 0, blue as u8, alpha as u8]),
            _ => None,
        };
        Some(PrefixGroup { green, red, blue, alpha, distance, constant })
    }
}

/// Reads the five codes of a group. It has the buffers for this.
#[derive(Debug)]
struct GroupReader {
    /// Number of symbols of the code of green.
    green_symbols: usize,
    lengths: Vec<u8>,
    tables: Vec<Entry>,
}

impl GroupReader {
    fn new(cache_bits: Option<u32>) -> Self {
        let green_symbols = 256 + 24 + cache_bits.map_or(0, |bits| 1 << bits);
        Self { green_symbols, lengths: vec![0; ALPHABET_MAX], tables: Vec::with_capacity(1 << 7) }
    }

    /// Reads a group and appends its tables to `entries`, or only checks its codes.
    fn read(&mut self, bits: &mut BitReader<'_>, entries: Option<&mut Vec<Entry>>) -> Result<Option<Tables>, Error> {
        let mut entries = entries;
        let start = entries.as_ref().map_or(0, |entries| entries.len());
        let mut tables = Tables { start: start as u32, ends: [0; CODES], root_bits: [0; CODES] };
        for (n, symbols) in [self.green_symbols, 256, 256, 256, 40].into_iter().enumerate() {
            let lengths = &mut self.lengths[..symbols];
            code_lengths::read(bits, lengths, &mut self.tables)?;
            match &mut entries {
                Some(entries) => {
                    tables.root_bits[n] = prefix_code::build(lengths, entries)?;
                    tables.ends[n] = (entries.len() - start) as u16;
                }
                None => drop(prefix_code::check(lengths)?),
            }
        }
        Ok(entries.map(|_| tables))
    }
}
