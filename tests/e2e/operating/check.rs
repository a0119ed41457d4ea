//! `resized check`: its output and its exit status.

use std::process::Command;

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::collector::Collector;
use crate::support::node::{Node, on_bucket};
use crate::support::receiver::{Receiver, SECRET};
use crate::support::stage::until;

/// Runs the program; returns its standard output, standard error and exit status.
pub fn resized(arguments: &[&str], environment: &[(&str, &str)]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_resized"))
        // A folder without a config.toml.
        .current_dir(std::env::temp_dir())
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

async fn check(bucket: &Bucket, arguments: &[&str], more: &[(&str, &str)]) -> (String, i32) {
    let (url, originals) = (bucket.url(), format!("s3://{}/originals", bucket.name()));
    let variants = format!("s3://{}/variants", bucket.name());
    let mut environment = vec![
        ("RESIZED_S3__ENDPOINT", url.as_str()),
        ("RESIZED_S3__REGION", "us-east-1"),
        ("RESIZED_S3__ANONYMOUS", "true"),
        ("RESIZED_S3__ATTEMPTS", "1"),
        ("RESIZED_ORIGINALS__STORE", &originals),
        ("RESIZED_VARIANTS__STORE", &variants),
    ];
    environment.extend(more);
    let arguments = [&["check"], arguments].concat();
    tokio::task::block_in_place(|| {
        let (out, _, status) = resized(&arguments, &environment);
        (out, status)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_pass_and_leave_no_objects_behind() {
    let bucket = Bucket::start().await;
    let (text, status) = check(&bucket, &["--race"], &[]).await;
    assert_eq!(status, 0, "{text}");
    for expected in
        ["conditional writes are honored", "listing is granted", "in a sandboxed process", "All checks passed."]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(text.matches("50 concurrent writers, 1 succeeded").count(), 3, "{text}");
    assert_eq!(bucket.keys(""), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_conditional_writes_is_a_warning() {
    let bucket = Bucket::start().await;
    bucket.ignore_conditions();
    let (text, status) = check(&bucket, &["--race"], &[]).await;
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("variants   warn") && text.contains("fix: The server ignores If-None-Match"), "{text}");
    assert_eq!(text.matches("race       warn    50 concurrent writers, 50 succeeded").count(), 3, "{text}");
    assert!(text.ends_with("Ready to serve, with 4 warnings.\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_prevents_serving_exits_with_1_and_suggests_a_fix() {
    let bucket = Bucket::start().await;
    bucket.fail(Operation::Head, "", Fault::Status(403));
    let (text, status) = check(&bucket, &[], &[]).await;
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("originals  FAILED") && text.contains("grant s3:ListBucket"), "{text}");
    bucket.heal();
    bucket.fail(Operation::Put, "", Fault::Status(403));
    let (text, status) = check(&bucket, &[], &[]).await;
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("originals  ok") && text.contains("variants   FAILED"), "{text}");
    let nowhere = [("RESIZED_S3__ENDPOINT", "http://127.0.0.1:1")];
    let (text, status) = check(&bucket, &[], &nowhere).await;
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("check s3.endpoint"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_does_not_respond_is_a_warning() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let url = receiver.url();
    let notify = |url| [("RESIZED_NOTIFY__URL", url), ("RESIZED_NOTIFY__SECRET", SECRET)];
    let (text, status) = check(&bucket, &[], &notify(&url)).await;
    assert!(status == 0 && text.contains("notify     ok") && text.contains("All checks passed."), "{text}");
    let (text, status) = check(&bucket, &[], &notify("http://127.0.0.1:1/hook")).await;
    assert!(status == 0 && text.contains("notify     warn") && text.contains("start the API"), "{text}");
    let settings = on_bucket(&bucket);
    let other = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let (text, status) = check(&bucket, &[], &notify(&format!("{}/hook", other.url))).await;
    assert!(status == 0 && text.contains("it responds 404") && text.contains("the path of notify.url"), "{text}");
    let unsigned = [("RESIZED_NOTIFY__URL", url.as_str()), ("RESIZED_NOTIFY__SECRET", "whsec_short")];
    let (_, error, status) = tokio::task::block_in_place(|| resized(&["check"], &unsigned));
    assert!(status == 1 && error.contains("notify.secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_respond_is_a_warning() {
    let (bucket, collector) = (Bucket::start().await, Collector::start().await);
    let url = collector.url();
    let (text, status) = check(&bucket, &[], &[("RESIZED_TRACES__ENDPOINT", &url)]).await;
    assert!(status == 0 && text.contains("traces     ok") && text.contains("All checks passed."), "{text}");
    assert_eq!((collector.request_headers().len(), collector.spans()), (1, vec![]), "an empty batch was sent");
    let nowhere = [("RESIZED_TRACES__ENDPOINT", "http://127.0.0.1:1/v1/traces")];
    let (text, status) = check(&bucket, &[], &nowhere).await;
    assert!(status == 0 && text.contains("traces     warn") && text.contains("start the collector"), "{text}");
}

#[test]
fn the_command_line_has_help_and_reports_invalid_input() {
    let (help, _, status) = resized(&["--help"], &[]);
    assert_eq!(status, 0);
    for expected in ["serve", "check", "--config <FILE>", "Examples:", "Exit status:"] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
    let (help, _, status) = resized(&["check", "--help"], &[]);
    assert!(status == 0 && help.contains("--race") && help.contains("Exit status 1"), "{help}");
    assert_eq!(resized(&["chekc"], &[]).2, 2);
    let (_, error, status) = resized(&["check"], &[("RESIZED_CACHE__MEMROY", "1GiB")]);
    assert!(status == 1 && error.contains("memroy"), "{error}");
    let (_, error, status) = resized(&["check", "--config", "no-such.toml"], &[]);
    assert!(status == 1 && error.contains("no-such.toml"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_a_node_from_within_its_container() {
    let bucket = Bucket::start().await;
    let health = |admin: &str, arguments: &[&str]| {
        let arguments = [&["health"], arguments].concat();
        let address = admin.trim_start_matches("http://").replace("127.0.0.1", "0.0.0.0");
        let environment = [("RESIZED_ADMIN__LISTEN", address.as_str()), ("RESIZED_ADMIN__TOKEN", "hush")];
        tokio::task::block_in_place(|| resized(&arguments, &environment))
    };
    bucket.fail(Operation::Head, "variants/", Fault::Status(503));
    let node = Node::start(&on_bucket(&bucket));
    let (out, _, status) = health(&node.admin, &["--ready"]);
    assert_eq!((out.as_str(), status), ("503 variants.store: the store does not respond\n", 1));
    assert_eq!(health(&node.admin, &[]).2, 0, "the node is alive while it is not ready");
    bucket.heal();
    // A failed check is cached for a moment.
    until("the node is ready", || health(&node.admin, &["--ready"]).2 == 0).await;
    let admin = node.admin.clone();
    drop(node);
    let (_, error, status) = health(&admin, &[]);
    assert_eq!(status, 1, "{error}");
    assert!(error.contains("/healthz"), "{error}");
}
