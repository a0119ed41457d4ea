//! Reads `multipart/form-data` bodies (RFC 7578): one file field, in any position, and the text fields that
//! `upload.fields` lists.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::body::UploadBody;
use super::error::UploadError;
use super::percent;

/// Bytes that a form may have in addition to its file, for boundaries and text fields.
pub(super) const OVERHEAD_BYTES_MAX: u64 = 1 << 20;

/// Limit for the names and percent-encoded values of all stored fields together. S3 allows 2 KB of metadata for an
/// object.
const FIELDS_BYTES_MAX: usize = 1500;

/// The text fields of a form that `upload.fields` names. Clones share the values.
#[derive(Debug, Clone)]
pub(super) struct FormFields {
    names: Arc<[String]>,
    values: Arc<Mutex<BTreeMap<String, String>>>,
}

struct FormReader {
    parts: Multipart<'static>,
    fields: FormFields,
    bytes_max: u64,
}

/// Position in the form.
enum Position {
    Start(FormReader),
    InFile(FormReader, Box<Field<'static>>),
}

/// Returns the boundary, if the body is a form.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

/// Extracts the bytes of the file. `fields` is complete when the stream has ended. The stream fails if the form is
/// incomplete or does not contain exactly one file.
pub(super) fn file(body: UploadBody, boundary: String, bytes_max: u64, fields: FormFields) -> UploadBody {
    let limit = SizeLimit::new().whole_stream(bytes_max.saturating_add(OVERHEAD_BYTES_MAX));
    let body = body.map_err(|error| io::Error::other(error.to_string()));
    let parts = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limit));
    stream::try_unfold(Position::Start(FormReader { parts, fields, bytes_max }), |position| async move {
        let (mut form, mut field) = match position {
            Position::InFile(form, field) => (form, field),
            Position::Start(mut form) => match form.next_file().await? {
                Some(field) => (form, Box::new(field)),
                None => return Err(UploadError::BadRequest("the form has no file field".into())),
            },
        };
        if let Some(chunk) = field.chunk().await.map_err(|error| form.upload_error(&error))? {
            return Ok(Some((chunk, Position::InFile(form, field))));
        }
        drop(field);
        match form.next_file().await? {
            Some(_) => {
                Err(UploadError::BadRequest("the form has more than one file; send one file per request".into()))
            }
            None => Ok(None::<(Bytes, Position)>),
        }
    })
    .boxed()
}

impl FormReader {
    /// Returns the next file field. Text fields before it are read, and stored if `upload.fields` lists them.
    async fn next_file(&mut self) -> Result<Option<Field<'static>>, UploadError> {
        while let Some(field) = self.parts.next_field().await.map_err(|error| self.upload_error(&error))? {
            if field.file_name().is_some() {
                return Ok(Some(field));
            }
            if field.name().is_some_and(|name| self.fields.names.iter().any(|wanted| wanted == name)) {
                self.read_text(field).await?;
            }
        }
        Ok(None)
    }

    async fn read_text(&self, mut field: Field<'static>) -> Result<(), UploadError> {
        let name = field.name().unwrap_or_default().to_owned();
        let mut value = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| self.upload_error(&error))? {
            value.extend_from_slice(&chunk);
            if value.len() > FIELDS_BYTES_MAX {
                return Err(fields_too_long());
            }
        }
        let value = String::from_utf8(value)
            .map_err(|_| UploadError::BadRequest(format!("the form field {name} is not valid UTF-8")))?;
        self.fields.insert(name, value)
    }

    fn upload_error(&self, error: &multer::Error) -> UploadError {
        match error {
            multer::Error::StreamSizeExceeded { .. } => UploadError::TooLarge { bytes_max: self.bytes_max },
            _ => UploadError::BadRequest("the form is incomplete or is not valid multipart/form-data".into()),
        }
    }
}

impl FormFields {
    /// Creates an empty set that accepts the fields `names`.
    pub(super) fn new(names: Arc<[String]>) -> Self {
        Self { names, values: Arc::default() }
    }

    fn insert(&self, name: String, value: String) -> Result<(), UploadError> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.insert(name.clone(), value).is_some() {
            return Err(UploadError::BadRequest(format!("the form field {name} is repeated")));
        }
        let bytes = |(name, value): (&String, &String)| name.len() + percent::encode(value).len();
        if values.iter().map(bytes).sum::<usize>() > FIELDS_BYTES_MAX { Err(fields_too_long()) } else { Ok(()) }
    }

    pub(super) fn take(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.values.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fields_too_long() -> UploadError {
    UploadError::BadRequest(format!(
        "the form fields are longer than {FIELDS_BYTES_MAX} bytes after percent-encoding; shorten them"
    ))
}
