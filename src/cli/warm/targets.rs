//! The variants to make: all combinations of names, sizes and formats.

use std::io::Read as _;

use anyhow::{Context, bail};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use resized::origin::{PAGE_OBJECTS_MAX, Store};
use resized::variant::{Encoding, Format, Geometry, Grammar, ObjectKey, ParsedPath, SizeDecision, Variant};

use super::super::args::sizes::{parse_size, url_path};
use super::{Arguments, sitemap};

/// Determines the variants to make for each name.
pub(super) struct Targets {
    grammar: Grammar,
    sizes: Vec<String>,
    formats: Vec<Option<Format>>,
}

/// One variant to make.
pub(super) struct Target {
    /// The canonical path.
    pub(super) path: String,
    /// The variant, or the reason why clients cannot request it.
    pub(super) allowed: Result<Variant, String>,
    /// The variant that clients get instead if it does not have more bytes.
    pub(super) smaller: Option<Variant>,
}

impl Targets {
    pub(super) fn new(grammar: Grammar, sizes: &[String], formats: &[Format]) -> anyhow::Result<Self> {
        let formats = if formats.is_empty() { vec![None] } else { formats.iter().copied().map(Some).collect() };
        let targets = Self { grammar, sizes: sizes.to_vec(), formats };
        // Reports an invalid size once, before the first variant is made.
        targets.shapes("picture.jpg")?;
        Ok(targets)
    }

    /// The maximum number of variants per name.
    pub(super) fn per_name(&self) -> u64 {
        let negotiated = if self.formats == [None] { self.grammar.negotiated().len() } else { 0 };
        ((self.sizes.len() * self.formats.len()).max(1) * (1 + negotiated)) as u64
    }

    /// The variants of a name.
    pub(super) fn of_name(&self, name: &str) -> anyhow::Result<Vec<Target>> {
        if self.sizes.is_empty() {
            return match self.grammar.parse(&url_path(name))? {
                ParsedPath::Variant(addressed) if addressed.negotiable => Ok(self.negotiated(&addressed.variant)),
                ParsedPath::Variant(addressed) => Ok(vec![self.target(&addressed.variant, None)]),
                ParsedPath::Object(..) => {
                    bail!("the name contains no size: give --size, or a name such as /photos/cat_300x200.jpg")
                }
            };
        }
        let original = self.original(name)?;
        let shapes = self.shapes(original.as_str())?.into_iter();
        let variants = shapes.map(|(geometry, encoding)| Variant { original: original.clone(), geometry, encoding });
        Ok(variants.flat_map(|variant| self.of_format(&variant)).collect())
    }

    /// The variant in the format that the arguments name, or else in all formats that clients may get.
    fn of_format(&self, variant: &Variant) -> Vec<Target> {
        if self.formats == [None] { self.negotiated(variant) } else { vec![self.target(variant, None)] }
    }

    /// The variant in the format of its URL and in all formats that `Accept` may select. Those that are made later are last, because
    /// they are compared with another.
    fn negotiated(&self, in_url: &Variant) -> Vec<Target> {
        let format = in_url.encoding.format();
        let is_late = |offer: &Format| self.grammar.is_made_later(*offer);
        let (late, others): (Vec<_>, Vec<_>) =
            self.grammar.offers(format).filter(|offer| *offer != format).partition(is_late);
        let with_format = |offer: Format| in_url.with_format(offer, &self.grammar);
        let interim = others.first().map_or_else(|| in_url.clone(), |offer| with_format(*offer));
        let targets = [self.target(in_url, None)].into_iter();
        let targets = targets.chain(others.into_iter().map(|offer| self.target(&with_format(offer), None)));
        targets.chain(late.into_iter().map(|offer| self.target(&with_format(offer), Some(&interim)))).collect()
    }

    /// Checks that clients can request the variant.
    fn target(&self, variant: &Variant, smaller: Option<&Variant>) -> Target {
        let path = self.grammar.canonical_path(variant);
        let allowed = match self.grammar.parse(&path) {
            Ok(ParsedPath::Variant(addressed)) => match addressed.size_decision {
                SizeDecision::Allowed => Ok(addressed.variant),
                SizeDecision::RedirectTo(nearest) | SizeDecision::Refused(nearest) => {
                    let nearest = self.grammar.canonical_path(&nearest);
                    Err(format!("this size is not allowed ([sizes]); the nearest allowed size is {nearest}"))
                }
            },
            Ok(ParsedPath::Object(..)) => Err("the path does not name a variant".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Target { path, allowed, smaller: smaller.cloned() }
    }

    /// Parses a path, a URL or a key. Paths and URLs are percent-encoded, keys are not.
    fn original(&self, name: &str) -> anyhow::Result<ObjectKey> {
        if !name.starts_with('/') && !name.contains("://") {
            return Ok(ObjectKey::new(name)?);
        }
        Ok(match self.grammar.parse(&url_path(name))? {
            ParsedPath::Object(key, _) => key,
            ParsedPath::Variant(addressed) => addressed.literal_key,
        })
    }

    fn shapes(&self, name: &str) -> anyhow::Result<Vec<(Geometry, Encoding)>> {
        let pairs = self.sizes.iter().flat_map(|size| self.formats.iter().map(move |format| (size, format)));
        pairs.map(|(size, format)| parse_size(&self.grammar, size, *format, name)).collect()
    }
}

/// The source of the names.
pub(super) enum Names {
    List(Vec<String>),
    Listing { prefix: String },
}

/// Maximum size of a list.
const LIST_BYTES_MAX: u64 = 1 << 30;

impl Names {
    pub(super) fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        Ok(match (&arguments.listing, &arguments.sitemap, &arguments.from) {
            (Some(prefix), ..) => Self::Listing { prefix: prefix.clone() },
            (_, Some(file), _) => Self::List(sitemap::pictures(&text(file)?).with_context(|| file.clone())?),
            (_, _, Some(file)) => {
                let text = text(file)?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                Self::List(lines.map(str::to_owned).collect())
            }
            (None, None, None) => Self::List(arguments.names.clone()),
        })
    }

    /// Counts the names, for the progress bar. A listing is read completely, with one request per thousand objects.
    pub(super) async fn count(&self, originals: &Store) -> anyhow::Result<u64> {
        match self {
            Self::List(names) => Ok(names.len() as u64),
            Self::Listing { .. } => {
                let mut names = self.stream(originals);
                let mut count = 0;
                while let Some(name) = names.next().await {
                    name?;
                    count += 1;
                }
                Ok(count)
            }
        }
    }

    /// Returns the names. A listing ends after an error.
    pub(super) fn stream<'a>(&'a self, originals: &'a Store) -> BoxStream<'a, anyhow::Result<String>> {
        match self {
            Self::List(names) => stream::iter(names).map(|name| Ok(name.clone())).boxed(),
            Self::Listing { prefix } => listing(originals, prefix).boxed(),
        }
    }
}

/// The keys of pictures in the originals store.
fn listing<'a>(originals: &'a Store, prefix: &'a str) -> impl Stream<Item = anyhow::Result<String>> + Send + 'a {
    let pages = stream::unfold(Some(None::<String>), move |after| async move {
        let after = after?;
        match originals.list(prefix, after.as_deref(), PAGE_OBJECTS_MAX).await.context("cannot list the store") {
            Ok(page) => {
                let keys = page.objects.into_iter().map(|listed| listed.key.as_str().to_owned());
                let keys: Vec<_> = keys.filter(|key| is_picture(key)).map(Ok).collect();
                Some((keys, page.next.map(Some)))
            }
            Err(error) => Some((vec![Err(error)], None)),
        }
    });
    pages.flat_map(stream::iter)
}

/// True if `name` has the extension of a picture.
pub(super) fn is_picture(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| Format::for_original(extension).is_some())
}

fn text(file: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().take(LIST_BYTES_MAX).read_to_string(&mut text),
        file => std::fs::File::open(file).and_then(|opened| opened.take(LIST_BYTES_MAX).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {file}"))?;
    if text.len() as u64 == LIST_BYTES_MAX {
        bail!("{file} is larger than {LIST_BYTES_MAX} bytes: split it");
    }
    Ok(text)
}
