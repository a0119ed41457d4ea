//! Reads `multipart/form-data` bodies (RFC 7578): one file field, in any position, and the text fields that
//! `upload.fields` lists.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::body::UploadBody;
use super::error::UploadError;
use super::metadata::META_FIELD;
use super::percent;

mod paced_body;

use paced_body::{Pace, PacedBody};

/// Bytes that a form may have in addition to its file, for boundaries and text fields.
pub(super) const OVERHEAD_BYTES_MAX: u64 = 1 << 20;

/// Limit for the metadata of all stored fields together: names and percent-encoded values. S3 allows 2 KB of metadata for an
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
    pace: Pace,
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
    let pace = Pace::default();
    let body = PacedBody::new(body, pace.clone());
    let parts = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limit));
    stream::try_unfold(Position::Start(FormReader { parts, pace, fields, bytes_max }), |position| async move {
        let (mut form, mut field) = match position {
            Position::InFile(form, field) => (form, field),
            Position::Start(mut form) => match form.next_file().await? {
                Some(field) => (form, Box::new(field)),
                None => return Err(UploadError::BadRequest("the form has no file field".into())),
            },
        };
        if let Some(chunk) = form.chunk(&mut field).await? {
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
        loop {
            self.pace.next();
            let field = self.parts.next_field().await.map_err(|error| self.upload_error(error))?;
            let Some(mut field) = field else { return Ok(None) };
            if field.file_name().is_some() {
                return Ok(Some(field));
            }
            if field.name().is_some_and(|name| self.fields.names.iter().any(|wanted| wanted == name)) {
                self.read_text(field).await?;
            } else {
                while self.chunk(&mut field).await?.is_some() {}
            }
        }
    }

    async fn chunk(&self, field: &mut Field<'static>) -> Result<Option<Bytes>, UploadError> {
        self.pace.next();
        field.chunk().await.map_err(|error| self.upload_error(error))
    }

    async fn read_text(&self, mut field: Field<'static>) -> Result<(), UploadError> {
        let name = field.name().unwrap_or_default().to_owned();
        let mut value = Vec::new();
        while let Some(chunk) = self.chunk(&mut field).await? {
            value.extend_from_slice(&chunk);
            if value.len() > FIELDS_BYTES_MAX {
                return Err(fields_too_long());
            }
        }
        let value = String::from_utf8(value)
            .map_err(|_| UploadError::BadRequest(format!("the form field {name} is not valid UTF-8")))?;
        self.fields.insert(name, value)
    }

    fn upload_error(&self, error: multer::Error) -> UploadError {
        match error {
            multer::Error::StreamSizeExceeded { .. } => UploadError::TooLarge { bytes_max: self.bytes_max },
            // An error of the body.
            multer::Error::StreamReadFailed(error) => match error.downcast::<UploadError>() {
                Ok(error) => *error,
                Err(_) => UploadError::BadRequest("the body is incomplete".into()),
            },
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
        let bytes = |(name, value): (&String, &String)| META_FIELD.len() + name.len() + percent::encode(value).len();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Sends `head`, then `piece` `pieces` times, then `tail`. Returns the bytes of the file, the bytes that were read of
    /// the body, and the first error.
    async fn read(head: &str, piece: &str, pieces: usize, tail: &str) -> (usize, usize, Option<UploadError>) {
        let chunks = std::iter::once(head).chain(std::iter::repeat_n(piece, pieces)).chain([tail]);
        let chunks: Vec<_> = chunks.map(|chunk| Bytes::from(chunk.to_owned())).collect();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let body = stream::iter(chunks).map(move |chunk| {
            counted.fetch_add(chunk.len(), Ordering::Relaxed);
            Ok(chunk)
        });
        let fields = FormFields::new(Arc::new(["title".to_owned()]));
        let mut file = file(body.boxed(), "x".into(), 64 << 20, fields);
        let (mut bytes, mut error) = (0, None);
        while let Some(chunk) = file.next().await {
            match chunk {
                Ok(chunk) => bytes += chunk.len(),
                Err(failed) => error = Some(failed),
            }
        }
        (bytes, sent.load(Ordering::Relaxed), error)
    }

    #[tokio::test]
    async fn a_header_without_an_end_is_refused_before_it_fills_the_memory() {
        let long = "a".repeat(10_000);
        let heads = [
            "--x\r\nContent-Disposition: form-data; name=\"",
            "--x\r\nContent-Disposition: form-data; name=\"title\"\r\nX: ",
            "no boundary ",
        ];
        for head in heads {
            let (_, sent, error) = read(head, &long, 1000, "").await;
            assert!(matches!(error, Some(UploadError::BadRequest(_))), "{head}: {error:?}");
            assert!(sent < 200_000, "{head}: {sent}");
        }
    }

    #[tokio::test]
    async fn many_fields_and_long_ignored_ones_are_read_in_bounded_memory() {
        let field = "--x\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n";
        let head = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\n\r\n";
        let tail = format!("{head}picture\r\n--x--\r\n");
        let (bytes, _, error) = read("", field, 10_000, &tail).await;
        assert_eq!((bytes, error), (7, None));
        let ignored = "--x\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n";
        let (bytes, _, error) = read(ignored, &"1".repeat(100_000), 9, &format!("\r\n{tail}")).await;
        assert_eq!((bytes, error), (7, None));
        let (bytes, _, error) = read(head, &"p".repeat(100_000), 300, "\r\n--x--\r\n").await;
        assert_eq!((bytes, error), (30_000_000, None));
    }
}
