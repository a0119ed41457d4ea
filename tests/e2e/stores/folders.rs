//! The folders of `file:` stores: when they are created, and what happens when they disappear.

use std::fs;
use std::time::Duration;

use resized::app::App;
use resized::config::{Config, Tuning};
use tempfile::TempDir;

use crate::operating::check::resized;
use crate::support::bucket::Bucket;
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, settings};

/// Settings with both stores in `folder`. The folders are not created.
async fn on_folder(folder: &TempDir) -> Config {
    let mut config = settings(&Bucket::start().await);
    let store = |name: &str| format!("file:{}", folder.path().join(name).display()).parse().unwrap();
    (config.originals.store, config.variants.store) = (store("originals"), store("variants"));
    config
}

fn uploading(mut config: Config) -> Config {
    config.upload.enabled = true;
    config.upload.token = TOKEN.into();
    config.upload.base_url = "http://images.test".into();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_originals_is_created_only_if_uploads_fill_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = on_folder(&folder).await;
    let error = App::build(config.clone(), Tuning::default()).await.unwrap_err();
    let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(text.starts_with("originals.store") && text.contains("does not exist"), "{text}");
    assert!(!folder.path().join("originals").exists() && folder.path().join("variants").is_dir());
    App::build(uploading(config), Tuning::default()).await.unwrap();
    assert!(folder.path().join("originals").is_dir());
    let originals = format!("file:{}", folder.path().join("no-such-folder").display());
    let (_, error, status) = resized(&["check", "--originals", &originals], &[]);
    assert!(status == 1 && error.contains("originals.store") && error.contains("does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_disappears_is_unavailable_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (originals, aside) = (folder.path().join("originals"), folder.path().join("aside"));
    fs::create_dir(&originals).unwrap();
    fs::write(originals.join("cat.jpg"), jpeg(400, 300)).unwrap();
    let mut config = uploading(on_folder(&folder).await);
    config.cache.revalidate_after = Duration::ZERO;
    config.cache.failures = Duration::ZERO;
    let stage = Stage::start(config).await;
    let hot = stage.get("/cat_40x40.jpg").await.bytes().await.unwrap();
    fs::rename(&originals, &aside).unwrap();
    for is_unmounted in [false, true] {
        if is_unmounted {
            // An unmounted file system leaves an empty folder.
            fs::create_dir(&originals).unwrap();
        }
        for path in ["/cat_50x50.jpg", "/cat.jpg", "/dog.jpg"] {
            let response = stage.get(path).await;
            assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, "10"), "{path}");
            let text = response.text().await.unwrap();
            assert!(text.contains("store-unavailable") && !text.contains("originals"), "{text}");
        }
        let response = stage.get("/cat_40x40.jpg").await;
        assert_eq!(response.status(), 200, "the picture in memory is served stale");
        assert!(response.bytes().await.unwrap() == hot);
        let upload = stage.request("PUT", "/upload/new.jpg").bearer_auth(TOKEN).body(jpeg(40, 30));
        assert_eq!(upload.send().await.unwrap().status(), 503);
        assert_eq!(originals.exists(), is_unmounted, "the folder is not created");
        assert!(!is_unmounted || fs::read_dir(&originals).unwrap().next().is_none(), "nothing is written");
    }
    fs::remove_dir(&originals).unwrap();
    fs::rename(&aside, &originals).unwrap();
    assert_eq!(stage.get("/cat_50x50.jpg").await.status(), 200);
    let upload = stage.request("PUT", "/upload/new.jpg").bearer_auth(TOKEN).body(jpeg(40, 30));
    assert_eq!(upload.send().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_served_while_their_folder_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (originals, variants) = (folder.path().join("originals"), folder.path().join("variants"));
    fs::create_dir(&originals).unwrap();
    fs::write(originals.join("cat.jpg"), jpeg(400, 300)).unwrap();
    let stage = Stage::start(on_folder(&folder).await).await;
    fs::rename(&variants, folder.path().join("aside")).unwrap();
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), 200);
    assert!(stage.stop().await);
    assert!(!variants.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = on_folder(&folder).await;
    let stage = Stage::start(uploading(config)).await;
    fs::remove_dir_all(folder.path().join("variants")).unwrap();
    let key = resized::variant::ObjectKey::new("cat.jpg").unwrap();
    assert!(stage.proxy.purge(&key).await.is_err(), "variants that cannot be listed are not purged");
}
