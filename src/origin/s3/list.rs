//! Pages of listings, as S3's `ListObjectsV2` returns them.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::xml::visit_elements;
use crate::origin::error::StoreError;
use crate::origin::object::{ListPage, ListedObject};
use crate::variant::ObjectKey;

/// The elements of one `Contents`.
#[derive(Debug, Default)]
struct Entry {
    key: String,
    bytes: Option<u64>,
    etag: String,
    last_modified: Option<SystemTime>,
}

/// The objects in `document` whose keys start with the store's `prefix`, as keys without it.
pub(super) fn parse_page(document: &str, prefix: &str) -> Result<ListPage, StoreError> {
    let (mut objects, mut last, mut is_truncated) = (Vec::new(), None, false);
    let mut entry = Entry::default();
    let is_complete = visit_elements(document, |element| match element.path {
        "ListBucketResult/IsTruncated" => is_truncated = element.text == "true",
        "ListBucketResult/Contents/Key" => element.text.clone_into(&mut entry.key),
        "ListBucketResult/Contents/Size" => entry.bytes = element.text.parse().ok(),
        "ListBucketResult/Contents/ETag" => element.text.clone_into(&mut entry.etag),
        "ListBucketResult/Contents/LastModified" => entry.last_modified = time(element.text),
        "ListBucketResult/Contents" => {
            let entry = std::mem::take(&mut entry);
            last = entry.key.strip_prefix(prefix).map(str::to_owned);
            objects.extend(entry.into_listed(prefix));
        }
        _ => {}
    });
    if !is_complete || !document.contains("ListBucketResult") {
        return Err(StoreError::other("the listing is not a complete XML document"));
    }
    Ok(ListPage { objects, next: last.filter(|_| is_truncated) })
}

impl Entry {
    /// `None` if the rest of the key is not valid, like that of the empty objects that some tools create for folders.
    fn into_listed(self, prefix: &str) -> Option<ListedObject> {
        Some(ListedObject {
            key: ObjectKey::new(self.key.strip_prefix(prefix)?).ok()?,
            bytes: self.bytes?,
            etag: Some(self.etag).filter(|etag| !etag.is_empty())?.into(),
            last_modified: self.last_modified?,
        })
    }
}

fn time(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(DateTime::from_str(text, Format::DateTimeWithOffset).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(is_truncated: bool, keys: &[&str]) -> String {
        let contents = keys.iter().map(|key| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-30T10:00:00.000Z</LastModified>\
                 <ETag>&quot;e&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        });
        let contents: String = contents.collect();
        format!(
            "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>b</Name><Prefix>p/</Prefix><IsTruncated>{is_truncated}</IsTruncated>{contents}</ListBucketResult>"
        )
    }

    #[test]
    fn a_page_has_the_objects_below_the_prefix_and_the_start_of_the_next_one() {
        let page = parse_page(&document(true, &["p/", "p/a &amp; b", "p/c&#x20;d"]), "p/").unwrap();
        let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["a & b", "c d"]);
        assert_eq!(page.next.as_deref(), Some("c d"));
        let ListedObject { bytes, etag, last_modified, .. } = &page.objects[0];
        assert_eq!((*bytes, &**etag), (5, "\"e\""));
        assert_eq!(humantime::format_rfc3339_seconds(*last_modified).to_string(), "2026-11-30T10:00:00Z");
        assert_eq!(parse_page(&document(false, &["p/a"]), "p/").unwrap().next, None);
        assert_eq!(parse_page(&document(false, &[]), "").unwrap(), ListPage::default());
    }

    #[test]
    fn an_incomplete_listing_is_an_error() {
        let document = document(false, &["a"]);
        for end in [0, document.len() / 2, document.len() - 1] {
            assert!(parse_page(&document[..end], "").is_err());
        }
        assert!(parse_page("<html></html>", "").is_err());
    }
}
