//! Responses: pixels, headers, ranges, and problem details.

use image::ImageFormat;
use reqwest::StatusCode;
use resized::config::{Serve, Tuning};

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::pictures::{BLUE, GREEN, RED, YELLOW, jpeg, quarters, see};
use crate::support::stage::{PUBLIC_URL, Stage, header, redirecting, settings, until};

async fn stage_with_a_cat() -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/photos/cat.jpg", jpeg(400, 300), "image/jpeg");
    let stage = Stage::start(settings(&bucket)).await;
    (bucket, stage)
}

#[tokio::test]
async fn each_url_form_gives_the_expected_size_format_and_pixels() {
    let (bucket, stage) = stage_with_a_cat().await;
    bucket.put_object("originals/logo.png", quarters(400, 300, ImageFormat::Png), "image/png");
    let table = [
        ("/photos/cat_200x200.jpg", 200, 150, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_200x.jpg", 200, 150, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_x60.jpg", 80, 60, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_100x75@2x.jpg", 200, 150, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat-100x100.jpg", 100, 100, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_100x100_crop.jpg", 100, 100, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_100x300_crop_left.jpg", 100, 300, ImageFormat::Jpeg, [RED, RED, BLUE, BLUE]),
        ("/photos/cat_400x100_crop_bottom_q95.jpg", 400, 100, ImageFormat::Jpeg, [BLUE, YELLOW, BLUE, YELLOW]),
        ("/photos/cat_800x800_crop.jpg", 300, 300, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_4000x4000.jpg", 400, 300, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
        ("/photos/cat_200x200.jpg.webp", 200, 150, ImageFormat::WebP, [RED, GREEN, BLUE, YELLOW]),
        ("/logo_200x200.png", 200, 150, ImageFormat::Png, [RED, GREEN, BLUE, YELLOW]),
        ("/logo_200x200.png.jpg?v=17", 200, 150, ImageFormat::Jpeg, [RED, GREEN, BLUE, YELLOW]),
    ];
    for (path, width, height, format, colors) in table {
        let response = stage.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), format.to_mime_type(), "{path}");
        let seen = see(&response.bytes().await.unwrap());
        assert_eq!((seen.width, seen.height, seen.format), (width, height, format), "{path}");
        seen.has_quarters(colors);
    }
}

#[tokio::test]
async fn a_variant_has_caching_headers_and_head_has_the_same() {
    let (_bucket, stage) = stage_with_a_cat().await;
    let path = "/photos/cat_200x200.jpg";
    let first = stage.get(path).await;
    assert!(header(&first, "server-timing").contains("render;dur="), "{first:?}");
    let get = stage.get(path).await;
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, max-age=86400"),
        ("x-content-type-options", "nosniff"),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "*"),
        ("timing-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("cache-status", "resized; hit"),
    ] {
        assert_eq!(header(&get, name), value, "{name}");
    }
    assert!(!header(&get, "last-modified").is_empty() && !header(&get, "date").is_empty());
    let head = stage.request("HEAD", path).send().await.unwrap();
    for (name, value) in get.headers().iter().filter(|(name, _)| *name != "date") {
        assert_eq!(head.headers().get(name), Some(value), "{name}");
    }
    let length: usize = header(&get, "content-length").parse().unwrap();
    assert_eq!(get.bytes().await.unwrap().len(), length);
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn preconditions_and_ranges_work_for_variants_and_originals() {
    let (_bucket, stage) = stage_with_a_cat().await;
    for path in ["/photos/cat_200x200.jpg", "/photos/cat.jpg"] {
        let whole = stage.get(path).await;
        assert_eq!(whole.status(), StatusCode::OK, "{path}");
        let etag = header(&whole, "etag").to_owned();
        let bytes = whole.bytes().await.unwrap();
        let get_with =
            async |name: &str, value: &str| stage.request("GET", path).header(name, value).send().await.unwrap();

        let unchanged = get_with("if-none-match", &etag).await;
        assert_eq!(
            (unchanged.status(), header(&unchanged, "etag")),
            (StatusCode::NOT_MODIFIED, etag.as_str()),
            "{path}"
        );
        assert!(unchanged.bytes().await.unwrap().is_empty());
        assert_eq!(get_with("if-match", "\"another\"").await.status(), StatusCode::PRECONDITION_FAILED, "{path}");

        let part = get_with("range", "bytes=10-19").await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{path}");
        assert_eq!(header(&part, "content-range"), format!("bytes 10-19/{}", bytes.len()));
        assert_eq!(part.bytes().await.unwrap(), bytes[10..20], "{path}");
        assert_eq!(get_with("range", "bytes=-7").await.bytes().await.unwrap(), bytes[bytes.len() - 7..], "{path}");
        let outside = get_with("range", "bytes=9999999-").await;
        assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE, "{path}");
        assert_eq!(header(&outside, "content-range"), format!("bytes */{}", bytes.len()));
    }
}

#[tokio::test]
async fn problems_tell_what_to_fix_and_only_lasting_ones_are_cached() {
    let (bucket, stage) = stage_with_a_cat().await;
    bucket.put_object("originals/notes.txt", b"not a picture".to_vec(), "image/jpeg");
    bucket.put_object("originals/empty.jpg", Vec::new(), "image/jpeg");
    bucket.put_object("originals/logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "image/svg+xml");
    let brief = "public, max-age=10";
    let table = [
        ("GET", "/photos/%zz.jpg", 400, "bad-path", "%25", "no-store"),
        ("GET", "/photos/../cat.jpg%2f..%2f..%2fsecret", 400, "bad-path", "", "no-store"),
        ("GET", "/a//b.jpg", 400, "bad-path", "", "no-store"),
        ("GET", "/photos/dog_200x200.jpg", 404, "not-found", "photos/dog.jpg", brief),
        ("GET", "/photos/cat_9999x200.jpg", 404, "not-found", "4096", brief),
        ("GET", "/notes.txt", 404, "not-found", "", brief),
        ("GET", "/notes_200x200.txt", 422, "unprocessable-original", "accepted are JPEG, PNG, WebP, GIF", brief),
        ("GET", "/empty_200x200.jpg", 422, "unprocessable-original", "the original is empty", brief),
        ("GET", "/logo_200x200.svg", 422, "unprocessable-original", "the original is SVG", brief),
        ("POST", "/photos/cat_200x200.jpg", 405, "method-not-allowed", "GET", "no-store"),
        ("DELETE", "/photos/cat.jpg", 405, "method-not-allowed", "HEAD", "no-store"),
    ];
    for (method, path, status, name, hint, cache_control) in table {
        let response = stage.request(method, path).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{path}");
        assert_eq!(header(&response, "cache-control"), cache_control, "{path}");
        assert_eq!(header(&response, "allow"), if status == 405 { "GET, HEAD, OPTIONS" } else { "" }, "{path}");
        let problem: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(problem["type"], format!("urn:resized:problem:{name}"), "{path}");
        assert_eq!(problem["status"], status, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{path}: {problem}");
    }
}

#[tokio::test]
async fn error_details_of_the_store_are_not_sent_to_clients() {
    let (bucket, stage) = stage_with_a_cat().await;
    bucket.fail(Operation::Get, "originals/", Fault::Status(403));
    let response = stage.get("/photos/cat_200x200.jpg").await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "a 403 of the store is not a 404");
    let body = response.text().await.unwrap();
    for internal in ["originals", "cat", "403", "AccessDenied", bucket.name()] {
        assert!(!body.contains(internal), "{body}");
    }
}

#[tokio::test]
async fn an_original_over_a_limit_is_refused_and_the_limit_is_named() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    let mut config = settings(&bucket);
    config.limits.input_pixels = 400 * 300 - 1;
    let stage = Stage::start(config).await;
    let response = stage.get("/cat_20x20.jpg").await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(response.text().await.unwrap().contains("limits.input_pixels"));

    let mut config = settings(&bucket);
    config.limits.original_bytes = bytesize::ByteSize::b(1000);
    let stage = Stage::start(config).await;
    let response = stage.get("/cat_20x20.jpg").await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(response.text().await.unwrap().contains("limits.original_bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_503_with_retry_after() {
    let (bucket, _) = stage_with_a_cat().await;
    let tuning = Tuning { flights_max: 1, ..Tuning::default() };
    let stage = Stage::start_with(settings(&bucket), tuning).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (busy, refused) = tokio::join!(stage.get("/photos/cat_20x20.jpg"), async {
        until("the first flight reads the original", || bucket.count(Operation::Get, "originals/") == 1).await;
        let refused = stage.get("/photos/cat_30x30.jpg").await;
        gate.release();
        refused
    });
    assert_eq!(busy.status(), StatusCode::OK);
    assert_eq!((refused.status(), header(&refused, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
}

#[tokio::test]
async fn an_object_whose_name_looks_like_a_variant_is_served_unchanged() {
    let (bucket, stage) = stage_with_a_cat().await;
    let star = jpeg(64, 64);
    bucket.put_object("originals/LoneStar_1920x1080.jpg", star.clone(), "image/jpeg");
    let response = stage.get("/LoneStar_1920x1080.jpg").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.bytes().await.unwrap(), star);
}

#[tokio::test]
async fn originals_get_the_media_type_of_their_bytes_and_are_served_as_configured() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/page.jpg", b"<script>alert(1)</script>".to_vec(), "text/html");
    bucket.put_object("originals/cat.txt", jpeg(40, 30), "text/html");
    for (serve, page, cat) in [(Serve::Images, 404, 200), (Serve::All, 200, 200), (Serve::None, 404, 404)] {
        let mut config = settings(&bucket);
        config.originals.serve = serve;
        let stage = Stage::start(config).await;
        let (page_is, cat_is) = (stage.get("/page.jpg").await, stage.get("/cat.txt").await);
        assert_eq!((page_is.status().as_u16(), cat_is.status().as_u16()), (page, cat), "{serve:?}");
        if page == 200 {
            assert_eq!(header(&page_is, "content-type"), "application/octet-stream", "never as HTML");
        }
        if cat == 200 {
            assert_eq!(header(&cat_is, "content-type"), "image/jpeg");
        }
    }
}

#[tokio::test]
async fn an_original_replaced_in_the_store_is_served_completely_in_its_new_version() {
    let (bucket, stage) = stage_with_a_cat().await;
    assert_eq!(stage.get("/photos/cat.jpg").await.status(), StatusCode::OK);
    let replacement = jpeg(64, 64);
    bucket.put_object("originals/photos/cat.jpg", replacement.clone(), "image/jpeg");
    let response = stage.get("/photos/cat.jpg").await;
    assert_eq!((response.status(), response.bytes().await.unwrap()), (StatusCode::OK, replacement.into()));
}

#[tokio::test]
async fn reserved_prefixes_are_not_served() {
    let bucket = Bucket::start().await;
    bucket.put_object("cat.jpg", jpeg(64, 64), "image/jpeg");
    let mut config = settings(&bucket);
    config.originals.store = format!("s3://{}", bucket.name()).parse().unwrap();
    let stage = Stage::start(config).await;
    assert_eq!(stage.get("/cat_20x20.jpg").await.status(), StatusCode::OK);
    for path in ["/variants/cat.jpg/20x20_q80.jpg", "/variants%2Fcat.jpg/20x20_q80.jpg", "/variants/cat_20x20.jpg"] {
        assert_eq!(stage.get(path).await.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_to_the_stored_variant_with_its_version() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat é.jpg", jpeg(400, 300), "image/jpeg");
    let stage = Stage::start(redirecting(&bucket)).await;
    let made = stage.get("/cat%20%C3%A9_40x40.jpg").await;
    assert_eq!(made.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(header(&made, "cache-control"), "public, max-age=86400");
    let location = header(&made, "location").to_owned();
    let expected = format!("{PUBLIC_URL}/cat%20%C3%A9.jpg/40x40_q80.jpg?v=");
    assert!(location.starts_with(&expected) && location.len() > expected.len(), "{location}");
    let stage = Stage::start(redirecting(&bucket)).await;
    let found = stage.get("/cat%20%C3%A9_40x40.jpg").await;
    assert_eq!(header(&found, "location"), location, "every node sends the same location");
    assert_eq!(header(&found, "cache-status"), "resized; fwd=miss; detail=stored");
    assert_eq!(bucket.count(Operation::Get, "variants/"), 0, "a lookup sends only HEAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_status_and_response_headers_are_configurable() {
    let (bucket, _) = stage_with_a_cat().await;
    for status in [302, 307, 308] {
        let mut config = redirecting(&bucket);
        config.answers.redirect_status = StatusCode::from_u16(status).unwrap();
        config.answers.headers.insert("x-served-by", "images-1").unwrap();
        config.answers.headers.insert("cross-origin-resource-policy", "").unwrap();
        let stage = Stage::start(config).await;
        for method in ["GET", "HEAD"] {
            let response = stage.request(method, "/photos/cat_40x40.jpg").send().await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(header(&response, "x-served-by"), "images-1");
            assert_eq!(header(&response, "cross-origin-resource-policy"), "");
            assert!(header(&response, "location").starts_with(PUBLIC_URL));
        }
    }
}

#[tokio::test]
async fn a_cors_preflight_is_allowed_as_configured() {
    let (bucket, _) = stage_with_a_cat().await;
    for (allow_origin, expected) in [("*", "*"), ("https://a.example", "https://a.example"), ("", "")] {
        let mut config = settings(&bucket);
        config.answers.allow_origin =
            Some(allow_origin).filter(|origin| !origin.is_empty()).map(http::HeaderValue::from_static);
        let stage = Stage::start(config).await;
        let request = stage.request("OPTIONS", "/photos/cat_40x40.jpg").header("origin", "https://a.example");
        let preflight = request.header("access-control-request-method", "GET").send().await.unwrap();
        assert_eq!((preflight.status(), header(&preflight, "allow")), (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS"));
        assert_eq!(header(&preflight, "access-control-allow-origin"), expected);
        let plain = stage.request("OPTIONS", "/photos/cat_40x40.jpg").send().await.unwrap();
        assert_eq!(header(&plain, "access-control-allow-origin"), "", "not a preflight");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_cannot_be_stored_is_sent_as_bytes_and_stored_on_the_next_request() {
    let (bucket, _) = stage_with_a_cat().await;
    let stage = Stage::start(redirecting(&bucket)).await;
    bucket.fail(Operation::Put, "variants/", Fault::Status(503));
    let response = stage.get("/photos/cat_40x40.jpg").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "cache-control"), "public, max-age=10");
    assert_eq!(see(&response.bytes().await.unwrap()).width, 40);
    bucket.heal();
    assert_eq!(stage.get("/photos/cat_40x40.jpg").await.status(), StatusCode::MOVED_PERMANENTLY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_variants_store_fails_no_request() {
    let (bucket, stage) = stage_with_a_cat().await;
    bucket.fail(Operation::Get, "variants/", Fault::Status(500));
    bucket.fail(Operation::Put, "variants/", Fault::Status(500));
    let response = stage.get("/photos/cat_40x40.jpg").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(see(&response.bytes().await.unwrap()).width, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_under_the_key_of_a_variant_is_replaced() {
    let (bucket, stage) = stage_with_a_cat().await;
    bucket.put_object("variants/photos/cat.jpg/40x40_q80.jpg", b"garbage".to_vec(), "image/jpeg");
    let response = stage.get("/photos/cat_40x40.jpg").await;
    assert_eq!(see(&response.bytes().await.unwrap()).width, 40);
    assert!(stage.stop().await);
    assert_eq!(see(&bucket.object("variants/photos/cat.jpg/40x40_q80.jpg").unwrap().bytes).width, 40);
}
