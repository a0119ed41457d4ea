//! Format negotiation by `Accept`, and the headers that caches and web pages need with every response.

use reqwest::{Response, StatusCode};
use resized::config::{Config, Mode, SizePolicy};

use crate::support::bucket::Bucket;
use crate::support::pictures::{jpeg, jpeg_with_gain_map};
use crate::support::stage::{PUBLIC_URL, Stage, header, settings, until};

async fn stage(change: impl FnOnce(&mut Config)) -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    bucket.put_object("originals/broken.jpg", vec![0xFF; 64], "image/jpeg");
    let mut config = settings(&bucket);
    config.formats.negotiate = vec![resized::variant::Format::WebP];
    change(&mut config);
    let stage = Stage::start(config).await;
    (bucket, stage)
}

#[tokio::test]
async fn accept_selects_the_format_if_negotiation_is_enabled() {
    let (_bucket, stage) = stage(|_| {}).await;
    let negotiate = async |path: &str, accept: &str| {
        let response = stage.request("GET", path).header("accept", accept).send().await.unwrap();
        let value = |name| header(&response, name).to_owned();
        (value("content-type"), value("vary"), value("etag"), value("content-disposition"))
    };
    let (modern, old) =
        (negotiate("/cat_40x40.jpg", "image/webp,*/*;q=0.8").await, negotiate("/cat_40x40.jpg", "*/*").await);
    assert_eq!((modern.0.as_str(), modern.1.as_str()), ("image/webp", "accept"));
    assert_eq!((old.0.as_str(), old.1.as_str()), ("image/jpeg", "accept"));
    assert_eq!(modern.3, "inline; filename=\"cat_40x40.webp\"", "a saved file has the right name");
    assert_eq!(old.3, "inline; filename=\"cat_40x40.jpg\"");
    assert_ne!(modern.2, old.2, "each format has its ETag");
    let fixed = negotiate("/cat_40x40.jpg.png", "image/webp").await;
    assert_eq!(
        (fixed.0.as_str(), fixed.1.as_str()),
        ("image/png", ""),
        "a URL with a second extension is not negotiated"
    );
}

#[tokio::test]
async fn a_picture_with_a_gain_map_stays_jpeg_unless_the_url_names_another_format() {
    let (bucket, stage) = stage(|config| config.formats.gain_maps = true).await;
    bucket.put_object("originals/hdr.jpg", jpeg_with_gain_map(640, 480), "image/jpeg");
    let media_type = async |stage: &Stage, path: &str| {
        let response = stage.request("GET", path).header("accept", "image/webp,*/*;q=0.8").send().await.unwrap();
        assert_eq!(response.status(), 200);
        header(&response, "content-type").to_owned()
    };
    // An explicit format is made, whether the server has seen the gain map before or not.
    assert_eq!(media_type(&stage, "/hdr_32x.jpg.webp").await, "image/webp");
    assert_eq!(media_type(&stage, "/hdr_32x.jpg").await, "image/jpeg");
    assert_eq!(media_type(&stage, "/hdr_64x.jpg").await, "image/jpeg");
    assert_eq!(media_type(&stage, "/hdr_64x.jpg.webp").await, "image/webp");
    assert_eq!(media_type(&stage, "/cat_64x.jpg").await, "image/webp", "a picture without a gain map is negotiated");
    let hdr = stage.get("/hdr_64x.jpg").await.bytes().await.unwrap();
    assert!(hdr.windows(8).any(|bytes| bytes == b"GainMapM"), "the gain map is kept");
    assert_eq!(media_type(&stage, "/hdr_128x.jpg").await, "image/jpeg");
    let stored = || bucket.keys("variants/").into_iter().filter(|key| key.contains("128x")).collect::<Vec<_>>();
    until("the variant is stored", || !stored().is_empty()).await;
    assert!(stored().iter().all(|key| !key.ends_with(".webp")), "no other format is made: {:?}", stored());

    // Another server learns of the gain map from the stored variant.
    let mut config = settings(&bucket);
    config.formats.negotiate = vec![resized::variant::Format::WebP];
    config.formats.gain_maps = true;
    let restarted = Stage::start(config.clone()).await;
    assert_eq!(media_type(&restarted, "/hdr_32x.jpg").await, "image/jpeg");

    // Even if it first gets a request for the other format, whose variant is then in memory.
    let other = Stage::start(config).await;
    assert_eq!(media_type(&other, "/hdr_32x.jpg.webp").await, "image/webp");
    assert_eq!(media_type(&other, "/hdr_32x.jpg").await, "image/jpeg");
}

#[tokio::test]
async fn accept_is_parsed_exactly() {
    let (_bucket, stage) = stage(|_| {}).await;
    for (accept, expected) in [
        ("image/webp;q=0, */*", "image/jpeg"),
        ("image/webp;q=1e-1", "image/jpeg"),
        ("text/html;a=\", image/webp,\"", "image/jpeg"),
        ("text/html;a=\";q=0,\", image/webp", "image/webp"),
    ] {
        let response = stage.request("GET", "/cat_40x40.jpg").header("accept", accept).send().await.unwrap();
        assert_eq!(header(&response, "content-type"), expected, "{accept}");
    }
    let lines = stage.request("GET", "/cat_40x40.jpg").header("accept", "text/html").header("accept", "image/webp");
    assert_eq!(header(&lines.send().await.unwrap(), "content-type"), "image/webp");
}

#[track_caller]
fn assert_described(response: &Response, status: u16) {
    assert_eq!(response.status().as_u16(), status, "{response:?}");
    assert_eq!(header(response, "vary"), "accept", "{response:?}");
}

/// Every answer that another client might get as another format, or as a picture.
#[tokio::test]
async fn every_response_under_a_negotiable_url_varies_by_accept() {
    let (_bucket, stage) = stage(|config| {
        config.sizes.policy = SizePolicy::Step;
        config.sizes.step = 10;
    })
    .await;
    let path = "/cat_40x40.jpg";
    let etag = header(&stage.get(path).await, "etag").to_owned();
    let table = [
        ("GET", path, None, 200),
        ("HEAD", path, None, 200),
        ("GET", path, Some(("range", "bytes=0-9")), 206),
        ("GET", "/cat_41x40.jpg", None, 301),
        ("GET", path, Some(("if-none-match", etag.as_str())), 304),
        ("GET", "/dog_40x40.jpg", None, 404),
        ("GET", "/cat_40x40_q3.jpg", None, 404),
        ("DELETE", path, None, 405),
        ("GET", path, Some(("if-match", "\"other\"")), 412),
        ("GET", path, Some(("range", "bytes=999999-")), 416),
        ("GET", "/broken_40x40.jpg", None, 422),
        ("OPTIONS", path, None, 204),
    ];
    for (method, path, condition, status) in table {
        let mut request = stage.request(method, path);
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        assert_described(&request.send().await.unwrap(), status);
    }
    let fixed = stage.get("/dog_40x40.jpg.png").await;
    assert_eq!((fixed.status(), header(&fixed, "vary")), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn limited_forbidden_and_redirected_requests_vary_by_accept_too() {
    let (_bucket, limited) = stage(|config| config.rates.requests_per_client = 1).await;
    let mut statuses = Vec::new();
    // At most one new minute can begin in this loop.
    for _ in 0..4 {
        let response = limited.get("/cat_40x40.jpg").await;
        statuses.push(response.status().as_u16());
        assert_described(&response, *statuses.last().unwrap());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let (_bucket, signed) = stage(|config| {
        config.signing.keys = "0123456789abcdef0123456789abcdef".into();
        config.signing.require = resized::config::Require::All;
    })
    .await;
    assert_described(&signed.get("/cat_40x40.jpg").await, 403);
    let (_bucket, redirecting) = stage(|config| {
        config.answers.mode = Mode::Redirect;
        config.variants.public_url = PUBLIC_URL.into();
    })
    .await;
    assert_described(&redirecting.get("/cat_40x40.jpg").await, 301);
}

#[tokio::test]
async fn web_pages_may_read_errors_as_they_may_read_pictures() {
    let (_bucket, stage) = stage(|_| {}).await;
    let paths = [("/cat_40x40.jpg", 200), ("/dog_40x40.jpg", 404), ("/%", 400), ("/broken_40x40.jpg", 422)];
    for (path, status) in paths {
        let response = stage.get(path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        for name in ["access-control-allow-origin", "access-control-expose-headers"] {
            assert_eq!(header(&response, name), "*", "{path}: {name}");
        }
    }
    let (_bucket, closed) = self::stage(|config| config.answers.allow_origin = None).await;
    for path in ["/cat_40x40.jpg", "/dog_40x40.jpg"] {
        let response = closed.get(path).await;
        let names = ["access-control-allow-origin", "access-control-expose-headers"];
        assert!(names.iter().all(|name| !response.headers().contains_key(*name)), "{response:?}");
    }
}
