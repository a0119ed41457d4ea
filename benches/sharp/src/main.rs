//! The resized side of the comparison with sharp: reads one job per line from standard input and answers each with one
//! line.
//!
//! A job does the work of a resize thread of the server, with the same function: it reads the bytes of an original and
//! makes the bytes of its variants. `benches/sharp/compare.mjs` sends the jobs.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use pixels::{Encoding, Geometry, Header, Limits, OutputSpec, Quality, RenderOptions, render_each};
use resized::resize::sandbox::{self, ProcessSandbox, SandboxLimits};
use serde::{Deserialize, Serialize};

mod reference;

#[derive(Debug, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
enum Job {
    /// Renders `variants` of the image in `file`. Writes the last one to `output`, if given.
    Render {
        file: String,
        variants: Vec<Variant>,
        output: Option<String>,
        #[serde(default)]
        linear_light: bool,
        #[serde(default)]
        gain_maps: bool,
    },
    /// Computes the ssimulacra2 score of the PNG `made` against `file`, decoded at full size and scaled in floating
    /// point, gamma-encoded or in linear light.
    Score {
        file: String,
        made: String,
        #[serde(default)]
        linear_light: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Variant {
    width: NonZeroU32,
    format: String,
    quality: u8,
}

#[derive(Debug, Default, Serialize)]
struct Measurement {
    cpu_ms: f64,
    wall_ms: f64,
    bytes: usize,
    score: f64,
    peak_mb: u64,
}

#[derive(Default)]
struct Bench {
    limits: Limits,
    originals: HashMap<String, Vec<u8>>,
    references: reference::References,
}

fn main() -> ExitCode {
    if let Some(limits) = SandboxLimits::from_arguments(std::env::args_os().skip(1)) {
        return sandbox::run(limits);
    }
    sandbox::set_program(sandbox::current_program());
    match answer_jobs() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer_jobs() -> anyhow::Result<()> {
    let mut bench = Bench::default();
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let measurement = bench.run(serde_json::from_str(&line?)?)?;
        serde_json::to_writer(&mut output, &measurement)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

impl Bench {
    fn run(&mut self, job: Job) -> anyhow::Result<Measurement> {
        match job {
            Job::Render { file, variants, output, linear_light, gain_maps } => {
                self.limits.encode.linear_light = linear_light;
                self.limits.encode.gain_maps = gain_maps;
                self.render(&file, &variants, output.as_deref())
            }
            Job::Score { file, made, linear_light } => {
                let score = self.references.score(&file, &made, linear_light)?;
                Ok(Measurement { score, ..Measurement::default() })
            }
        }
    }

    fn render(&mut self, file: &str, variants: &[Variant], output: Option<&str>) -> anyhow::Result<Measurement> {
        let outputs: Vec<_> = variants.iter().map(output_spec).collect::<Result<_, _>>()?;
        if !self.originals.contains_key(file) {
            self.originals.insert(file.to_owned(), std::fs::read(file).context(file.to_owned())?);
        }
        let original = &self.originals[file];
        let (cpu, wall) = (cpu_ms(), Instant::now());
        let header = Header::read(original, &self.limits)?;
        let (mut bytes, mut failure) = (Vec::new(), None);
        let options = RenderOptions::new(&self.limits).with_sandbox(&ProcessSandbox);
        render_each(original, &header, &outputs, &options, |_, rendered| match rendered {
            Ok(rendered) => bytes = rendered,
            Err(error) => failure = Some(error),
        });
        failure.map_or(Ok(()), Err)?;
        let measurement = Measurement {
            cpu_ms: cpu_ms() - cpu,
            wall_ms: wall.elapsed().as_secs_f64() * 1000.0,
            bytes: bytes.len(),
            score: 0.0,
            peak_mb: peak_mb()?,
        };
        output.map_or(Ok(()), |output| std::fs::write(output, bytes))?;
        Ok(measurement)
    }
}

fn output_spec(variant: &Variant) -> anyhow::Result<OutputSpec> {
    let quality = Quality::new(variant.quality).context("a quality is 1 to 100")?;
    let encoding = match variant.format.as_str() {
        "jpg" => Encoding::Jpeg(quality),
        "webp" => Encoding::WebP(quality),
        "avif" => Encoding::Avif(quality),
        "png" => Encoding::Png,
        format => bail!("unknown format {format}"),
    };
    Ok(OutputSpec { geometry: Geometry::Fit { width: Some(variant.width), height: None }, encoding })
}

/// CPU time of this thread and of the sandboxed processes.
fn cpu_ms() -> f64 {
    pixels::cpu_time().as_secs_f64() * 1e3
}

fn peak_mb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
