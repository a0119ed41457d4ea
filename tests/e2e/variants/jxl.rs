//! JPEG XL variants, encoded by sandbox processes of the real program.

use std::fs;

use reqwest::StatusCode;

use crate::support::node::Node;
use crate::support::pictures::jpeg;

/// The `Accept` header of Chromium 156 for images.
const CHROMIUM: &str = "image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

fn settings(folder: &tempfile::TempDir) -> Vec<(&'static str, String)> {
    let originals = folder.path().join("originals");
    fs::create_dir(&originals).unwrap();
    fs::write(originals.join("cat.jpg"), jpeg(1600, 1200)).unwrap();
    let folder = folder.path().display();
    vec![
        ("RESIZED_ORIGINALS__STORE", format!("file:{folder}/originals")),
        ("RESIZED_VARIANTS__STORE", format!("file:{folder}/variants")),
        ("RESIZED_FORMATS__NEGOTIATE", "[\"jxl\", \"webp\"]".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn jpeg_xl_is_made_by_name_and_for_browsers_that_accept_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = tokio::task::block_in_place(|| Node::start(&settings(&folder)));
    let client = reqwest::Client::new();
    let get = async |path: &str, accept: &str| {
        let response = client.get(format!("{}/{path}", node.url)).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (media_type, response.bytes().await.unwrap())
    };
    let (named, file) = get("cat_80x60.jpg.jxl", "*/*").await;
    assert_eq!((named.as_str(), &file[..2]), ("image/jxl", &[0xFF, 0x0A][..]));
    let (negotiated, same) = get("cat_80x60.jpg", CHROMIUM).await;
    assert_eq!((negotiated.as_str(), same), ("image/jxl", file));
    assert_eq!(get("cat_80x60.jpg", "image/avif,image/webp,*/*;q=0.8").await.0, "image/webp");
    assert_eq!(get("cat_80x60.jpg", "image/*,*/*;q=0.8").await.0, "image/jpeg");
    assert_eq!(get("cat_80x60.jpg.gif", CHROMIUM).await.0, "image/gif");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jpeg_xl_encoder_is_stopped_at_the_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let limit = [("RESIZED_LIMITS__RENDER_TIME", "1ms".to_owned())];
    let node = tokio::task::block_in_place(|| Node::start(&[settings(&folder), limit.into()].concat()));
    let response = reqwest::get(format!("{}/cat_1600x1200.jpg.jxl", node.url)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let text = response.text().await.unwrap();
    assert!(text.contains("limits.render_time"), "{text}");
}
