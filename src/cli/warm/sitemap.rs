//! Extracts the pictures of a sitemap (sitemaps.org, with Google's image extension).

use anyhow::{Context, bail, ensure};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::args::sizes::url_path;
use super::targets::is_picture;

/// Returns the unique URLs of all `image:loc` elements, and of `loc` elements whose URL has the extension of a picture.
pub(super) fn pictures(xml: &str) -> anyhow::Result<Vec<String>> {
    let mut reader = Reader::from_str(xml);
    let (mut found, mut seen) = (Vec::new(), std::collections::HashSet::new());
    // `Some` inside a `loc` element: true if the element is an `image:loc`.
    let mut inside: Option<bool> = None;
    let mut text = String::new();
    loop {
        match reader.read_event().context("the file is not valid XML")? {
            Event::Start(start) => {
                let name = start.name();
                ensure!(
                    name.local_name().as_ref() != b"sitemapindex",
                    "the file is an index of sitemaps: give one of the sitemaps"
                );
                if name.local_name().as_ref() == b"loc" {
                    inside = Some(name.prefix().is_some());
                    text.clear();
                }
            }
            Event::Text(part) if inside.is_some() => text.push_str(&part.decode()?),
            Event::CData(part) if inside.is_some() => text.push_str(&part.decode()?),
            Event::GeneralRef(reference) if inside.is_some() => match reference.resolve_char_ref()? {
                Some(char) => text.push(char),
                None => match quick_xml::escape::resolve_predefined_entity(&reference.decode()?) {
                    Some(entity) => text.push_str(entity),
                    None => bail!("the file uses an undefined XML entity"),
                },
            },
            Event::End(end) if end.name().local_name().as_ref() == b"loc" => {
                let is_image = inside.take() == Some(true);
                let url = text.trim();
                if (is_image || is_picture(&url_path(url))) && seen.insert(url.to_owned()) {
                    found.push(url.to_owned());
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    ensure!(
        !found.is_empty(),
        "the sitemap contains no pictures: neither image:loc nor loc with the extension of a picture"
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_pages_and_direct_picture_urls_are_found_once() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
            <url><loc>https://a.example/page</loc><image:image><image:loc>https://a.example/a.jpg?x=1&amp;y=&#50;</image:loc></image:image>
            <image:image><image:loc><![CDATA[https://a.example/media/7]]></image:loc></image:image></url>
            <url><loc> https://a.example/b.png </loc></url><url><loc>https://a.example/b.png</loc></url></urlset>"#;
        let expected = ["https://a.example/a.jpg?x=1&y=2", "https://a.example/media/7", "https://a.example/b.png"];
        assert_eq!(pictures(xml).unwrap(), expected);
    }

    #[test]
    fn a_file_without_pictures_is_an_error() {
        for xml in [
            "",
            "<urlset><loc>/page</loc></urlset>",
            "<sitemapindex></sitemapindex>",
            "<urlset></loc>",
            "<loc>&x;</loc>",
        ] {
            assert!(pictures(xml).is_err(), "{xml}");
        }
    }
}
