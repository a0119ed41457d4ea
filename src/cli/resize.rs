//! `resized resize`: resizes local files with the server's pipeline.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use bytesize::ByteSize;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use resized::config::Tuning;
use resized::observability::metrics::Metrics;
use resized::resize::{
    self, Header, JobOwner, Lane, Limits, OutputSpec, RenderError, RenderRequest, Rendered, Resizer,
};
use resized::support::threads::count_or_cores;
use resized::variant::{Encoding, Format, Geometry, Grammar};
use tokio::runtime::Runtime;

use super::args::sizes::{parse_format, parse_size, size_in_name};
use super::{Settings, print};

/// Resize local files as the server would
///
/// Applies the same limits, presets and qualities, without a store. Each file is decoded once for all sizes. The number of
/// files in progress is work.threads.
///
/// Exit status 1 if a picture could not be resized. The other pictures are still written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Pictures, followed by the output: a folder, or a file for one picture in one size
    #[arg(value_name = "IN... OUT", required = true, num_args = 2..)]
    paths: Vec<PathBuf>,
    /// Size as in URLs: 300x200, 300x, x200, 300x200_crop_top_q70@2x, or the name of a preset; by default the size in the name of OUT
    #[arg(short, long = "size", value_name = "SIZE")]
    sizes: Vec<String>,
    /// jpg, png, webp, avif, jxl or gif; by default the extension of OUT or of the picture
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<Format>,
}

const EXAMPLES: &str = "\
Examples:
  resized resize cat.jpg cat_300x200.webp                one picture, with the size in its name
  resized resize --size 300x --size 600x *.jpg small     each picture in two widths: small/cat_300x.jpg ...
  resized resize --size 200x200_crop_smart --format webp photos/*.jpg thumbs

Existing files are replaced.";

/// One picture and its outputs.
struct Picture {
    path: PathBuf,
    targets: Vec<Target>,
}

struct Target {
    path: PathBuf,
    geometry: Geometry,
    encoding: Encoding,
}

pub(super) fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<ExitCode> {
    let (config, pictures) = (&settings.config, plan(arguments, &Grammar::new(&settings.config)?)?);
    let runtime = Runtime::new()?;
    let threads = count_or_cores(config.work.threads);
    let renderer = Renderer {
        resizer: Resizer::start(threads, Tuning::default().queue_length, Metrics::new().resize)?,
        limits: resize::limits(config),
        bytes_max: config.limits.original_bytes.as_u64(),
    };
    // Each picture in progress takes memory, and one picture per thread keeps all threads busy.
    let failures = runtime.block_on(
        stream::iter(&pictures)
            .map(|picture| renderer.resize(picture))
            .buffer_unordered(threads)
            .fold(0, async |failures, of_picture| failures + of_picture),
    );
    renderer.resizer.shutdown();
    if failures > 0 {
        print::error(format_args!("{failures} pictures could not be resized"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Determines the outputs of each picture.
fn plan(arguments: Arguments, grammar: &Grammar) -> anyhow::Result<Vec<Picture>> {
    let Arguments { mut paths, sizes, format } = arguments;
    let out = paths.pop().context("give a picture and an output")?;
    let is_file = !out.is_dir() && paths.len() == 1 && sizes.len() <= 1 && out.extension().is_some();
    if is_file {
        let (path, name) = (paths.remove(0), file_name(&out));
        let (geometry, encoding) = match sizes.first() {
            Some(size) => parse_size(grammar, size, format, &name)?,
            None => size_in_name(grammar, &name).with_context(|| {
                format!("give --size, or a size in the name of {}, such as cat_300x200.jpg", out.display())
            })?,
        };
        return Ok(vec![Picture { path, targets: vec![Target { path: out, geometry, encoding }] }]);
    }
    ensure!(!sizes.is_empty(), "give --size: the name of an output folder contains no size");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create the folder {}", out.display()))?;
    let mut taken = std::collections::BTreeSet::new();
    let mut pictures = Vec::new();
    for path in paths {
        let mut targets = Vec::new();
        for size in &sizes {
            let (geometry, encoding) = parse_size(grammar, size, format, &file_name(&path))?;
            let target = out.join(target_name(&path, size, encoding.format()));
            if !taken.insert(target.clone()) {
                bail!("two outputs have the path {}: use different folders", target.display());
            }
            targets.push(Target { path: target, geometry, encoding });
        }
        pictures.push(Picture { path, targets });
    }
    Ok(pictures)
}

/// Returns the file name of an output: `cat_300x200.jpg`. Keeps the extension of the picture if it names the format.
fn target_name(picture: &Path, size: &str, format: Format) -> String {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (text(picture.file_stem()), text(picture.extension()));
    let extension =
        if Format::from_extension(&extension) == Some(format) { extension.as_str() } else { format.extension() };
    format!("{stem}_{size}.{extension}")
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The resize service and its limits.
struct Renderer {
    resizer: Resizer,
    limits: Limits,
    bytes_max: u64,
}

impl Renderer {
    /// Writes all outputs of a picture and returns the number of failures.
    async fn resize(&self, picture: &Picture) -> usize {
        let start = Instant::now();
        let rendered = match self.render(picture).await {
            Ok(rendered) => rendered,
            Err(error) => {
                print::error(format_args!("{}: {error:#}", picture.path.display()));
                return picture.targets.len();
            }
        };
        let mut failures = 0;
        for (target, bytes) in picture.targets.iter().zip(rendered) {
            let path = &target.path;
            match bytes.map_err(anyhow::Error::from).and_then(|bytes| write(path, &bytes).map(|()| bytes.len())) {
                Ok(bytes) => {
                    let (size, ms) = (ByteSize::b(bytes as u64), start.elapsed().as_millis());
                    print::line(format_args!("{}  {size}  {ms} ms", path.display()));
                }
                Err(error) => {
                    print::error(format_args!("{} as {}: {error:#}", picture.path.display(), path.display()));
                    failures += 1;
                }
            }
        }
        failures
    }

    /// Renders all outputs of a picture.
    async fn render(&self, picture: &Picture) -> anyhow::Result<Vec<Result<Bytes, RenderError>>> {
        let (path, bytes_max) = (&picture.path, self.bytes_max);
        let bytes = tokio::fs::metadata(path).await.context("cannot read the file")?.len();
        ensure!(bytes <= bytes_max, "the file has {bytes} bytes; the limit is {bytes_max} (limits.original_bytes)");
        let original = Bytes::from(tokio::fs::read(path).await.context("cannot read the file")?);
        let header = Header::read(&original, &self.limits)?;
        let output = |target: &Target| OutputSpec { geometry: target.geometry, encoding: target.encoding };
        let outputs: Vec<_> = picture.targets.iter().map(output).collect();
        let results = Arc::new(Mutex::new(vec![Err(RenderError::Stopped); outputs.len()]));
        let done = {
            let results = results.clone();
            move |Rendered { index, bytes, .. }: Rendered| {
                if let Some(result) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                    *result = bytes;
                }
            }
        };
        let request = RenderRequest { original, header, limits: self.limits };
        let turn = self.resizer.turn(Lane::Fast, JobOwner::Operator).await?;
        self.resizer.render_each((Lane::Fast, turn), request, || outputs, done, ()).await?;
        let results = results.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(results)
    }
}

/// Replaces the file at `path` atomically.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        // The default mode of new files, which the umask restricts.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .context("cannot write the file")?;
    file.write_all(bytes).context("cannot write the file")?;
    file.persist(path).context("cannot write the file")?;
    Ok(())
}
