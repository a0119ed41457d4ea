//! The access log of a running node: formats, and which requests are logged.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::bucket::Bucket;
use crate::support::node::{Node, Settings, on_bucket};
use crate::support::pictures::jpeg;
use crate::support::stage::until;

/// Requests `paths` one after the other from a node with these settings, and returns its access log.
async fn lines(more: Settings, paths: &[&str]) -> Vec<String> {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(64, 48), "image/jpeg");
    let settings = [on_bucket(&bucket), more].concat();
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let client = reqwest::Client::builder().user_agent("a \"test\"").build().unwrap();
    for path in paths {
        client.get(format!("{}{path}", node.url)).header("referer", "https://a.example/").send().await.unwrap();
    }
    let of_requests = || {
        let told = node.log();
        told.lines()
            .filter(|line| line.contains("_32x") || line.contains("/last"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    until("last request is logged", || of_requests().iter().any(|line| line.contains("/last"))).await;
    of_requests()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_have_the_configured_format() {
    let format = |format: &str| vec![("RESIZED_LOG__ACCESS_FORMAT", format.to_owned())];
    let combined = &lines(format("combined"), &["/cat_32x.jpg", "/last"]).await[0];
    let (client, rest) = combined.split_once(" - - [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!((client, time.len()), ("127.0.0.1", "10/Oct/2000:13:55:36 +0000".len()), "{combined}");
    let rest = rest.strip_prefix("\"GET /cat_32x.jpg HTTP/1.1\" 200 ").unwrap();
    let (bytes, rest) = rest.split_once(' ').unwrap();
    assert!(bytes.parse::<u32>().unwrap() > 100, "{combined}");
    assert!(rest.ends_with("\"https://a.example/\" \"a \\\"test\\\"\""), "{combined}");
    // By default, lines have the format of log events, which is JSON here.
    for (name, starts) in [("", "{\"time\":\""), ("json", "{\"time\":\""), ("text", "20")] {
        let line = &lines(format(name), &["/cat_32x.jpg", "/last"]).await[0];
        assert!(line.starts_with(starts), "{name}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_are_logged_without_method_and_target() {
    let bucket = Bucket::start().await;
    let settings = [on_bucket(&bucket), vec![("RESIZED_LOG__ACCESS_FORMAT", "text".into())]].concat();
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let mut stream = TcpStream::connect(node.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"GET /secret HTTP/1.1\n").await.unwrap();
    until("the refusal is logged", || node.log().lines().any(|line| line.contains(" 127.0.0.1 - - 400 "))).await;
    assert!(!node.log().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_can_be_excluded() {
    let paths = ["/cat_32x.jpg", "/cat_32x.jpg", "/cat_32x.jpg", "/last"];
    assert_eq!(lines(vec![], &paths).await.len(), 4);
    let lines = lines(vec![("RESIZED_LOG__ACCESS_HITS", "false".into())], &paths).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("detail=made"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn successes_are_sampled_and_errors_are_always_logged() {
    let mut paths = vec!["/cat_32x.jpg"; 25];
    paths.extend(["/no_32x.jpg", "/no_32x.jpg", "/last"]);
    let lines = lines(vec![("RESIZED_LOG__ACCESS_SAMPLE", "10".into())], &paths).await;
    let count = |path: &str| lines.iter().filter(|line| line.contains(path)).count();
    assert_eq!((count("/cat_32x"), count("/no_32x"), count("/last")), (2, 2, 1), "{lines:?}");
}
