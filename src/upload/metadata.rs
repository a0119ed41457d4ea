//! The metadata of an original, by which a later request recognizes the upload that stored it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::percent;
use super::stored::StoredOriginal;
use crate::origin::ObjectMeta;

/// Metadata that an upload has written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UploadMetadata {
    /// SHA-256 of the original in hexadecimal.
    pub(super) sha256: Option<String>,
    /// Id of the upload. Earlier versions did not write it.
    pub(super) id: Option<String>,
    /// Time of the upload, in the format of RFC 3339.
    pub(super) time: Option<String>,
    /// Form fields that `upload.fields` named.
    pub(super) fields: BTreeMap<String, String>,
}

const META_SHA256: &str = "resized-sha256";

/// Name of the metadata with the id and the time of the upload, separated by a semicolon.
const META_UPLOAD: &str = "resized-upload";

/// Prefix of the name of the metadata with a form field; the name of the field follows.
pub(super) const META_FIELD: &str = "resized-field-";

/// The metadata of an original that the upload `id` stores.
pub(super) fn of_upload(original: &StoredOriginal, id: &str) -> Vec<(String, String)> {
    let mut metadata = vec![
        (META_SHA256.to_owned(), original.sha256.clone()),
        (META_UPLOAD.to_owned(), format!("{id};{}", original.time)),
    ];
    let field = |(name, value): (&String, &String)| (format!("{META_FIELD}{name}"), percent::encode(value));
    metadata.extend(original.fields.iter().map(field));
    metadata
}

impl UploadMetadata {
    pub(super) fn read(object: &ObjectMeta) -> Self {
        let mut read = Self::default();
        for (name, value) in &object.metadata {
            if name == META_SHA256 {
                read.sha256 = Some(value.clone());
            } else if name == META_UPLOAD {
                let (id, time) = value.split_once(';').unwrap_or((value, ""));
                read.id = Some(id.to_owned());
                read.time = Some(time.to_owned()).filter(|time| !time.is_empty());
            } else if let Some(field) = name.strip_prefix(META_FIELD) {
                let text = percent_decode_str(value).decode_utf8_lossy().into_owned();
                read.fields.insert(field.to_owned(), text);
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn metadata_is_read_as_it_was_written() {
        let original = StoredOriginal {
            sha256: "ab".into(),
            time: "2026-11-30T12:00:00.000Z".into(),
            fields: [("title".to_owned(), "a; b\r\né".to_owned())].into(),
            ..StoredOriginal::default()
        };
        let read = |metadata| {
            let last_modified = SystemTime::UNIX_EPOCH;
            UploadMetadata::read(&ObjectMeta {
                bytes: 1,
                etag: "".into(),
                last_modified,
                content_type: None,
                content_encoding: None,
                metadata,
            })
        };
        let written = read(of_upload(&original, "0123"));
        assert_eq!((written.sha256.as_deref(), written.id.as_deref()), (Some("ab"), Some("0123")));
        assert_eq!((written.time, written.fields), (Some(original.time), original.fields));
        let older = read(vec![(META_SHA256.to_owned(), "ab".to_owned())]);
        assert_eq!(older, UploadMetadata { sha256: Some("ab".into()), ..UploadMetadata::default() });
    }
}
