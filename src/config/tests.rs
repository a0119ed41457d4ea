//! Tests of the layers, the defaults and the checks.

use bytesize::ByteSize;
use toml::Table;

use super::layers::keys::{self, DEFAULTS};
use super::*;

fn load(toml: &str) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    Config::load(Some(file.path()))
}

#[test]
fn config_toml_contains_every_key_with_its_default() {
    let text = include_str!("../../config.toml");
    // The file has the defaults of release binaries, which do not decode HEIC.
    let mut defaults = Config::default();
    defaults.formats.originals =
        defaults.formats.originals.iter().filter(|codec| *codec != pixels::Codec::Heic).collect();
    assert_eq!(load(text).unwrap(), defaults);
    let file: Table = text.parse().unwrap();
    for (section, keys) in &*DEFAULTS {
        let Some(keys) = keys.as_table() else {
            assert!(file.contains_key(section), "{section}");
            continue;
        };
        let keys: Vec<_> = keys.keys().cloned().collect();
        let written: Vec<_> = file[section].as_table().unwrap().keys().cloned().collect();
        assert_eq!(written, keys, "[{section}]");
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_key() {
    let table = [
        ("[cache]\nmemori = \"1GiB\"", "cache.memori", "cache.memory (RESIZED_CACHE__MEMORY)"),
        ("[cahce]\n", "cahce", "did you mean cache "),
        ("[server.tls]\ncertifcate = \"a\"", "server.tls.certifcate", "server.tls.certificate "),
        ("[server]\nmemory = 1", "server.memory", "cache.memory "),
        ("cache_memory = 1", "cache_memory", "cache.memory "),
        ("[[upload.tokens]]\nname = \"a\"\nsha265 = \"b\"", "upload.tokens.0.sha265", "upload.tokens.0.sha256?"),
        ("[rates]\nvariants_per_client = 9", "rates.variants_per_client", "rates.cpu_per_client "),
        ("[rates]\nvariants_per_original = 9", "rates.variants_per_original", "rates.cpu_per_original "),
        ("[formats]\navif_originals = false", "formats.avif_originals", "did you mean formats.originals "),
        ("[cache]\nxyz = 1", "cache.xyz", "config.toml in the repository"),
    ];
    for (toml, key, advice) in table {
        let error = load(toml).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key} in ")) && error.contains(advice), "{toml}: {error}");
    }
}

#[test]
fn config_toml_lists_the_keys_that_need_a_restart() {
    let (head, _) = include_str!("../../config.toml").split_once("\n[server]\n").unwrap();
    let (_, list) = head.split_once("takes effect at a restart:").unwrap();
    let list = list.split_once("\n# A reload").unwrap().0.replace(['#', ' ', '\n'], "");
    assert_eq!(list.split(',').collect::<Vec<_>>(), RESTART_REQUIRED);
    RESTART_REQUIRED.iter().for_each(|key| assert!(keys::get(&DEFAULTS, key).is_some(), "{key}"));
}

#[test]
fn the_command_line_overrides_the_file_and_sources_are_tracked() {
    let mut overrides = CliOverrides::default();
    overrides.set("originals.store", "file:typed");
    overrides.set("server.threads", "3");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nthreads = 2\n[cache]\nmemory = \"1MiB\"").unwrap();
    let layers = Layers::load(Some(file.path()), &overrides).unwrap();
    let config = layers.config().unwrap();
    assert_eq!((config.server.threads, config.originals.store.to_string()), (3, "file:typed".to_owned()));
    assert_eq!(layers.source("server.threads"), ValueSource::CommandLine);
    assert_eq!(layers.source("cache.memory"), ValueSource::File { path: file.path().to_owned(), line: Some(4) });
    assert_eq!(layers.source("cache.failures"), ValueSource::Default);
    let mut overrides = CliOverrides::default();
    overrides.set("upload.token", "hush");
    let error = Layers::load(None, &overrides).unwrap_err().to_string();
    assert!(error.contains("RESIZED_UPLOAD__TOKEN") && !error.contains("hush"), "{error}");
}

#[test]
fn invalid_values_are_refused_with_their_key() {
    let table = [
        ("[formats]\njpeg_quality = 0", "formats.jpeg_quality"),
        ("[formats]\nwebp_quality = 101", "formats.webp_quality"),
        ("[formats]\navif_quality = 0", "formats.avif_quality"),
        ("[formats]\nnegotiate = [\"heic\"]", "formats.negotiate"),
        ("[formats]\nnegotiate = [\"jpg\", \"jpeg\"]", "formats.negotiate"),
        ("[formats]\npng_colors = 257", "formats.png_colors"),
        ("[answers]\nmode = \"redirect\"", "variants.public_url"),
        ("[answers]\nredirect_status = 303", "answers.redirect_status"),
        ("[answers]\ncache_control = \"two\\nlines\"", "answers.cache_control"),
        ("[answers.headers]\ncontent-length = \"7\"", "answers.headers"),
        ("[answers.headers]\nETag = \"7\"", "answers.headers"),
        ("[answers.headers]\n\"no header\" = \"7\"", "answers.headers"),
        ("[server]\nproxy_protocol = true", "server.trusted_proxies"),
        ("[server]\ntrusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies"),
        ("[server.tls]\ncertificate = \"cert.pem\"", "server.tls"),
        ("[server.tls]\nkey = \"key.pem\"", "server.tls"),
        ("[server.tls]\nclient_authorities = \"ca.pem\"", "server.tls.client_authorities"),
        ("[limits]\noriginal_bytes = \"1GiB\"", "memory: must be at least"),
        ("[limits]\noriginal_bytes = \"33MiB\"\n[work]\ndownload_memory = \"32MiB\"", "work.download_memory"),
        ("memory = \"100MiB\"", "memory in "),
        ("[work]\npixel_memory = \"2GiB\"", "memory: must be at least"),
        ("[server]\nconnections = 1000000", "server.connections in "),
        ("[server]\nconnections = 0", "connections"),
        ("[server]\nidle_timeout = \"soon\"", "idle_timeout"),
        ("[fleet]\nlease_time = \"0s\"", "fleet.lease_time"),
        ("[cache]\nrevalidate_timeout = \"0s\"", "cache.revalidate_timeout"),
        ("[limits]\nmax_side = 70000", "max_side"),
        ("[cache]\nmemory = \"many\"", "memory"),
        ("[admin]\nlisten = \"0.0.0.0:8081\"", "admin.token"),
        ("[admin]\nlisten = \"nowhere\"", "listen"),
        ("[signing]\nrequire = \"all\"", "signing.keys"),
        ("[traces]\nsample = 1.5", "traces.sample"),
        ("[traces]\nsample = -0.1", "traces.sample"),
        ("[traces]\nsample = nan", "traces.sample"),
        ("[traces]\nendpoint = \"127.0.0.1:4318\"", "traces.endpoint"),
        ("[traces]\nendpoint = \"grpc://127.0.0.1:4317/v1/traces\"", "traces.endpoint"),
        ("[traces]\nendpoint = \"http://127.0.0.1:4318\"", "/v1/traces"),
        ("[traces]\nendpoint = \"https://me:hush@127.0.0.1/v1/traces\"", "RESIZED_TRACES__HEADERS"),
        ("[traces]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"\nservice = \"\"", "traces.service"),
        ("[traces]\nheaders = \"authorization=Bearer hush\"", "RESIZED_TRACES__HEADERS"),
        ("[signing]\nkeys = \"0123456789abcdef0123456789abcdef\"", "RESIZED_SIGNING__KEYS"),
    ];
    for (toml, key) in table {
        let error = load(toml).unwrap_err().to_string();
        assert!(error.contains(key), "{toml}: {error}");
    }
}

#[test]
fn errors_name_the_place_and_the_expected_value() {
    let table = [
        ("[server]\n\nidle_timeout = \"soon\"", ", line 3: must be a time with its unit"),
        ("[server]\nconnections = 0", ", line 2: must be a whole number from 1, not 0"),
        ("[cache]\nmemory = \"many\"", ", line 2: must be a size in bytes"),
        ("[cache]\nmemory = true", ", line 2: must be a size in bytes"),
        ("[limits]\nmax_side = 70000", "must be a whole number from 1 to 65535, not 70000"),
        ("[answers]\nmode = \"strem\"", "must be one of \"stream\", \"redirect\", not \"strem\""),
        ("cache = 5", "cache in "),
        ("cache = 5", "line 1: must be a section"),
        ("[upload]\ntokens = [{ name = \"a\" }]", "upload.tokens.0.sha256 in "),
        ("[formats]\njpeg_quality = 0", ", line 2: must be a whole number from 1 to 100, not 0"),
        ("[cache\nmemory = 1", ", line 1: this is not TOML: "),
    ];
    for (toml, expected) in table {
        let error = load(toml).unwrap_err().to_string();
        assert!(error.contains(expected), "{toml}: {error}");
    }
    let error = load("[admin]\ntoken = 271828182").unwrap_err().to_string();
    assert!(error.contains("text in quotes") && !error.contains("271828182"), "{error}");
}

#[test]
fn text_from_the_command_line_is_read_as_the_type_of_its_key() {
    let config = |key: &str, text: &str| {
        let mut overrides = CliOverrides::default();
        overrides.set(key, text);
        Layers::load(None, &overrides)?.config()
    };
    assert_eq!(config("s3.region", "12").unwrap().s3.region, "12");
    assert_eq!(config("s3.region", "\"eu-1\"").unwrap().s3.region, "eu-1");
    assert_eq!(config("presets.small", "300x").unwrap().presets["small"], "300x");
    assert_eq!(config("formats.negotiate", "[\"webp\"]").unwrap().formats.negotiate, [pixels::Format::WebP]);
    assert_eq!(config("traces.sample", "1").unwrap().traces.sample, 1.0);
    assert_eq!(config("cache.memory", "0").unwrap().cache.memory, Auto::Set(ByteSize::b(0)));
    assert_eq!(config("cache.memory", "auto").unwrap().cache.memory, Auto::Computed);
    assert_eq!(config("server.connections", "50").unwrap().server.connections.set().unwrap().get(), 50);
    assert_eq!(config("memory", "2GiB").unwrap().memory, Memory(ByteSize::gib(2)));
    assert_eq!(config("admin.listen", "").unwrap().admin.listen, None);
    let error = config("server.threads", "many").unwrap_err().to_string();
    assert_eq!(error, "server.threads on the command line: must be a whole number from 0");
}

#[test]
fn the_admin_listener_can_be_disabled() {
    assert_eq!(load("[admin]\nlisten = \"\"").unwrap().admin.listen, None);
}

#[test]
fn secrets_are_masked() {
    let config = load("[admin]\ntoken = \"hush-hush\"").unwrap();
    assert!(config.admin.token.is(b"hush-hush") && !config.admin.token.is(b"hush"));
    assert!(!format!("{config:?}").contains("hush"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hush"));
}

#[test]
fn trace_headers_are_parsed_as_opentelemetry_specifies() {
    let headers = |text: &str| Traces { headers: text.into(), ..Traces::default() }.headers();
    let found = headers("Authorization=Basic%20aHVzaA==, x-tenant = a%2Cb ,").unwrap();
    assert_eq!(
        (&found["authorization"], &found["x-tenant"]),
        (&"Basic aHVzaA==".parse().unwrap(), &"a,b".parse().unwrap())
    );
    assert!(!format!("{found:?}").contains("aHVzaA"));
    assert_eq!(headers("").unwrap().len(), 0);
    for wrong in ["authorization", "a b=c", "=c", "a=%ff", "a=b%0ac"] {
        assert_eq!(headers(wrong), None, "{wrong}");
    }
}

#[test]
fn passwords_in_urls_are_refused_and_not_displayed() {
    for (text, key) in [
        ("[s3]\nendpoint = \"http://user:hush@127.0.0.1:9000\"", "s3.endpoint"),
        ("[upload]\npresigned_endpoint = \"https://user:hush@s3.example.com/\"", "upload.presigned_endpoint"),
        ("[originals]\npublic_url = \"https://hush@cdn.example.com\"", "originals.public_url"),
        ("[variants]\npublic_url = \"https://user:hush@cdn.example.com/v\"", "variants.public_url"),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.starts_with(key) && !error.contains("hush"), "{error}");
    }
    assert!(load("[variants]\npublic_url = \"https://cdn.example.com/v@2\"").is_ok());
}

#[test]
fn redirects_into_this_server_are_refused() {
    let load_with = |variants: &str| {
        load(&format!(
            "[server]\nlisten = \"127.0.0.1:8080\"\npublic_url = \"https://img.example.com/\"\n\
             [answers]\nmode = \"redirect\"\n[variants]\npublic_url = \"{variants}\""
        ))
    };
    for own in
        ["http://127.0.0.1:8080/v", "http://localhost:8080", "https://IMG.example.com", "https://img.example.com/v"]
    {
        let error = load_with(own).unwrap_err().to_string();
        assert!(error.contains("variants.public_url"), "{own}: {error}");
    }
    for other in ["http://127.0.0.1:80801/v", "https://img.example.com.cdn.example/v", "https://v.example.com"] {
        load_with(other).unwrap();
    }
}
