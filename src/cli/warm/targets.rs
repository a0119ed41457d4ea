//! Which variants are wanted: names times sizes.

use std::io::Read as _;

use anyhow::{Context, bail};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use resized::proxy::Proxy;
use resized::variant::{Encoding, Format, Geometry, Grammar, Named, ObjectKey, Variant};

use super::super::args::sizes::{path_of, read};
use super::{Arguments, sitemap};

/// What is made of each name.
pub(super) struct Wanted {
    grammar: Grammar,
    sizes: Vec<String>,
    formats: Vec<Option<Format>>,
}

impl Wanted {
    pub(super) fn new(grammar: Grammar, sizes: &[String], formats: &[Format]) -> anyhow::Result<Self> {
        let formats = if formats.is_empty() { vec![None] } else { formats.iter().copied().map(Some).collect() };
        let wanted = Self { grammar, sizes: sizes.to_vec(), formats };
        // What is wrong with a size is said once and before anything is made.
        wanted.shapes("picture.jpg")?;
        Ok(wanted)
    }

    /// How many variants of each name.
    pub(super) fn of_each(&self) -> u64 {
        (self.sizes.len() * self.formats.len()).max(1) as u64
    }

    /// The canonical paths of a name's variants.
    pub(super) fn paths(&self, name: &str) -> anyhow::Result<Vec<String>> {
        if self.sizes.is_empty() {
            return match self.grammar.parse(&path_of(name))? {
                Named::Variant(addressed) => Ok(vec![self.grammar.show(&addressed.variant)]),
                Named::Object(..) => bail!("it names no size: give --size, or write it as /photos/cat_300x200.jpg"),
            };
        }
        let original = self.original(name)?;
        let shapes = self.shapes(original.as_str())?.into_iter();
        let variants = shapes.map(|(geometry, encoding)| Variant { original: original.clone(), geometry, encoding });
        Ok(variants.map(|variant| self.grammar.show(&variant)).collect())
    }

    /// A path or URL is percent-encoded, a key is not.
    fn original(&self, name: &str) -> anyhow::Result<ObjectKey> {
        if !name.starts_with('/') && !name.contains("://") {
            return Ok(ObjectKey::new(name)?);
        }
        Ok(match self.grammar.parse(&path_of(name))? {
            Named::Object(key, _) => key,
            Named::Variant(addressed) => addressed.literal,
        })
    }

    fn shapes(&self, name: &str) -> anyhow::Result<Vec<(Geometry, Encoding)>> {
        let pairs = self.sizes.iter().flat_map(|size| self.formats.iter().map(move |format| (size, format)));
        pairs.map(|(size, format)| read(&self.grammar, size, *format, name)).collect()
    }
}

/// Where names come from.
pub(super) enum Names {
    List(Vec<String>),
    Listing { prefix: String },
}

/// The most that is read of a list.
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

    /// How many there are. A listing is gone through for that, a request for every thousand: that is what lets time left be told.
    pub(super) async fn count(&self, proxy: &Proxy) -> anyhow::Result<u64> {
        match self {
            Self::List(names) => Ok(names.len() as u64),
            Self::Listing { .. } => {
                let mut names = self.stream(proxy);
                let mut count = 0;
                while let Some(name) = names.next().await {
                    name?;
                    count += 1;
                }
                Ok(count)
            }
        }
    }

    /// One after the other. A listing ends with its error, if it has one.
    pub(super) fn stream<'a>(&'a self, proxy: &'a Proxy) -> BoxStream<'a, anyhow::Result<String>> {
        match self {
            Self::List(names) => stream::iter(names).map(|name| Ok(name.clone())).boxed(),
            Self::Listing { prefix } => listing(proxy, prefix).boxed(),
        }
    }
}

/// The keys of pictures in the originals' store, page by page.
fn listing<'a>(proxy: &'a Proxy, prefix: &'a str) -> impl Stream<Item = anyhow::Result<String>> + Send + 'a {
    let pages = stream::unfold(Some(None::<String>), move |after| async move {
        let after = after?;
        match proxy.originals(prefix, after.as_deref()).await.context("they cannot be listed") {
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

/// Whether a name ends as pictures do. Other objects may be pictures, too; these are meant to be.
pub(super) fn is_picture(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| Format::from_extension(extension).is_some())
}

fn text(file: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().take(LIST_BYTES_MAX).read_to_string(&mut text),
        file => std::fs::File::open(file).and_then(|opened| opened.take(LIST_BYTES_MAX).read_to_string(&mut text)),
    };
    read.with_context(|| format!("{file} cannot be read"))?;
    if text.len() as u64 == LIST_BYTES_MAX {
        bail!("{file} has more than {LIST_BYTES_MAX} bytes: split it");
    }
    Ok(text)
}
