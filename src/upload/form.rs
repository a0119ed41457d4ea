//! Forms: the one file of a `multipart/form-data` body (RFC 7578), wherever it stands in it, and fields that config names.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::Source;
use super::error::Refusal;

/// Boundaries and other fields may have so many bytes besides the file.
pub(super) const EXTRA_BYTES_MAX: u64 = 1 << 20;

/// All wanted fields together, names and values percent-encoded as they are stored: S3 takes 2 KB of metadata with an object.
const FIELDS_BYTES_MAX: usize = 1500;

/// Fields of a form besides its file: those of `upload.fields`. Clones are the same ones.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    wanted: Arc<[String]>,
    found: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A form being read.
struct Form {
    parts: Multipart<'static>,
    fields: Fields,
    bytes_max: u64,
}

/// Where we are in the form.
enum At {
    Start(Form),
    File(Form, Box<Field<'static>>),
}

/// The boundary, if the body is such a form.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

/// The bytes of the file. Fields that are wanted are in `fields` once it has ended, others are passed over. It fails if there
/// is no file or a second one, and if the form ends before its end.
pub(super) fn file(body: Source, boundary: String, bytes_max: u64, fields: Fields) -> Source {
    let limit = SizeLimit::new().whole_stream(bytes_max.saturating_add(EXTRA_BYTES_MAX));
    let body = body.map_err(|refusal| io::Error::other(refusal.to_string()));
    let parts = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limit));
    stream::try_unfold(At::Start(Form { parts, fields, bytes_max }), |at| async move {
        let (mut form, mut field) = match at {
            At::File(form, field) => (form, field),
            At::Start(mut form) => match form.next_file().await? {
                Some(field) => (form, Box::new(field)),
                None => return Err(Refusal::BadRequest("the form has no file field".into())),
            },
        };
        if let Some(chunk) = field.chunk().await.map_err(|error| form.refused(&error))? {
            return Ok(Some((chunk, At::File(form, field))));
        }
        drop(field);
        match form.next_file().await? {
            Some(_) => Err(Refusal::BadRequest("the form has more than one file; send them one by one".into())),
            None => Ok(None::<(Bytes, At)>),
        }
    })
    .boxed()
}

impl Form {
    /// The next file; fields before it are kept if they are wanted.
    async fn next_file(&mut self) -> Result<Option<Field<'static>>, Refusal> {
        while let Some(field) = self.parts.next_field().await.map_err(|error| self.refused(&error))? {
            if field.file_name().is_some() {
                return Ok(Some(field));
            }
            if field.name().is_some_and(|name| self.fields.wanted.iter().any(|wanted| wanted == name)) {
                self.keep(field).await?;
            }
        }
        Ok(None)
    }

    async fn keep(&self, mut field: Field<'static>) -> Result<(), Refusal> {
        let name = field.name().unwrap_or_default().to_owned();
        let mut value = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| self.refused(&error))? {
            value.extend_from_slice(&chunk);
            if value.len() > FIELDS_BYTES_MAX {
                return Err(too_long());
            }
        }
        let value = String::from_utf8(value)
            .map_err(|_| Refusal::BadRequest(format!("the form's field {name} is not written in UTF-8")))?;
        self.fields.add(name, value)
    }

    fn refused(&self, error: &multer::Error) -> Refusal {
        match error {
            multer::Error::StreamSizeExceeded { .. } => Refusal::TooLarge { bytes_max: self.bytes_max },
            _ => Refusal::BadRequest("the form is cut off or is no multipart/form-data".into()),
        }
    }
}

impl Fields {
    /// None yet, of those that are `wanted`.
    pub(super) fn wanted(wanted: &Arc<[String]>) -> Self {
        Self { wanted: wanted.clone(), found: Arc::default() }
    }

    fn add(&self, name: String, value: String) -> Result<(), Refusal> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(_former) = found.insert(name.clone(), value) {
            return Err(Refusal::BadRequest(format!("the form has its field {name} more than once")));
        }
        let bytes = |(name, value): (&String, &String)| name.len() + encoded(value).len();
        if found.iter().map(bytes).sum::<usize>() > FIELDS_BYTES_MAX { Err(too_long()) } else { Ok(()) }
    }

    pub(super) fn take(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A value as it can stand in a header, whatever is in it.
pub(super) fn encoded(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, super::PLAIN).to_string()
}

fn too_long() -> Refusal {
    Refusal::BadRequest(format!(
        "the form's fields have more than the {FIELDS_BYTES_MAX} bytes that are kept, percent-encoded; shorten them"
    ))
}
