//! Tests of the filter, with input that is split into reads of every size.

use std::task::Waker;

use super::*;

/// A stream that returns one piece per read and keeps the bytes that are written.
struct Pieces<'a> {
    input: &'a [u8],
    read_bytes: usize,
    written: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn new(input: &'a [u8], read_bytes: usize) -> Self {
        Self { input, read_bytes, written: Vec::new() }
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (piece, rest) = self.input.split_at(self.read_bytes.min(buf.remaining()).min(self.input.len()));
        buf.put_slice(piece);
        self.input = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The bytes that hyper sees, and the end of the valid input.
fn filter(input: &[u8], read_bytes: usize, buffer_bytes: usize) -> (Vec<u8>, Option<End>) {
    let mut filter = RequestFilter::new(Pieces::new(input, read_bytes), |_| Response::new(""));
    let mut seen = Vec::new();
    loop {
        let mut buffer = vec![0; buffer_bytes];
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut filter).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => seen.extend_from_slice(buffer.filled()),
            Poll::Ready(_) => return (seen, filter.end),
            Poll::Pending => panic!("the stream is always ready"),
        }
    }
}

/// Checks the bytes that hyper sees of `input`, and the end, for reads of every size.
#[track_caller]
fn check(input: &[u8], seen: &[u8], end: End) {
    for read_bytes in (1..input.len().min(300)).chain([READ_BYTES]) {
        for buffer_bytes in [24, 1 << 16] {
            let (bytes, found) = filter(input, read_bytes, buffer_bytes);
            // Of an invalid body, hyper sees a part that depends on the reads.
            let is_prefix = end == End::InvalidBody && seen.starts_with(&bytes);
            assert!(bytes == seen || is_prefix, "reads of {read_bytes}: {}", bytes.escape_ascii());
            let is_expected = match (found, end) {
                // Parts of one reason arrive with different reads.
                (Some(End::Refused { refusal: found, .. }), End::Refused { refusal, .. }) => {
                    found.status() == refusal.status()
                }
                (found, end) => found == Some(end),
            };
            assert!(is_expected, "reads of {read_bytes}: {found:?} instead of {end:?} for {}", input.escape_ascii());
        }
    }
}

fn refused(status: u16) -> End {
    let refusal = match status {
        400 => Refusal::BadRequest(""),
        414 => Refusal::TargetTooLong,
        431 => Refusal::HeaderTooLarge,
        505 => Refusal::Version,
        other => panic!("no request is refused with {other}"),
    };
    End::Refused { refusal, is_head: false }
}

/// A valid request, which is passed on before `input` is refused.
const VALID: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

#[track_caller]
fn check_refused(input: &str, status: u16) {
    for valid in ["", VALID] {
        check(&[valid, input].concat().into_bytes(), valid.as_bytes(), refused(status));
    }
}

#[test]
fn valid_requests_are_passed_on_unchanged() {
    let requests = [
        VALID.to_owned(),
        format!("\r\n\r\n{VALID}{VALID}\r\n{VALID}"),
        "GET / HTTP/1.0\r\n\r\n".into(),
        "get /a?b=c?d HTTP/1.1\r\nhOST:x\r\nA:\r\nB: \t b\tc \r\nC: caf\u{e9}\r\n\r\n".into(),
        "HEAD http://a.example:80/a HTTP/1.1\r\nHost: b\r\n\r\n".into(),
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".into(),
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n".into(),
        format!("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{VALID}"),
        format!("POST / HTTP/1.1\r\nHost: x\r\ncontent-length:\t007 \r\n\r\na\nb\r\n\0\n{VALID}"),
        format!("GETS / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\nb{VALID}"),
        format!("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n{VALID}"),
        format!("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n{VALID}"),
    ];
    for request in requests {
        check(request.as_bytes(), request.as_bytes(), End::Closed);
    }
}

#[test]
fn ambiguous_and_invalid_requests_are_refused() {
    let post = |rest: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{rest}");
    let get = |rest: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{rest}");
    let table = [
        // Line terminators and whitespace.
        ("GET / HTTP/1.1\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\n".into(), 400),
        ("\n".into(), 400),
        (get("\n"), 400),
        (get("A: b\n\r\n"), 400),
        (get("A: b\rc\r\n\r\n"), 400),
        (get("A: b\r\r\n\r\n"), 400),
        (get("A: b\r\n c\r\n\r\n"), 400),
        (get("A: b\r\n\tc\r\n\r\n"), 400),
        ("GET / HTTP/1.1\r\n Host: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n".into(), 400),
        (get("A\t: b\r\n\r\n"), 400),
        (get("A b: c\r\n\r\n"), 400),
        // Field lines.
        (get(": b\r\n\r\n"), 400),
        (get("A\r\n\r\n"), 400),
        (get("A(b): c\r\n\r\n"), 400),
        (get("\u{e9}: b\r\n\r\n"), 400),
        (get("A: \0\r\n\r\n"), 400),
        (get("A\0: b\r\n\r\n"), 400),
        (get("A: \u{7f}\r\n\r\n"), 400),
        (get("A: \u{1b}\r\n\r\n"), 400),
        // Request lines.
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /  HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n".into(), 400),
        (" GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a<b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /caf\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET a HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /\r\nHost: x\r\n\r\n".into(), 400),
        ("GET\r\n\r\n".into(), 400),
        ("\u{16}\u{3}\u{1}".into(), 400),
        // Versions.
        ("GET / http/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.10\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/01.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTPS/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n".into(), 505),
        ("GET / HTTP/0.9\r\nHost: x\r\n\r\n".into(), 505),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".into(), 505),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n".into(), 505),
        // Hosts.
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        (get("Host: x\r\n\r\n"), 400),
        ("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: \rx\r\n\r\n".into(), 400),
        ("POST / HTTP/1.1\r\nHost: x\u{c}\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x, y\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n".into(), 400),
        // Lengths.
        (post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400),
        (post("Content-Length: 5, 5\r\n\r\nhello"), 400),
        (post("Content-Length: +5\r\n\r\nhello"), 400),
        (post("Content-Length: -5\r\n\r\nhello"), 400),
        (post("Content-Length: 0x5\r\n\r\nhello"), 400),
        (post("Content-Length: 5 5\r\n\r\nhello"), 400),
        (post("Content-Length:\r\n\r\n"), 400),
        (post("Content-Length: 18446744073709551615\r\n\r\n"), 400),
        (post("Content-Length: 99999999999999999999999\r\n\r\n"), 400),
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked\r\nCONTENT-LENGTH: 5\r\n\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked, gzip\r\n\r\n"), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (post("Transfer-Encoding: xchunked\r\n\r\n"), 400),
        (post("Transfer-Encoding: \"chunked\"\r\n\r\n"), 400),
        (post("Transfer-Encoding:\r\n\r\n"), 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        // Bodies without a meaning, for methods that begin with G or H.
        (get("Content-Length: 5\r\n\r\nhello"), 400),
        (get("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        ("GETS / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 400),
        ("HEADS / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n".into(), 400),
    ];
    for (input, status) in &table {
        check_refused(input, *status);
    }
}

#[test]
fn repeated_fields_are_valid_only_for_the_same_kind_of_request() {
    let fields = "Host: x\r\nContent-Length: 0\r\n\r\n";
    let get = format!("GET /a HTTP/1.1\r\n{fields}");
    let others = [
        format!("GET /b?c HTTP/1.1\r\n{fields}"),
        format!("GET /b HTTP/1.0\r\n{fields}"),
        format!("POST /b HTTP/1.1\r\n{fields}"),
        format!("HEAD /b HTTP/1.1\r\nA: b\r\n{fields}"),
        "GET /b HTTP/1.1\r\nHost: y\r\n\r\n".into(),
    ];
    for other in others {
        let requests = [get.as_str(), &get, &other, &get, &other].concat();
        check(requests.as_bytes(), requests.as_bytes(), End::Closed);
    }
    for (last, status) in
        [("GET / HTTP/1.2\r\n", 505), ("GET /<a> HTTP/1.1\r\n", 400), ("GET / HTTP/1.1\r\nHost: y\r\n", 400)]
    {
        check(
            [get.as_str(), &get, last, fields].concat().as_bytes(),
            [get.as_str(), &get].concat().as_bytes(),
            refused(status),
        );
    }
    // A POST with a body never makes fields valid for a GET.
    let post = "Host: x\r\nContent-Length: 1\r\n\r\n";
    let first = format!("POST / HTTP/1.1\r\n{post}a");
    check(format!("{first}GET / HTTP/1.1\r\n{post}a").as_bytes(), first.as_bytes(), refused(400));
    // HTTP/1.0 needs no host.
    let old = "GET / HTTP/1.0\r\nA: b\r\n\r\n";
    check(format!("{old}GET / HTTP/1.1\r\nA: b\r\n\r\n").as_bytes(), old.as_bytes(), refused(400));
}

#[test]
fn bytes_after_a_body_are_a_request_whatever_the_method() {
    for method in ["GETS", "HELLO", "POST", "DELETE"] {
        let first = format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        check(format!("{first}GET /\n").as_bytes(), first.as_bytes(), refused(400));
        let chunked = format!("{method} / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        check(format!("{chunked}GET /\n").as_bytes(), chunked.as_bytes(), refused(400));
        let invalid = chunked.replace("\r\n0\r\n\r\n", "\r\n5\nhello\r\n0\r\n\r\n");
        check(invalid.as_bytes(), invalid.as_bytes(), End::InvalidBody);
    }
}

#[test]
fn long_targets_and_large_headers_are_refused() {
    let line = |bytes: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(bytes - 1));
    let longest = format!("{}Host: x\r\n\r\n", line(TARGET_BYTES_MAX));
    assert_eq!(filter(longest.as_bytes(), 1000, 1 << 16), (longest.clone().into(), Some(End::Closed)));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    let most = fields(FIELDS_MAX);
    assert_eq!(filter(most.as_bytes(), 7, 1 << 16), (most.clone().into(), Some(End::Closed)));
    let large = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(bytes));
    let (largest, too_large) = (large(HEADER_BYTES_MAX - 40), large(HEADER_BYTES_MAX));
    assert_eq!(filter(largest.as_bytes(), 9000, 1 << 16), (largest.clone().into(), Some(End::Closed)));
    let table = [
        (line(TARGET_BYTES_MAX + 1), 414),
        (line(100_000), 414),
        (line(100_000).replace("\r\n", ""), 414),
        (fields(FIELDS_MAX + 1), 431),
        (too_large.clone(), 431),
        (too_large.replace("\r\n\r\n", ""), 431),
        ("\r\n".repeat(HEADER_BYTES_MAX), 400),
        ("G".repeat(33), 400),
    ];
    for (input, status) in table {
        for read_bytes in [1, 1000, 1 << 17] {
            let (seen, end) = filter(input.as_bytes(), read_bytes, 1 << 17);
            let Some(End::Refused { refusal, .. }) = end else { panic!("{status}: {end:?}") };
            assert_eq!((seen.len(), refusal.status().as_u16()), (0, status), "reads of {read_bytes}: {input:.40}");
        }
    }
}

#[test]
fn the_preface_of_http_2_is_refused() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    check_refused(preface, 505);
    check_refused(&format!("{preface}\0\n\0\nGET /\n"), 505);
    check_refused("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", 505);
    check_refused("PROPFIND / HTTP/1.1\r\nHost: x\n", 400);
}

/// The bytes that are written when hyper shuts the stream down after it has read everything.
fn response_to(input: &str) -> String {
    let respond = |refusal: Refusal| {
        let mut response = Response::new(format!("{refusal}"));
        *response.status_mut() = refusal.status();
        response
    };
    let mut filter = RequestFilter::new(Pieces::new(input.as_bytes(), 1000), respond);
    let mut context = Context::from_waker(Waker::noop());
    let mut buffer = vec![0; 1 << 16];
    while {
        let mut buffer = ReadBuf::new(&mut buffer);
        assert!(Pin::new(&mut filter).poll_read(&mut context, &mut buffer).is_ready());
        !buffer.filled().is_empty()
    } {}
    assert!(matches!(Pin::new(&mut filter).poll_shutdown(&mut context), Poll::Ready(Ok(()))));
    String::from_utf8(filter.stream.written).unwrap()
}

#[tokio::test]
async fn the_response_is_sent_when_the_stream_is_shut_down() {
    let response = response_to("GET / HTTP/1.1\n");
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\ndate: "), "{response}");
    assert!(response.ends_with("\r\nconnection: close\r\n\r\na line ends with LF instead of CR LF"), "{response}");
    assert!(response_to("HEAD / HTTP/1.1\r\nHost: x\n").ends_with("\r\n\r\n"), "HEAD has no body");
    assert_eq!(response_to(VALID), "");
}

#[tokio::test]
async fn the_end_that_hyper_did_not_read_gets_no_response() {
    let stream = Pieces::new(b"GET / HTTP/1.1\n", 1000);
    let mut filter = RequestFilter::new(stream, |_| Response::new("refused"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut filter).poll_shutdown(&mut context).is_ready());
    assert!(filter.stream.written.is_empty());
}
