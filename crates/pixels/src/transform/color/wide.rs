//! Conversion of 16-bit samples to sRGB or Display P3 with 8 bits. Rounding only the result keeps dark tones apart that 8 bits of a
//! linear or wide color space would merge.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformExecutor};

use super::{Gamut, options, rounded};

/// A conversion of rows of big-endian 16-bit samples.
pub(crate) struct WideConversion(Kind);

enum Kind {
    /// Gray by a lookup table, with alpha if there are two channels.
    Gray { table: Box<[u8]>, channels: usize },
    /// RGB or RGBA. The buffers hold a row.
    Rgb { transform: Arc<dyn TransformExecutor<u16> + Send + Sync>, input: Vec<u16>, output: Vec<u16> },
}

impl WideConversion {
    /// `None` if there is no conversion from the profile for this number of channels. With 2 or 4 channels the last one
    /// is alpha. Gray samples are converted by an RGB profile as equal red, green and blue.
    pub(crate) fn new(profile: &ColorProfile, channels: u8, gamut: Gamut) -> Option<Self> {
        let transform = |from, to| profile.create_transform_16bit(from, &gamut.profile(), to, options()).ok();
        if channels < 3 {
            let layout = if profile.color_space == DataColorSpace::Gray { Layout::Gray } else { Layout::Rgb };
            let table = gray_table(&*transform(layout, Layout::Rgb)?, layout)?;
            return Some(Self(Kind::Gray { table, channels: channels.into() }));
        }
        let layout = if channels == 4 { Layout::Rgba } else { Layout::Rgb };
        Some(Self(Kind::Rgb { transform: transform(layout, layout)?, input: Vec::new(), output: Vec::new() }))
    }

    /// Converts the row in place, and returns the first half of it, which contains the samples of 8 bits.
    pub(crate) fn apply<'a>(&mut self, row: &'a mut [u8]) -> &'a [u8] {
        let samples = row.len() / 2;
        let sample = |row: &[u8], n: usize| u16::from_be_bytes([row[2 * n], row[2 * n + 1]]);
        match &mut self.0 {
            Kind::Gray { table, channels } => {
                for n in 0..samples {
                    let sample = sample(row, n);
                    row[n] = if n % *channels == 0 { table[usize::from(sample)] } else { rounded(sample) };
                }
            }
            Kind::Rgb { transform, input, output } => {
                input.clear();
                input.extend((0..samples).map(|n| sample(row, n)));
                output.resize(samples, 0);
                // The transform fails only if the lengths differ, which they never do.
                let converted = if transform.transform(input, output).is_ok() { output } else { input };
                row.iter_mut().zip(converted).for_each(|(to, sample)| *to = rounded(*sample));
            }
        }
        &row[..samples]
    }
}

/// Grays that are converted at once.
const GRAYS: u16 = 256;

fn gray_table(transform: &dyn TransformExecutor<u16>, layout: Layout) -> Option<Box<[u8]>> {
    let mut table = Vec::with_capacity(1 << 16);
    let mut colors = vec![0; 3 * usize::from(GRAYS)];
    for block in 0..=u16::MAX / GRAYS {
        let grays = (0..GRAYS).map(|n| block * GRAYS + n);
        let samples: Vec<u16> = grays.flat_map(|gray| std::iter::repeat_n(gray, layout.channels())).collect();
        transform.transform(&samples, &mut colors).ok()?;
        table.extend(colors.chunks_exact(3).map(|color| rounded(color[1])));
    }
    Some(table.into_boxed_slice())
}
