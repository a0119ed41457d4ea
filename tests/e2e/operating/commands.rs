//! The commands `config`, `explain`, `resize`, `purge`, `completions` and `man`.

use std::path::Path;

use crate::operating::check::resized;
use crate::support::bucket::Bucket;
use crate::support::node::{Node, on_bucket};
use crate::support::pictures::{jpeg, see};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command whose stores are in `bucket`.
fn run(bucket: &Bucket, arguments: &[&str]) -> (String, String, i32) {
    let settings = on_bucket(bucket);
    let environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    tokio::task::block_in_place(|| resized(arguments, &environment))
}

#[test]
fn config_prints_the_source_of_each_value_and_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "[cache]\nmemory = \"1MiB\"\n[presets]\nsmall = \"100x100\"\n").unwrap();
    let environment = [("RESIZED_ADMIN__TOKEN", "hush-hush"), ("RESIZED_S3__ATTEMPTS", "7")];
    let arguments = ["config", "-c", text(&file), "--originals", "file:there", "--set", "server.threads=3"];
    let (out, error, status) = resized(&arguments, &environment);
    assert_eq!(status, 0, "{error}");
    let line = |begins: &str| {
        let line = out.lines().find(|line| line.starts_with(begins));
        line.unwrap_or_else(|| panic!("{begins}: {out}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("memory = "), "memory = \"1.0 GiB\" # default");
    let cached = out.lines().rfind(|line| line.starts_with("memory = ")).unwrap();
    assert!(cached.starts_with("memory = \"1.0 MiB\" ") && cached.ends_with(text(&file)), "{cached}");
    assert_eq!(line("small = "), format!("small = \"100x100\" # {}", text(&file)));
    assert_eq!(line("attempts = "), "attempts = 7 # RESIZED_S3__ATTEMPTS");
    assert_eq!(line("threads = "), "threads = 3 # command line");
    assert_eq!(line("store = "), "store = \"file:there\" # command line");
    assert_eq!(line("failures = "), "failures = \"5s\" # default");
    assert_eq!(line("token = "), "token = \"***\" # RESIZED_ADMIN__TOKEN");
    assert!(!out.contains("hush"), "{out}");
    let again = folder.path().join("b.toml");
    std::fs::write(&again, &out).unwrap();
    let (same, error, status) = resized(&["config", "-c", text(&again)], &[]);
    assert_eq!(status, 0, "{error}");
    let values = |text: &str| text.lines().map(|line| line.split("  #").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(values(&out), values(&same));
    let (changed, ..) = resized(&["config", "--changed", "--set", "cache.memory=2MiB"], &[]);
    assert_eq!(changed.split_whitespace().collect::<Vec<_>>().join(" "), "[cache] memory = \"2.0 MiB\" # command line");
}

#[test]
fn a_misspelled_key_suggests_the_correct_one_in_every_source() {
    for (arguments, environment) in [
        (&["check", "--set", "cache.memroy=1GiB"][..], &[][..]),
        (&["check"], &[("RESIZED_CACHE__MEMROY", "1GiB")]),
        (&["check"], &[("RESIZED_CACHE_MEMORY", "1GiB")]),
    ] {
        let (_, error, status) = resized(arguments, environment);
        assert!(status == 1 && error.contains("did you mean cache.memory (RESIZED_CACHE__MEMORY)?"), "{error}");
    }
    let (_, error, status) = resized(&["check", "--set", "cache.memory"], &[]);
    assert!(status == 2 && error.contains("KEY=VALUE"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_prints_the_meaning_of_a_path_and_its_objects() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/a cat.jpg", jpeg(64, 48), "image/jpeg");
    let (out, error, status) = run(&bucket, &["explain", "https://img.example/a%20cat_20x20_crop.jpg?v=1"]);
    assert_eq!(status, 0, "{out}{error}");
    for expected in [
        "/a%20cat_20x20_crop.jpg\n",
        "meaning    20x20_crop_center of a cat.jpg as jpg at quality 80\n",
        "canonical  /a%20cat_20x20_crop_center_q80.jpg\n",
        "/originals/a cat.jpg exists: ",
        "/variants/a cat.jpg/20x20_crop_center_q80.jpg does not exist\n",
        "response   made and stored\n",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert_eq!(bucket.keys("variants/"), Vec::<String>::new(), "explain makes no variant");
    let refused =
        [("/a//b", "400: "), ("/no_20x.jpg", "404: there is no original no.jpg"), ("/a%20cat_9999x.jpg", "404: ")];
    for (path, expected) in refused {
        let (out, _, status) = run(&bucket, &["explain", path]);
        assert!(status == 1 && out.contains(expected), "{path}: {out}");
    }
    let sizes = |policy: &str, path: &str| run(&bucket, &["--set", policy, "--set", "sizes.step=10", "explain", path]);
    let (out, _, status) = sizes("sizes.policy=step", "a%20cat_12x.jpg");
    assert!(
        status == 0 && out.contains("response   301 to /a%20cat_20x_q80.jpg, the nearest size that [sizes] allows"),
        "{out}"
    );
    let (out, _, status) =
        run(&bucket, &["--set", "sizes.policy=list", "--set", "sizes.list=[\"20x\"]", "explain", "a%20cat_12x.jpg"]);
    assert!(status == 1 && out.contains("404: this size or quality is not allowed"), "{out}");
    let key = [("RESIZED_SIGNING__KEYS", "0123456789abcdef0123456789abcdef"), ("RESIZED_SIGNING__REQUIRE", "variants")];
    let settings = on_bucket(&bucket);
    let environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).chain(key).collect();
    let signing = |arguments: &[&str]| tokio::task::block_in_place(|| resized(arguments, &environment));
    let (out, _, status) = signing(&["explain", "/a%20cat_12x.jpg"]);
    assert!(status == 1 && out.contains("response   403: this URL needs a signature"), "{out}");
    let (signed, error, _) = signing(&["sign", "/a%20cat_12x.jpg"]);
    let listed = ["--set", "sizes.policy=list", "--set", "sizes.list=[\"20x\"]", "explain", signed.trim()];
    let (out, _, status) = signing(&listed);
    assert!(status == 0 && out.contains("response   made and stored"), "{out}{error}");
    let (out, _, _) = run(&bucket, &["explain", "a%20cat_9999x.jpg"]);
    assert!(out.contains("at most 4096 pixels (limits.max_side)"), "{out}");
    let (out, _, status) = run(&bucket, &["--set", "limits.original_bytes=10", "explain", "a%20cat_9x.jpg"]);
    assert!(status == 1 && out.contains("422: ") && out.contains("limits.original_bytes"), "{out}");
    let (out, _, status) = run(&bucket, &["--set", "originals.serve=none", "explain", "a%20cat.jpg"]);
    assert!(status == 1 && out.contains("originals.serve"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_distinguishes_a_current_variant_from_an_outdated_one() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(64, 48), "image/jpeg");
    let settings = on_bucket(&bucket);
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let answer = reqwest::get(format!("{}/cat_20x.jpg", node.url)).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    crate::support::stage::until("the variant is stored", || !bucket.keys("variants/").is_empty()).await;
    let (out, _, status) = run(&bucket, &["explain", "cat_20x.jpg"]);
    assert!(status == 0 && out.contains("response   the stored variant\n"), "{out}");
    bucket.put_object("originals/cat.jpg", jpeg(48, 48), "image/jpeg");
    let (out, _, status) = run(&bucket, &["explain", "cat_20x.jpg"]);
    assert!(status == 0 && out.contains("of an older original"), "{out}");
}

#[test]
fn resize_writes_local_files_as_the_server_would() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, width) in [("a.jpg", 64), ("b.jpeg", 48)] {
        std::fs::write(path(name), jpeg(width, 48)).unwrap();
    }
    std::fs::write(path("c.jpg"), "no picture").unwrap();
    let (a, b, out) = (path("a.jpg"), path("b.jpeg"), path("small"));
    let size = |path: &Path| {
        let seen = see(&std::fs::read(path).unwrap());
        (seen.width, seen.height)
    };

    let (out_text, error, status) =
        resized(&["resize", "--size", "32x", "--size", "16x16_crop", text(&a), text(&b), text(&out)], &[]);
    assert_eq!(status, 0, "{error}");
    assert_eq!(out_text.lines().count(), 4, "{out_text}");
    for (name, expected) in [
        ("a_32x.jpg", (32, 24)),
        ("a_16x16_crop.jpg", (16, 16)),
        ("b_32x.jpeg", (32, 32)),
        ("b_16x16_crop.jpeg", (16, 16)),
    ] {
        assert_eq!(size(&out.join(name)), expected, "{name}");
    }

    let named = path("named_20x20.png");
    assert_eq!(resized(&["resize", text(&a), text(&named)], &[]).2, 0);
    assert_eq!(size(&named), (20, 15));
    assert!(std::fs::read(&named).unwrap().starts_with(b"\x89PNG"));

    // A failure does not affect the other pictures.
    let (_, error, status) =
        resized(&["resize", "-s", "8x", "-f", "webp", text(&path("c.jpg")), text(&a), text(&out)], &[]);
    assert!(status == 1 && error.contains("c.jpg: the original is not an image"), "{error}");
    assert_eq!(&std::fs::read(out.join("a_8x.webp")).unwrap()[8..12], b"WEBP");

    for (arguments, expected) in [
        (&["resize", text(&a), text(&path("plain.jpg"))][..], "give --size, or a size in the name"),
        (&["resize", text(&a), text(&b), text(&out)], "give --size"),
        (&["resize", "-s", "huge", text(&a), text(&out)], "use the format of URLs"),
        (&["resize", "-s", "8x", text(&a), text(&a), text(&out)], "two outputs have the path"),
    ] {
        let (_, error, status) = resized(arguments, &[]);
        assert!(status == 1 && error.contains(expected), "{expected}: {error}");
    }
    assert!(!path("plain.jpg").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_deletes_stored_variants_and_invalidates_the_memory_of_nodes() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/a cat.jpg", jpeg(64, 48), "image/jpeg");
    let mut settings = on_bucket(&bucket);
    settings.push(("RESIZED_ORIGINALS__IMMUTABLE", "true".into()));
    settings.push(("RESIZED_ADMIN__TOKEN", "hush-hush".into()));
    let started = settings.clone();
    let node = tokio::task::spawn_blocking(move || Node::start(&started)).await.unwrap();
    let width = async || {
        let answer = reqwest::get(format!("{}/a%20cat_60x.jpg", node.url)).await.unwrap();
        see(&answer.bytes().await.unwrap()).width
    };
    let stored = || !bucket.keys("variants/").is_empty();
    assert_eq!(width().await, 60);
    crate::support::stage::until("the variant is stored", stored).await;
    bucket.put_object("originals/a cat.jpg", jpeg(40, 40), "image/jpeg");

    let (out, error, status) = run(&bucket, &["purge", "a cat.jpg"]);
    assert_eq!((out.as_str(), status), ("a cat.jpg: 1 variants deleted\n", 0), "{error}");
    assert!(!stored());
    assert_eq!(width().await, 60, "the node still has the variant of an immutable original in memory");

    let admin = node.admin.clone();
    let by_node = |token: &str| {
        let token = [("RESIZED_ADMIN__TOKEN", token)];
        tokio::task::block_in_place(|| resized(&["purge", "--admin", &admin, "a cat.jpg"], &token))
    };
    let (_, error, status) = by_node("another");
    assert!(status == 1 && error.contains("401"), "{error}");
    let (out, error, status) = by_node("hush-hush");
    assert!(status == 0 && out.contains("\"original\":\"a cat.jpg\""), "{out}{error}");
    assert_eq!(width().await, 40);
    let (_, error, status) = run(&bucket, &["purge", "--admin", "http://127.0.0.1:1", "a cat.jpg"]);
    assert!(status == 1 && error.contains("does not respond"), "{error}");
    assert_eq!(run(&bucket, &["purge", "a//b"]).2, 2);
}

#[test]
fn completions_and_man_pages_contain_every_command_and_need_no_settings() {
    // These commands ignore invalid settings.
    let broken = [("RESIZED_CACHE__MEMROY", "1GiB")];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, error, status) = resized(&["completions", shell], &broken);
        assert_eq!(status, 0, "{shell}: {error}");
        for expected in ["warm", "explain", "sitemap", "admin-listen"] {
            assert!(out.contains(expected), "{shell}: {expected}");
        }
    }
    let (page, error, status) = resized(&["man"], &broken);
    assert!(status == 0 && page.contains(".TH resized 1") && page.contains("resized\\-warm(1)"), "{error}{page}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(resized(&["man", text(&pages)], &broken).2, 0);
    for name in ["resized.1", "resized-serve.1", "resized-warm.1", "resized-outbox-redeliver.1"] {
        assert!(std::fs::read_to_string(pages.join(name)).unwrap().contains(".SH NAME"), "{name}");
    }
    // bash accepts the script.
    let (script, ..) = resized(&["completions", "bash"], &[]);
    let file = folder.path().join("completions");
    std::fs::write(&file, script + "\ntype _resized").unwrap();
    let bash = std::process::Command::new("bash").arg(&file).output().unwrap();
    assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
}
