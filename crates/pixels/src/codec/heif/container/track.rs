//! Tracks of an AVIF image sequence (ISO/IEC 14496-12, section 8; AV1 Image File Format, section 6).

use std::time::Duration;

use super::boxes::{Boxes, IsoBox};
use super::layer::{Layer, SampleFormat, Tile};
use super::property::{Properties, is_alpha_type};
use crate::error::{Error, damaged};
use crate::yuv_image::Cicp;

/// Maximum number of samples of a track.
const SAMPLES_MAX: u32 = 1 << 16;

/// The frames of an image, or of its alpha.
#[derive(Debug)]
pub(crate) struct Track<'a> {
    pub(super) id: u32,
    /// The track of alpha by which the colors are multiplied (`prem`).
    pub(super) premultiplied_by: Option<u32>,
    /// Codestreams of AV1, in order of decoding and display.
    pub(crate) samples: Vec<&'a [u8]>,
    /// The duration of each sample.
    pub(crate) durations: Vec<Duration>,
    /// Number of times the track plays, 0 for infinitely often.
    pub(crate) plays: u32,
    size: (u32, u32),
    format: SampleFormat,
    cicp: Option<Cicp>,
    pub(super) profile: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackKind {
    Color,
    Alpha,
}

/// A track whose samples are not read, which takes no memory. A file can have a thousand tracks, of which two are used.
pub(super) struct TrackHead<'a> {
    pub(super) kind: TrackKind,
    trak: IsoBox<'a>,
    media: IsoBox<'a>,
    table: IsoBox<'a>,
    entry: SampleEntry<'a>,
}

impl<'a> TrackHead<'a> {
    /// Reads a box `trak`. `None` if it contains neither images nor alpha.
    pub(super) fn read(trak: IsoBox<'a>) -> Result<Option<Self>, Error> {
        let media = required(trak.data, *b"mdia")?;
        let (_, _, mut handler) = required(media.data, *b"hdlr")?.full_up_to(0)?;
        handler.u32()?;
        let handler = handler.four()?;
        if !matches!(&handler, b"pict" | b"auxv") {
            return Ok(None);
        }
        let table = required(required(media.data, *b"minf")?.data, *b"stbl")?;
        let entry = SampleEntry::read(&table)?;
        let kind = match (&handler, entry.auxiliary) {
            (b"pict", _) => TrackKind::Color,
            (_, Some(kind)) if is_alpha_type(kind) => TrackKind::Alpha,
            _ => return Ok(None),
        };
        Ok(Some(Self { kind, trak, media, table, entry }))
    }

    /// The track of which this one contains the alpha (`auxl`).
    pub(super) fn alpha_of(&self) -> Result<Option<u32>, Error> {
        self.reference(*b"auxl")
    }

    /// The first track to which this one refers by that type of reference (section 8.3.3).
    fn reference(&self, kind: [u8; 4]) -> Result<Option<u32>, Error> {
        match child(self.trak.data, *b"tref")? {
            Some(references) => child(references.data, kind)?.map(|list| list.fields().u32()).transpose(),
            None => Ok(None),
        }
    }

    /// Reads the tables of samples.
    pub(super) fn read_samples(self, file: &'a [u8]) -> Result<Track<'a>, Error> {
        let premultiplied_by = self.reference(*b"prem")?;
        let Self { trak, media, table, entry, .. } = self;
        let samples = samples(file, &table)?;
        let first = samples.first().ok_or_else(|| damaged("a track without samples (stsz)"))?;
        let tile = Tile { config: None, extents: vec![first] };
        let (id, plays) = header(&trak)?;
        let format = entry.properties.av1_format(id, &tile)?;
        let durations = durations(&media, &table, samples.len())?;
        let Properties { cicp, profile, .. } = entry.properties;
        let size = entry.size;
        Ok(Track { id, premultiplied_by, samples, durations, plays, size, format, cicp, profile })
    }
}

impl<'a> Track<'a> {
    /// The first frame as an image.
    pub(super) fn layer(&self) -> Layer<'a> {
        let SampleFormat { depth, sampling, .. } = self.format;
        let tiles = self.samples.iter().take(1).map(|sample| Tile { config: None, extents: vec![sample] }).collect();
        let size = self.size;
        Layer { size, tile_size: size, coded_size: size, columns: 1, tiles, depth, sampling, cicp: self.cicp }
    }

    /// Length of all samples in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.samples.iter().map(|sample| sample.len() as u64).sum()
    }
}

/// The first box of this type in a container.
fn child<'a>(container: &'a [u8], kind: [u8; 4]) -> Result<Option<IsoBox<'a>>, Error> {
    Boxes::new(container).find(|found| found.as_ref().map_or(true, |found| found.kind == kind)).transpose()
}

fn required<'a>(container: &'a [u8], kind: [u8; 4]) -> Result<IsoBox<'a>, Error> {
    child(container, kind)?.ok_or_else(|| damaged(format!("a track without box '{}'", kind.escape_ascii())))
}

/// The id of a track, and the number of times it plays (section 8.6.6). Without an edit list, it plays infinitely often, as
/// in browsers.
fn header(trak: &IsoBox<'_>) -> Result<(u32, u32), Error> {
    let (version, _, mut fields) = required(trak.data, *b"tkhd")?.full_up_to(1)?;
    let time_bytes = if version > 0 { 8 } else { 4 };
    // The times of creation and modification.
    fields.uint(time_bytes)?;
    fields.uint(time_bytes)?;
    let id = fields.u32()?;
    fields.u32()?;
    let total = fields.uint(time_bytes)?;
    let Some(edits) = child(trak.data, *b"edts")? else { return Ok((id, 0)) };
    let (version, flags, mut fields) = required(edits.data, *b"elst")?.full_up_to(1)?;
    let is_repeated = flags & 1 != 0;
    let count = fields.u32()?;
    let segment = fields.uint(if version > 0 { 8 } else { 4 })?;
    let is_infinite = total == if time_bytes == 8 { u64::MAX } else { u64::from(u32::MAX) };
    let plays = match (is_repeated, is_infinite, segment) {
        (true, false, 1..) if count == 1 => u32::try_from(total.div_ceil(segment)).unwrap_or(0),
        (true, ..) => 0,
        (false, ..) => 1,
    };
    Ok((id, plays))
}

/// The only sample entry of a track (section 8.5.2).
struct SampleEntry<'a> {
    size: (u32, u32),
    /// `av1C` and `colr`.
    properties: Properties<'a>,
    /// The type of the auxiliary images (`auxi`).
    auxiliary: Option<&'a [u8]>,
}

impl<'a> SampleEntry<'a> {
    fn read(table: &IsoBox<'a>) -> Result<Self, Error> {
        let (_, _, mut fields) = required(table.data, *b"stsd")?.full_up_to(1)?;
        let count = fields.u32()?;
        let entry = Boxes::new(fields.rest()).next().ok_or_else(|| damaged("no sample entry (stsd)"))??;
        if count != 1 || entry.kind != *b"av01" {
            return Err(damaged("a track with other samples than AV1 (stsd)"));
        }
        let mut fields = entry.fields();
        // Fields of visual samples (section 12.1.3).
        fields.bytes(24)?;
        let size = (u32::from(fields.u16()?), u32::from(fields.u16()?));
        fields.bytes(50)?;
        if size.0 == 0 || size.1 == 0 {
            return Err(damaged("zero width or height"));
        }
        let (mut properties, mut auxiliary) = (Properties::default(), None);
        for found in Boxes::new(fields.rest()) {
            let found = found?;
            match &found.kind {
                b"av1C" | b"colr" => drop(properties.read(&found)?),
                b"auxi" => auxiliary = Some(found.full_up_to(0)?.2.rest()),
                _ => {}
            }
        }
        Ok(Self { size, properties, auxiliary })
    }
}

/// The data of all samples (sections 8.7.3 to 8.7.5).
fn samples<'a>(file: &'a [u8], table: &IsoBox<'a>) -> Result<Vec<&'a [u8]>, Error> {
    let (_, _, mut sizes) = required(table.data, *b"stsz")?.full_up_to(0)?;
    let (same, count) = (sizes.u32()?, sizes.u32()?);
    if count > SAMPLES_MAX {
        return Err(damaged(format!("a track of more than {SAMPLES_MAX} samples (stsz)")));
    }
    let (offset_bytes, offsets) = match child(table.data, *b"stco")? {
        Some(offsets) => (4, offsets),
        None => (8, required(table.data, *b"co64")?),
    };
    let (_, _, mut offsets) = offsets.full_up_to(0)?;
    let mut chunks = offsets.u32()?;
    let (_, _, mut runs) = required(table.data, *b"stsc")?.full_up_to(0)?;
    let mut runs_left = runs.u32()?;
    let (mut chunk, mut per_chunk, mut next_run) = (0, 0, None);
    let (mut found, mut total) = (Vec::with_capacity(count as usize), 0_u64);
    while found.len() < count as usize {
        chunk += 1;
        chunks = chunks.checked_sub(1).ok_or_else(|| damaged("a track with too few chunks (stco)"))?;
        if next_run.is_none() && runs_left > 0 {
            runs_left -= 1;
            next_run = Some((runs.u32()?, runs.u32()?));
            runs.u32()?;
        }
        if let Some((first, samples)) = next_run
            && first <= chunk
        {
            (per_chunk, next_run) = (samples, None);
        }
        if per_chunk == 0 {
            return Err(damaged("a chunk without samples (stsc)"));
        }
        let mut at = offsets.uint(offset_bytes)?;
        for _ in 0..per_chunk.min(count - u32::try_from(found.len()).unwrap_or(count)) {
            let size = if same > 0 { same } else { sizes.u32()? };
            let beyond = || damaged("a sample is empty or extends past the end of the file");
            let end = at.checked_add(size.into()).ok_or_else(beyond)?;
            let range = usize::try_from(at).ok().zip(usize::try_from(end).ok()).ok_or_else(beyond)?;
            let sample = file.get(range.0..range.1).filter(|sample| !sample.is_empty()).ok_or_else(beyond)?;
            (at, total) = (end, total + u64::from(size));
            if total > file.len() as u64 {
                return Err(damaged("the samples overlap"));
            }
            found.push(sample);
        }
    }
    Ok(found)
}

/// The durations of `count` samples (sections 8.4.2 and 8.6.1.2).
fn durations(media: &IsoBox<'_>, table: &IsoBox<'_>, count: usize) -> Result<Vec<Duration>, Error> {
    let (version, _, mut fields) = required(media.data, *b"mdhd")?.full_up_to(1)?;
    let time_bytes = if version > 0 { 8 } else { 4 };
    fields.uint(time_bytes)?;
    fields.uint(time_bytes)?;
    let ticks_per_second = u64::from(fields.u32()?.max(1));
    let (_, _, mut fields) = required(table.data, *b"stts")?.full_up_to(0)?;
    let mut durations = Vec::with_capacity(count);
    for _ in 0..fields.u32()? {
        let (run, ticks) = (fields.u32()?, fields.u32()?);
        let duration = Duration::from_micros(u64::from(ticks) * 1_000_000 / ticks_per_second);
        let run = usize::try_from(run).unwrap_or(usize::MAX).min(count - durations.len());
        durations.extend(std::iter::repeat_n(duration, run));
    }
    if durations.len() < count {
        return Err(damaged("samples without a duration (stts)"));
    }
    Ok(durations)
}
