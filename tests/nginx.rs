//! Sends requests through the nginx configurations in the docs. Skipped if nginx is not installed.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use resized::config::Config;
use resized::variant::Grammar;

#[path = "shared/snippets.rs"]
#[expect(dead_code, reason = "nginx keeps running instead of printing a result")]
mod snippets;

use snippets::snippets;

/// Path that replaces the address of the previous server, and distinguishes its requests from those to `resized`.
const FORMER: &str = "/former";

/// nginx with configuration files, in front of a server that responds with the requested path.
struct Nginx {
    process: Child,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts nginx with `files`, in which the ports 80, 8080 and 8888 are replaced. Prints a note and returns `None` if nginx is not
    /// installed.
    fn start(files: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let echo = echo();
        let files = files
            .replace("listen 80;", "listen unix:nginx.sock;")
            .replace("http://127.0.0.1:8888;", &format!("http://{echo}{FORMER}/;"))
            .replace("127.0.0.1:8888;", &format!("{echo}{FORMER};"))
            .replace("127.0.0.1:8080", &echo);
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {name};\n"))
            .collect();
        let settings = format!(
            "daemon off; master_process off; pid nginx.pid; events {{}} http {{ access_log off;\n{paths}{files}\n}}"
        );
        std::fs::write(folder.path().join("nginx.conf"), settings).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let mut nginx = Command::new("nginx");
        nginx.args(["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"]).current_dir(folder.path());
        match nginx.stderr(Stdio::inherit()).spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("NOT CHECKED: nginx is not installed");
                None
            }
            process => Some(Self { process: process.unwrap(), folder }),
        }
    }

    /// The path that the upstream server receives for a request of `url`, which has no scheme.
    fn upstream_path(&self, url: &str) -> String {
        let (host, path) = url.split_once('/').unwrap();
        let start = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(self.folder.path().join("nginx.sock")) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(30), "nginx does not start: {error}"),
            }
            std::thread::yield_now();
        };
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server that responds with the requested path, and returns its address.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut lines = reader.by_ref().lines().map(Result::unwrap);
            let first = lines.next().unwrap();
            lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
            let path = first.split(' ').nth(1).unwrap();
            let _ = write!(reader.get_mut(), "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
        }
    });
    address
}

#[test]
fn urls_of_other_servers_are_rewritten_as_documented() {
    let docs = include_str!("../docs/COMPARISON.md");
    let Some(nginx) = Nginx::start(&snippets(docs, "nginx").concat()) else { return };
    let grammar = Grammar::new(&Config::default()).unwrap();
    let rows: Vec<_> = docs.lines().filter(|line| line.contains(".example.com/") && line.starts_with("| `")).collect();
    assert!(rows.len() > 20, "the tables were not found");
    for row in rows {
        let [_, url, expected, _] = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>()[..]
        else {
            panic!("{row}");
        };
        let path = nginx.upstream_path(url);
        if expected == "the former server" {
            assert!(path.starts_with(FORMER), "{url}: {path}");
        } else {
            assert_eq!(path, expected, "{url}");
            assert!(grammar.parse(&path).is_ok(), "{url}");
        }
    }
}

#[test]
fn the_uploads_folder_of_wordpress_is_removed_from_paths() {
    let location = snippets(include_str!("../docs/RECIPES.md"), "nginx").concat();
    let server = format!("server {{ listen 80;\n{location}\nlocation / {{ return 200 file; }} }}");
    let Some(nginx) = Nginx::start(&server) else { return };
    for (url, expected) in [
        ("x/wp-content/uploads/2024/05/cat-300x200.jpg", "/2024/05/cat-300x200.jpg"),
        (
            "x/wp-content/uploads/2024/05/Caf%C3%A9%20cr%C3%A8me-300x200.JPG",
            "/2024/05/Caf%C3%A9%20cr%C3%A8me-300x200.JPG",
        ),
        ("x/wp-content/uploads/2024/05/cat.pdf", "file"),
        ("x/index.php", "file"),
    ] {
        assert_eq!(nginx.upstream_path(url), expected, "{url}");
    }
}
