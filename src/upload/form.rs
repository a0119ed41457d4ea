//! Forms: the one file of a `multipart/form-data` body (RFC 7578), wherever it stands in it.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::Source;
use super::refusal::Refusal;

/// Boundaries and other fields may have so many bytes besides the file.
pub(super) const EXTRA_BYTES_MAX: u64 = 1 << 20;

/// The boundary, if the body is such a form.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

/// Where we are in the form.
enum At {
    Start(Multipart<'static>),
    File(Multipart<'static>, Box<Field<'static>>),
}

/// The bytes of the file. Other fields are passed over. It fails if there is no file or a second one, and if the form ends
/// before its end.
pub(super) fn file(body: Source, boundary: String, bytes_max: u64) -> Source {
    let limit = SizeLimit::new().whole_stream(bytes_max.saturating_add(EXTRA_BYTES_MAX));
    let body = body.map_err(|refusal| io::Error::other(refusal.to_string()));
    let form = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limit));
    let failed = move |error: multer::Error| refused(&error, bytes_max);
    stream::try_unfold(At::Start(form), move |at| async move {
        let (form, mut field) = match at {
            At::File(form, field) => (form, field),
            At::Start(mut form) => match next_file(&mut form).await.map_err(failed)? {
                Some(field) => (form, Box::new(field)),
                None => return Err(Refusal::BadRequest("the form has no file field".into())),
            },
        };
        if let Some(chunk) = field.chunk().await.map_err(failed)? {
            return Ok(Some((chunk, At::File(form, field))));
        }
        drop(field);
        let mut form = form;
        match next_file(&mut form).await.map_err(failed)? {
            Some(_) => Err(Refusal::BadRequest("the form has more than one file; send them one by one".into())),
            None => Ok(None::<(Bytes, At)>),
        }
    })
    .boxed()
}

async fn next_file(form: &mut Multipart<'static>) -> Result<Option<Field<'static>>, multer::Error> {
    while let Some(field) = form.next_field().await? {
        if field.file_name().is_some() {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

fn refused(error: &multer::Error, bytes_max: u64) -> Refusal {
    match error {
        multer::Error::StreamSizeExceeded { .. } => Refusal::TooLarge { bytes_max },
        _ => Refusal::BadRequest("the form is cut off or is no multipart/form-data".into()),
    }
}
