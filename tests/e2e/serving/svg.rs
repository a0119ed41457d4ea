//! SVG originals: variants, and the sanitized original itself. A real node runs the sandboxed processes.

use std::fs;

use reqwest::StatusCode;

use crate::support::node::{Node, TOKEN};

const DRAWING: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 20 10' onload='alert(1)'>\
                       <script>alert(1)</script><rect width='10' height='10' fill='#f00'/></svg>";

/// A node with these settings, whose originals are a drawing, a broken one and a text.
fn node(settings: &[(&'static str, &str)]) -> (Node, tempfile::TempDir) {
    tokio::task::block_in_place(|| {
        let folder = tempfile::tempdir().unwrap();
        let originals = folder.path().join("originals");
        fs::create_dir(&originals).unwrap();
        fs::write(originals.join("logo.svg"), DRAWING).unwrap();
        fs::write(originals.join("broken.svg"), "<svg xmlns='http://www.w3.org/2000/svg'><g>").unwrap();
        fs::write(originals.join("large.svg"), format!("<svg>{}</svg>", " ".repeat(4 << 20))).unwrap();
        fs::write(originals.join("notes.svg"), "not a drawing").unwrap();
        let mut all = vec![
            ("RESIZED_ORIGINALS__STORE", format!("file:{}/originals", folder.path().display())),
            ("RESIZED_VARIANTS__STORE", format!("file:{}/variants", folder.path().display())),
        ];
        all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        (Node::start(&all), folder)
    })
}

const ON: (&str, &str) = ("RESIZED_FORMATS__SVG", "true");

#[tokio::test(flavor = "multi_thread")]
async fn variants_of_svg_are_pictures_of_the_requested_size() {
    let (node, _folder) = node(&[ON]);
    for (path, media_type, size) in [
        ("logo_300x.svg", "image/png", (300, 150)),
        ("logo_300x.svg.webp", "image/webp", (300, 150)),
        ("logo-64x64.svg.jpg", "image/jpeg", (64, 64)),
        ("logo_40x40@2x.svg", "image/png", (80, 40)),
        ("logo_30x30_crop_left.svg", "image/png", (30, 30)),
    ] {
        let response = reqwest::get(format!("{}/{path}", node.url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], media_type);
        let image = image::load_from_memory(&response.bytes().await.unwrap()).unwrap().to_rgba8();
        assert_eq!(image.dimensions(), size, "{path}");
    }
    for (path, word) in [("broken_30x.svg", "damaged"), ("large_30x.svg", "4194304"), ("notes_30x.svg", "not an image")]
    {
        let response = reqwest::get(format!("{}/{path}", node.url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let text = response.text().await.unwrap();
        assert!(text.contains(word), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_svg_itself_is_sent_without_scripts_and_with_its_own_validators() {
    let (node, _folder) = node(&[ON]);
    let client = reqwest::Client::new();
    let url = format!("{}/logo.svg", node.url);
    let whole = client.get(&url).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    let headers = whole.headers().clone();
    assert_eq!(headers["content-type"], "image/svg+xml");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers.get("content-disposition").is_none());
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
    assert!(headers["etag"].to_str().unwrap().ends_with("-svg1\""), "{headers:?}");
    let bytes = whole.bytes().await.unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.contains("#f00") && !text.contains("alert"), "{text}");
    assert_eq!(headers["content-length"], bytes.len().to_string().as_str());

    let head = client.head(&url).send().await.unwrap();
    assert_eq!((head.status(), head.headers().get("content-length")), (StatusCode::OK, headers.get("content-length")));
    let part = client.get(&url).header("range", "bytes=5-9").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 5-9/{}", bytes.len()).as_str());
    assert_eq!(part.bytes().await.unwrap(), bytes[5..10]);
    assert!(headers.get("last-modified").is_none(), "the date of the object is not that of the sanitized bytes");
    let since = client.get(&url).header("if-modified-since", "Fri, 31 Dec 2100 00:00:00 GMT").send().await.unwrap();
    assert_eq!(since.status(), StatusCode::OK);
    let current = client.get(&url).header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!(current.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(current.headers()["etag"], headers["etag"]);
    let raw = headers["etag"].to_str().unwrap().replace("-svg1", "");
    let stale = client.get(&url).header("if-none-match", raw).send().await.unwrap();
    assert_eq!(stale.status(), StatusCode::OK, "the ETag of the stored object is that of other bytes");
    let failed = client.get(&url).header("if-match", "\"a\"").send().await.unwrap();
    assert_eq!(failed.status(), StatusCode::PRECONDITION_FAILED);
    for (name, status) in [("broken", 422), ("large", 422), ("notes", 404)] {
        let response = client.get(format!("{}/{name}.svg", node.url)).send().await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_svg_is_sanitized_once_and_its_clients_are_limited() {
    // The time of three files for each minute, because each costs at least a thirtieth of a second.
    let (node, folder) = node(&[ON, ("RESIZED_RATES__CPU_PER_CLIENT", "100ms")]);
    for n in 0..8 {
        let copy = DRAWING.replace("#f00", &format!("#{n}00"));
        fs::write(folder.path().join(format!("originals/{n}.svg")), copy).unwrap();
    }
    let (client, url) = (reqwest::Client::new(), format!("{}/logo.svg", node.url));
    let at_once = futures_util::future::join_all((0..12).map(|_| client.get(&url).send())).await;
    for response in at_once {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    for _ in 0..4 {
        assert_eq!(client.head(&url).send().await.unwrap().status(), StatusCode::OK);
        let part = client.get(&url).header("range", "bytes=5-9").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    }
    for _ in 0..8 {
        let broken = client.get(format!("{}/broken.svg", node.url)).send().await.unwrap();
        assert_eq!(broken.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut limited = None;
    for n in 0..8 {
        let response = client.get(format!("{}/{n}.svg", node.url)).send().await.unwrap();
        if response.status() != StatusCode::OK {
            limited = Some(response);
        }
    }
    let limited = limited.expect("ten files are too much");
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(limited.text().await.unwrap().contains("rates.cpu_per_client"));
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK, "files in memory cost no CPU time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_svg_is_sanitized_again() {
    let (node, folder) = node(&[ON, ("RESIZED_CACHE__REVALIDATE_AFTER", "0s")]);
    let url = format!("{}/logo.svg", node.url);
    let first = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert!(first.contains("#f00"), "{first}");
    fs::write(folder.path().join("originals/logo.svg"), DRAWING.replace("#f00", "#0000ff")).unwrap();
    let second = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert!(second.contains("#0000ff"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_svg_is_refused_with_advice_and_never_shown() {
    let (node, _folder) = node(&[]);
    let variant = reqwest::get(format!("{}/logo_30x.svg", node.url)).await.unwrap();
    assert_eq!(variant.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let text = variant.text().await.unwrap();
    assert!(text.contains("formats.svg = true"), "{text}");
    assert_eq!(reqwest::get(format!("{}/logo.svg", node.url)).await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_svg_need_the_setting_and_the_type() {
    let types = ("RESIZED_UPLOAD__TYPES", "[\"image/png\", \"image/svg+xml\"]");
    for (settings, expected) in [(&[ON, types][..], 201), (&[ON], 415), (&[types], 415)] {
        let base = ("RESIZED_UPLOAD__BASE_URL", "http://images.test");
        let upload = [("RESIZED_UPLOAD__ENABLED", "true"), ("RESIZED_UPLOAD__TOKEN", TOKEN), base];
        let settings: Vec<_> = settings.iter().copied().chain(upload).collect();
        let (node, folder) = node(&settings);
        let url = format!("{}/upload/new/drawing.svg", node.url);
        let response = reqwest::Client::new().put(url).bearer_auth(TOKEN).body(DRAWING).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, expected, "{settings:?}: {text}");
        if expected == 201 {
            let uploaded: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&uploaded["width"], &uploaded["height"]), (&20.into(), &10.into()), "{text}");
            assert_eq!(fs::read_to_string(folder.path().join("originals/new/drawing.svg")).unwrap(), DRAWING);
        }
    }
}
