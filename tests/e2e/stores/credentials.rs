//! Credentials of S3 requests: their sources, and their renewal while a node runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::operating::check::resized;
use crate::support::bucket::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::support::node::{Node, Settings, on_bucket};
use crate::support::pictures::jpeg;
use crate::support::stage::PATIENCE;

const CAT: &str = "/cat_40x40.jpg";

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    bucket
}

/// Settings without keys in the environment: credentials come from the files in `folder`.
fn settings(bucket: &Bucket, folder: &TempDir) -> Settings {
    let mut settings = on_bucket(bucket);
    // A blank variable hides one of the environment in which the tests run.
    settings.retain(|(name, _)| !name.starts_with("AWS_"));
    let file = |name: &str| folder.path().join(name).display().to_string();
    settings.extend([
        ("AWS_ACCESS_KEY_ID", String::new()),
        ("AWS_SECRET_ACCESS_KEY", String::new()),
        ("AWS_CONFIG_FILE", file("config")),
        ("AWS_SHARED_CREDENTIALS_FILE", file("credentials")),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        // Each request looks the variant up in the store.
        ("RESIZED_CACHE__REVALIDATE_AFTER", "0s".into()),
        ("RESIZED_CACHE__FAILURES", "0s".into()),
        ("RESIZED_S3__ATTEMPTS", "1".into()),
    ]);
    settings
}

fn write_credentials(folder: &TempDir, access_key: &str, secret: &str) {
    let text = format!("[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n");
    std::fs::write(folder.path().join("credentials"), text).unwrap();
}

/// A profile whose process prints the file `key` in `folder`.
fn write_process(folder: &TempDir) {
    let (script, key) = (folder.path().join("process"), folder.path().join("key"));
    std::fs::write(&script, format!("#!/bin/sh\necho run >>'{0}.runs'\ncat '{0}'\n", key.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!("[default]\ncredential_process = {}\n", script.display());
    std::fs::write(folder.path().join("config"), config).unwrap();
}

fn write_key(folder: &Path, access_key: &str, secret: &str) {
    let key = serde_json::json!({
        "Version": 1, "AccessKeyId": access_key, "SecretAccessKey": secret, "Expiration": "2099-01-01T00:00:00Z",
    });
    std::fs::write(folder.join("key"), key.to_string()).unwrap();
}

async fn status(node: &Node) -> u16 {
    reqwest::get(format!("{}{CAT}", node.url)).await.unwrap().status().as_u16()
}

async fn until_served(node: &Node) {
    let start = std::time::Instant::now();
    while status(node).await != 200 {
        assert!(start.elapsed() < PATIENCE, "{}", node.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_process_is_run_again_when_the_store_rejects_its_credentials() {
    let (bucket, folder) = (bucket_with_a_cat().await, tempfile::tempdir().unwrap());
    bucket.accept_only(ACCESS_KEY, SECRET_KEY);
    write_process(&folder);
    write_key(folder.path(), ACCESS_KEY, SECRET_KEY);
    let settings = settings(&bucket, &folder);
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    assert_eq!(status(&node).await, 200, "{}", node.log());
    bucket.accept_only("next-access-key", "next-secret-key");
    write_key(folder.path(), "next-access-key", "next-secret-key");
    // The requests are repeated with the new credentials, so no request of a client fails.
    bucket.remove_object("variants/cat.jpg/40x40_q80.jpg");
    assert_eq!(status(&node).await, 200, "{}", node.log());
    let runs = std::fs::read_to_string(folder.path().join("key.runs")).unwrap();
    assert!(runs.lines().count() <= 2 * 3, "each store loads the credentials once and again: {runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_credentials_file_is_read_again() {
    let (bucket, folder) = (bucket_with_a_cat().await, tempfile::tempdir().unwrap());
    bucket.accept_only(ACCESS_KEY, SECRET_KEY);
    write_credentials(&folder, ACCESS_KEY, "a-wrong-secret");
    let settings = settings(&bucket, &folder);
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    assert_eq!(status(&node).await, 502);
    write_credentials(&folder, ACCESS_KEY, SECRET_KEY);
    until_served(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_fix_for_missing_and_wrong_credentials() {
    let (bucket, folder) = (bucket_with_a_cat().await, tempfile::tempdir().unwrap());
    bucket.accept_only(ACCESS_KEY, SECRET_KEY);
    let settings = settings(&bucket, &folder);
    let check = || {
        let environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (out, error, status) = tokio::task::block_in_place(|| resized(&["check"], &environment));
        assert_eq!(status, 1, "{out}{error}");
        out
    };
    let text = check();
    assert!(text.contains("no valid credentials") && text.contains("fix: set AWS_ACCESS_KEY_ID"), "{text}");
    write_credentials(&folder, "unknown", SECRET_KEY);
    let text = check();
    assert!(
        text.contains("InvalidAccessKeyId") && text.contains("fix: the store does not know the access key"),
        "{text}"
    );
    write_credentials(&folder, ACCESS_KEY, "wrong");
    let text = check();
    assert!(text.contains("SignatureDoesNotMatch") && text.contains("fix: the secret does not belong"), "{text}");
    std::fs::remove_file(folder.path().join("credentials")).unwrap();
    let profile = "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n\
                   [sso-session s]\nsso_region = us-east-1\nsso_start_url = http://127.0.0.1:1/start\n";
    std::fs::write(folder.path().join("config"), profile).unwrap();
    let text = check();
    let names_feature = text.contains("fix: the AWS profile needs the cargo feature aws-sso");
    assert_eq!(names_feature, !cfg!(feature = "aws-sso"), "{text}");
}
