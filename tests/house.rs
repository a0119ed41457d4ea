//! The invariants of ARCHITECTURE.md that the sources themselves can break.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: which module it belongs to, and its lines of code without comments.
struct Source {
    path: PathBuf,
    module: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap();
            let module = inside.with_extension("");
            let module = module.to_str().unwrap().replace('/', "::");
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            sources.push(Source { path: inside.to_owned(), module, code });
        }
    }
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

/// Whether `code` names `path` as a path: `aws_sdk_s3` in `use aws_sdk_s3::Client`, not in `my_aws_sdk_s3`.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + path.len()..].chars().next();
        let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part_of_word(before) && !part_of_word(after)
    })
}

/// Whether the module at `path` is `module` or lies below it.
fn lies_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[track_caller]
fn only(may: &[&str], crates: &[&str]) {
    for source in sources() {
        for name in crates {
            let used = names(&source.code, name) && source.code.contains(&format!("{name}::"));
            assert!(
                !used || may.iter().any(|may| lies_in(&source.module, may)),
                "{} names {name}",
                source.path.display()
            );
        }
    }
}

#[track_caller]
fn never(module: &str, others: &[&str]) {
    for source in sources().iter().filter(|source| lies_in(&source.module, module)) {
        for other in others {
            let named = names(&source.code, &format!("crate::{other}"));
            assert!(!named, "{} names crate::{other}", source.path.display());
        }
    }
}

#[test]
fn only_origin_names_the_s3_sdk() {
    only(
        &["origin"],
        &["aws_config", "aws_credential_types", "aws_sigv4", "aws_smithy_types", "aws_smithy_runtime_api", "aws_types"],
    );
}

#[test]
fn only_server_proxy_admin_and_https_name_hyper() {
    only(&["server", "proxy", "admin", "support::https"], &["hyper", "hyper_util", "hyper_rustls"]);
}

#[test]
fn only_the_way_to_the_stores_and_to_who_is_named_in_config_connects_to_anything() {
    for source in sources() {
        let connects =
            ["TcpStream::connect", "UdpSocket", "UnixStream", "hyper_rustls", "hyper_util::client", "lookup_host"];
        let found: Vec<_> = connects.into_iter().filter(|name| source.code.contains(name)).collect();
        // The command line's ask the nodes that are named on it, and the one that runs here: no request reaches them. A pair of
        // sockets leads to a process of our own and nowhere else.
        let may = ["support/https.rs", "cli/health.rs", "resize/sandbox.rs"]
            .iter()
            .any(|path| source.path == Path::new(path));
        assert!(found.is_empty() || may, "{}: {found:?}", source.path.display());
        let senders = [
            "origin/s3/client.rs",
            "origin/s3/client/http_client.rs",
            "outbox/client.rs",
            "observability/traces/collector.rs",
            "cli/purge/client.rs",
        ];
        let may = senders.iter().any(|path| source.path == Path::new(path));
        assert!(!source.code.contains("https::Client") || may, "{} sends requests", source.path.display());
    }
}

#[test]
fn only_resize_and_its_command_call_the_pixel_crate() {
    only(&["config", "variant", "resize", "cli::resize"], &["pixels"]);
    // The option types are part of the settings and of the URL grammar; everything else belongs to the resize service.
    let options = ["Encoding", "Format", "Geometry", "Incomplete", "Quality", "Region"];
    for source in sources().iter().filter(|source| ["config", "variant"].iter().any(|m| lies_in(&source.module, m))) {
        for (_, names) in source.code.lines().filter_map(|line| line.split_once("pixels::")) {
            for name in names.trim_matches(['{', '}', ';']).split(", ") {
                assert!(options.contains(&name), "{} names pixels::{name}", source.path.display());
            }
        }
    }
}

#[test]
fn only_metrics_names_the_registry_of_numbers() {
    only(&["observability::metrics"], &["prometheus_client"]);
}

#[test]
fn only_traces_names_opentelemetry() {
    only(&["observability::traces"], &["opentelemetry", "opentelemetry_sdk", "opentelemetry_proto", "prost"]);
}

#[test]
fn what_may_block_runs_behind_what_serves() {
    only(&["support::priority"], &["spawn_blocking"]);
}

#[test]
fn only_cache_names_the_memory() {
    only(&["cache"], &["moka"]);
}

#[test]
fn cache_origin_and_resize_meet_only_in_variants_and_proxy() {
    let above = ["proxy", "server", "observability::access_log", "admin", "admin::routes"];
    never("cache", &[&above[..], &["origin", "resize", "variant"]].concat());
    never("origin", &[&above[..], &["cache", "resize"]].concat());
    never("resize", &[&above[..], &["cache", "origin"]].concat());
}

#[test]
fn lower_layers_never_name_upper_ones() {
    never("variant", &["proxy", "server", "observability::access_log", "cache", "origin", "resize", "support::tasks"]);
    never(
        "config",
        &["proxy", "server", "observability::access_log", "cache", "origin", "resize", "support::tasks", "variant"],
    );
    never("proxy", &["server", "observability::access_log", "admin", "admin::routes", "app::reload"]);
    never(
        "support::hot_swap",
        &["config", "proxy", "server", "observability::access_log", "admin", "admin::routes", "app::reload"],
    );
    never("server", &["admin", "admin::routes", "app::reload"]);
    never(
        "variants",
        &["proxy", "server", "upload", "outbox", "observability::access_log", "admin", "admin::routes", "app::reload"],
    );
    let all = [
        "proxy",
        "server",
        "observability::access_log",
        "cache",
        "origin",
        "resize",
        "support::tasks",
        "variant",
        "admin::routes",
    ];
    for module in ["admin::access_control", "admin::health", "admin::pages"] {
        never(module, &all);
    }
    never("observability::metrics", &[&all[..], &["admin", "config", "observability::traces"]].concat());
    never("upload", &["proxy", "server", "observability::access_log", "cache", "admin", "admin::routes"]);
    never("observability::traces", &[&all[..], &["admin", "upload", "outbox"]].concat());
    never(
        "support::https",
        &[&all[..], &["admin", "config", "observability::metrics", "observability::traces", "upload", "outbox"]]
            .concat(),
    );
    never(
        "outbox",
        &["proxy", "server", "observability::access_log", "cache", "resize", "upload", "admin", "admin::routes"],
    );
}

#[test]
fn a_name_inside_of_a_longer_one_is_not_that_name() {
    assert!(names("use moka::sync;", "moka"));
    assert!(!names("use mymoka::sync;", "moka"));
    assert!(names("let x = aws_sdk_s3::Client::new();", "aws_sdk_s3"));
}

#[test]
fn policy_and_lifecycle_rules_in_the_readme_are_those_that_the_docs_explain() {
    let (readme, docs) = (include_str!("../README.md"), include_str!("../docs/S3.md"));
    let blocks: Vec<_> = docs.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert!(serde_json::from_str::<serde_json::Value>(block).is_ok(), "{block}");
        assert!(readme.contains(block), "README.md lacks {block}");
    }
}

#[test]
fn the_list_of_dependencies_in_the_docs_is_that_of_the_manifest() {
    let manifest = concat!(include_str!("../Cargo.toml"), include_str!("../crates/pixels/Cargo.toml"));
    let docs = include_str!("../docs/DEPENDENCIES.md");
    let linked = |section: &&str| {
        let head = section.lines().next().unwrap();
        head == "dependencies]" || head.starts_with("target.") && head.ends_with(".dependencies]")
    };
    let sections = manifest.split("\n[").filter(linked);
    let lines = sections.flat_map(|section| section.lines().skip(1)).filter(|line| !line.starts_with('#'));
    let mut needed: Vec<_> = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split_once('|'));
    let mut explained: Vec<_> = rows.flat_map(|(names, _)| names.split('`')).filter(|name| name.len() > 2).collect();
    needed.sort_unstable();
    needed.dedup();
    explained.sort_unstable();
    assert_eq!(explained, needed);
}

#[test]
fn images_and_workflows_build_with_the_rust_of_the_manifest() {
    let rust = include_str!("../Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = "));
    let rust = rust.unwrap().trim_matches('"');
    let places = [
        (include_str!("../deploy/docker/Dockerfile"), "FROM rust:"),
        (include_str!("../deploy/docker/Dockerfile.api-receiver"), "FROM rust:"),
        (include_str!("../.github/workflows/ci.yml"), "rustup toolchain install "),
        (include_str!("../.github/workflows/release.yml"), "rustup toolchain install "),
    ];
    for (text, before) in places {
        let (_, after) = text.split_once(before).unwrap();
        let version = after.split(['-', ' ']).next().unwrap();
        assert_eq!(version, rust, "{before}{version}");
    }
}
