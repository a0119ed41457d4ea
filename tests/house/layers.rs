//! Checks the dependencies between modules: the layers that ARCHITECTURE.md shows.

use crate::sources::{crate_folders, root, sources};

/// The layers from the top down, each with the modules that it may name. All modules may name `observability` and
/// `support`.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "app",
            "server",
            "admin",
            "proxy",
            "variants",
            "upload",
            "outbox",
            "resize",
            "cache",
            "origin",
            "variant",
            "config",
            "allocator",
        ],
    ),
    (
        "app",
        &["server", "admin", "proxy", "variants", "upload", "outbox", "resize", "cache", "origin", "variant", "config"],
    ),
    ("admin", &["proxy", "variants", "upload", "outbox", "origin", "variant", "config"]),
    ("server", &["proxy", "config"]),
    ("proxy", &["variants", "upload", "cache", "origin", "resize", "variant", "config"]),
    ("variants", &["cache", "origin", "resize", "variant", "config"]),
    ("upload", &["outbox", "origin", "resize", "variant", "config"]),
    ("outbox", &["origin", "variant", "config"]),
    ("resize", &["config"]),
    ("cache", &["config"]),
    ("origin", &["variant", "config"]),
    ("variant", &["config"]),
    ("config", &[]),
    ("observability", &["config"]),
    ("support", &[]),
];

#[test]
fn a_module_names_only_layers_below_it() {
    for source in sources("src") {
        let Some((_, below)) = LAYERS.iter().find(|(layer, _)| *layer == source.top()) else {
            let is_root = source.module.is_empty() || matches!(source.top(), "allocator" | "tuning");
            assert!(is_root, "{} is in no layer: add it to LAYERS", source.path.display());
            continue;
        };
        for named in source.after("crate").into_iter().chain(source.after("resized")) {
            let is_open = matches!(named, "observability" | "support" | "tuning") || named == source.top();
            let is_item = named.starts_with(char::is_uppercase);
            assert!(is_open || is_item || below.contains(&named), "{} names {named}", source.path.display());
        }
    }
}

/// Crates, and the modules that may name them.
const CRATES: &[(&[&str], &[&str])] = &[
    (
        &[
            "aws_sdk_s3",
            "aws_config",
            "aws_sigv4",
            "aws_smithy_checksums",
            "aws_smithy_types",
            "aws_smithy_runtime_api",
        ],
        &["origin"],
    ),
    (&["hyper", "hyper_util", "hyper_rustls"], &["server", "proxy", "admin", "support::https"]),
    (&["h2"], &["server::http2"]),
    (&["moka"], &["cache"]),
    (&["prometheus_client"], &["observability::metrics"]),
    (&["opentelemetry", "opentelemetry_sdk", "opentelemetry_proto", "prost"], &["observability::traces"]),
    (&["rav1d", "seccompiler"], &["resize::sandbox"]),
];

#[test]
fn only_the_named_modules_use_a_crate() {
    for source in sources("src") {
        for (crates, modules) in CRATES {
            for name in *crates {
                let may = modules.iter().any(|module| source.is_in(module));
                assert!(may || !source.names(name), "{} names {name}", source.path.display());
            }
        }
    }
}

/// The option types of `pixels` that `config` and `variant` may name.
const OPTION_TYPES: &[&str] = &[
    "Codec",
    "Codecs",
    "AvifDepth",
    "ColorPolicy",
    "Encoding",
    "Format",
    "Geometry",
    "Incomplete",
    "JpegEffort",
    "PngEffort",
    "Quality",
    "Region",
    "WebpEffort",
];

#[test]
fn only_the_resize_service_calls_pixels() {
    for source in sources("src") {
        if source.is_in("resize") || source.is_in("cli::resize") {
            continue;
        }
        for name in source.after("pixels") {
            let may = (source.is_in("config") || source.is_in("variant")) && OPTION_TYPES.contains(&name);
            assert!(may, "{} names pixels::{name}", source.path.display());
        }
    }
}

#[test]
fn headers_are_read_on_threads_of_lower_priority() {
    for source in sources("src").iter().filter(|source| !source.is_in("resize::header") && !source.is_in("cli")) {
        assert!(!source.code.contains("Header::read("), "{} reads a header", source.path.display());
    }
}

#[test]
fn blocking_work_runs_on_threads_of_lower_priority() {
    for source in sources("src").iter().filter(|source| !source.is_in("support::priority")) {
        assert!(!source.code.contains("spawn_blocking"), "{} names spawn_blocking", source.path.display());
    }
}

#[test]
fn only_the_clients_of_configured_hosts_connect() {
    // A command connects to the node that its arguments name. A socket pair leads to the sandboxed process.
    let connecting = ["src/support/https.rs", "src/cli/health.rs", "src/resize/sandbox.rs"];
    let sending = [
        "src/support/https.rs",
        "src/origin/s3",
        "src/outbox/client.rs",
        "src/observability/traces/collector.rs",
        "src/cli/purge",
    ];
    let connectors =
        ["TcpStream::connect", "UdpSocket", "UnixStream", "hyper_rustls", "hyper_util::client", "lookup_host"];
    for source in sources("src") {
        let path = source.path.to_str().unwrap();
        let found: Vec<_> = connectors.into_iter().filter(|name| source.code.contains(name)).collect();
        assert!(found.is_empty() || connecting.contains(&path), "{path} connects: {found:?}");
        let sends = source.code.contains("https::Client");
        assert!(!sends || sending.iter().any(|sender| path.starts_with(sender)), "{path} sends requests");
    }
}

#[test]
fn only_one_module_prints() {
    // `println!` panics if standard output is closed.
    for source in sources("src").iter().filter(|source| !source.is_in("cli::print")) {
        for name in ["println!", "print!", "dbg!", "io::stderr().write", "io::stdout().write"] {
            assert!(!source.code.contains(name), "{} names {name}", source.path.display());
        }
    }
}

/// The crates in `crates/`, each with the workspace crates on which it may depend.
const CRATE_LAYERS: &[(&str, &[&str])] = &[
    ("pixels", &["av1-still", "jpeg-planes", "vp8-planes", "vp8l", "planes"]),
    ("av1-still", &[]),
    ("jpeg-planes", &["planes"]),
    ("vp8-planes", &["planes"]),
    ("vp8l", &["planes"]),
    ("planes", &[]),
];

/// Crates on which no crate below the proxy may depend.
const SERVER_CRATES: &[&str] =
    &["tokio", "hyper", "http", "tracing", "prometheus-client", "opentelemetry", "aws-sdk-s3"];

#[test]
fn pixel_crates_know_no_server() {
    let folders = crate_folders();
    assert_eq!(folders.len(), CRATE_LAYERS.len(), "{folders:?}");
    for (name, below) in CRATE_LAYERS {
        let manifest = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for dependency in dependencies.keys().map(String::as_str) {
            assert!(!SERVER_CRATES.contains(&dependency), "{name} depends on {dependency}");
            let is_ours = CRATE_LAYERS.iter().any(|(ours, _)| *ours == dependency) || dependency.starts_with("resized");
            assert!(!is_ours || below.contains(&dependency), "{name} depends on {dependency}");
        }
    }
}
