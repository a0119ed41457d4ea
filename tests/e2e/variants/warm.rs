//! `resized warm`: it makes missing variants and reports the result.

use crate::operating::check::resized;
use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::node::on_bucket;
use crate::support::pictures::jpeg;

async fn warm(bucket: &Bucket, arguments: &[&str]) -> (String, String, i32) {
    let settings = on_bucket(bucket);
    let mut environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    environment.push(("RESIZED_S3__ATTEMPTS", "1"));
    tokio::task::block_in_place(|| resized(&[&["warm"], arguments].concat(), &environment))
}

async fn bucket_with(keys: &[&str]) -> Bucket {
    let bucket = Bucket::start().await;
    keys.iter().for_each(|key| bucket.put_object(&format!("originals/{key}"), jpeg(64, 48), "image/jpeg"));
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn warming_a_listing_again_makes_nothing() {
    let bucket = bucket_with(&["a/1.jpg", "a/2.jpg", "b/3.jpg", "a/notes.txt"]).await;
    let sizes = ["--size", "32x", "--size", "16x16_crop", "--format", "jpg", "--format", "webp", "--listing", "a/"];
    let (out, error, status) = warm(&bucket, &sizes).await;
    assert!(status == 0 && out.starts_with("8 made, 0 already stored, 0 failed, in "), "{out}{error}");
    let keys = bucket.keys("variants/");
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert!(keys.iter().any(|key| key == "variants/a/2.jpg/16x16_crop_center_q80.webp"), "{keys:?}");
    let reads = bucket.count(Operation::Get, "originals/");
    let (out, error, status) = warm(&bucket, &sizes).await;
    assert!(status == 0 && out.starts_with("0 made, 8 already stored, 0 failed, in "), "{out}{error}");
    assert_eq!(bucket.count(Operation::Get, ""), reads, "stored variants are not read");
    assert_eq!(bucket.count(Operation::Put, "variants/"), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_reported_and_the_other_variants_are_made() {
    let bucket = bucket_with(&["a.jpg", "a b.jpg"]).await;
    bucket.put_object("originals/text.jpg", b"no picture".to_vec(), "image/jpeg");
    let names =
        ["/a_32x.jpg", "https://img.example/a%20b_32x.jpg?v=2", "/no_32x.jpg", "/text_32x.jpg", "/a.jpg", "/%zz"];
    let (out, error, status) = warm(&bucket, &names).await;
    assert!(status == 1 && out.starts_with("2 made, 0 already stored, 4 failed"), "{out}{error}");
    for expected in [
        "/no_32x_q80.jpg: there is no original \"no.jpg\"",
        "/text_32x_q80.jpg: the original is not an image",
        "/a.jpg: the name contains no size: give --size",
        "/%zz: a `%` in the path",
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let (_, error, status) = warm(&bucket, &["--size", "huge", "a.jpg"]).await;
    assert!(status == 1 && error.contains("use the format of URLs"), "{error}");
    let redirected = ["--set", "sizes.policy=step", "--set", "sizes.step=10", "/a_12x.jpg"];
    let (_, error, status) = warm(&bucket, &redirected).await;
    assert!(status == 1 && error.contains("this size is not allowed"), "{error}");
    assert_eq!(warm(&bucket, &[]).await.2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_counts_as_made_only_after_the_store_confirmed_it() {
    let bucket = bucket_with(&["a.jpg"]).await;
    bucket.fail(Operation::Put, "variants/", Fault::Status(403));
    let (out, error, status) = warm(&bucket, &["/a_32x.jpg"]).await;
    assert!(status == 1 && out.starts_with("0 made, 0 already stored, 1 failed"), "{out}{error}");
    assert!(error.contains("could not be stored"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_in_the_done_file_are_skipped() {
    let bucket = bucket_with(&["a.jpg", "b.jpg"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (list, notes) = (folder.path().join("list"), folder.path().join("notes"));
    std::fs::write(&list, "# pictures\na.jpg\n\nno.jpg\n").unwrap();
    let (list_name, notes_name) = (list.to_str().unwrap(), notes.to_str().unwrap());
    let arguments = ["--from", list_name, "--size", "32x", "--done", notes_name];
    let (out, error, status) = warm(&bucket, &arguments).await;
    assert!(status == 1 && out.starts_with("1 made, 0 already stored, 1 failed"), "{out}{error}");
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "/a_32x_q80.jpg\n", "a failed variant is not listed");
    std::fs::write(&list, "a.jpg\nb.jpg\n").unwrap();
    let heads = bucket.count(Operation::Head, "originals/a.jpg");
    let (out, error, status) = warm(&bucket, &arguments).await;
    assert!(status == 0 && out.starts_with("1 made, 0 already stored, 0 failed"), "{out}{error}");
    assert!(out.contains("1 skipped"), "{out}");
    assert_eq!(bucket.count(Operation::Head, "originals/a.jpg"), heads);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_of_a_sitemaps_pictures_are_made() {
    let bucket = bucket_with(&["photos/a.jpg", "b.png"]).await;
    let folder = tempfile::tempdir().unwrap();
    let sitemap = folder.path().join("sitemap.xml");
    let xml = r#"<urlset xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"><url><loc>https://a.example/page</loc>
        <image:image><image:loc>https://a.example/photos/a.jpg?v=1</image:loc></image:image></url>
        <url><loc>https://a.example/b.png</loc></url></urlset>"#;
    std::fs::write(&sitemap, xml).unwrap();
    let (out, error, status) = warm(&bucket, &["--sitemap", sitemap.to_str().unwrap(), "--size", "32x"]).await;
    assert!(status == 0 && out.starts_with("2 made"), "{out}{error}");
    assert_eq!(bucket.keys("variants/"), ["variants/b.png/32x.png", "variants/photos/a.jpg/32x_q80.jpg"]);
    std::fs::write(&sitemap, "<urlset></urlset>").unwrap();
    let (_, error, status) = warm(&bucket, &["--sitemap", sitemap.to_str().unwrap(), "--size", "32x"]).await;
    assert!(status == 1 && error.contains("the sitemap contains no pictures"), "{error}");
}
