//! The file, the defaults and what is refused.

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};

use super::*;

fn load(toml: &str) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    Config::load(Some(file.path()))
}

#[test]
fn the_committed_file_is_the_defaults_and_names_every_key() {
    let text = include_str!("../../config.toml");
    assert_eq!(load(text).unwrap(), Config::default());
    let file: Figment = Figment::from(Toml::string(text));
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let (file, defaults): (figment::value::Dict, figment::value::Dict) =
        (file.extract().unwrap(), defaults.extract().unwrap());
    for (section, keys) in defaults {
        let keys: Vec<_> = keys.as_dict().unwrap().keys().cloned().collect();
        let written: Vec<_> = file[&section].as_dict().unwrap().keys().cloned().collect();
        assert_eq!(written, keys, "[{section}]");
    }
}

#[test]
fn a_key_that_is_not_there_is_an_error_that_names_it_and_the_nearest() {
    let table = [
        ("[cache]\nmemori = \"1GiB\"", "cache.memori", "cache.memory (RESIZED_CACHE__MEMORY)"),
        ("[cahce]\n", "cahce", "did you mean cache "),
        ("[server.tls]\ncertifcate = \"a\"", "server.tls.certifcate", "server.tls.certificate "),
        ("[server]\nmemory = 1", "server.memory", "cache.memory "),
        ("cache_memory = 1", "cache_memory", "cache.memory "),
        ("[[upload.tokens]]\nname = \"a\"\nsha265 = \"b\"", "upload.tokens.0.sha265", "upload.tokens.0.sha256?"),
        ("[cache]\nxyz = 1", "cache.xyz", "config.toml, the manual"),
    ];
    for (toml, key, advice) in table {
        let error = load(toml).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key} in ")) && error.contains(advice), "{toml}: {error}");
    }
}

#[test]
fn the_committed_file_names_what_needs_a_restart() {
    let (head, _) = include_str!("../../config.toml").split_once("\n[server]\n").unwrap();
    let (_, list) = head.split_once("waits for a restart:").unwrap();
    let list = list.split_once("\n# What").unwrap().0.replace(['#', ' ', '\n'], "");
    assert_eq!(list.split(',').collect::<Vec<_>>(), FIXED);
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    FIXED.iter().for_each(|key| drop(defaults.find_value(key).expect(key)));
}

#[test]
fn the_command_line_wins_and_says_so() {
    let mut typed = Typed::default();
    typed.text("originals.store", "file:typed");
    typed.value("server.threads", "3");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nthreads = 2\n[cache]\nmemory = \"1MiB\"").unwrap();
    let layers = Layers::find(Some(file.path()), typed).unwrap();
    let config = layers.config().unwrap();
    assert_eq!((config.server.threads, config.originals.store.as_str()), (3, "file:typed"));
    assert_eq!(layers.origin("server.threads"), Origin::CommandLine);
    assert_eq!(layers.origin("cache.memory"), Origin::File(file.path().to_owned()));
    assert_eq!(layers.origin("cache.failures"), Origin::Default);
    let mut typed = Typed::default();
    typed.text("upload.token", "hush");
    let error = Layers::find(None, typed).unwrap_err().to_string();
    assert!(error.contains("RESIZED_UPLOAD__TOKEN") && !error.contains("hush"), "{error}");
}

#[test]
fn values_that_cannot_be_used_are_errors_that_name_their_key() {
    let table = [
        ("[formats]\njpeg_quality = 0", "formats.jpeg_quality"),
        ("[formats]\nwebp_quality = 101", "formats.webp_quality"),
        ("[formats]\navif_quality = 0", "formats.avif_quality"),
        ("[formats]\npng_colours = 257", "formats.png_colours"),
        ("[answers]\nmode = \"redirect\"", "variants.public_url"),
        ("[answers]\nredirect_status = 303", "answers.redirect_status"),
        ("[server]\nproxy_protocol = true", "server.trusted_proxies"),
        ("[server]\ntrusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies"),
        ("[server.tls]\ncertificate = \"cert.pem\"", "server.tls"),
        ("[server.tls]\nkey = \"key.pem\"", "server.tls"),
        ("[server.tls]\nclient_authorities = \"ca.pem\"", "server.tls.client_authorities"),
        ("[limits]\noriginal_bytes = \"1GiB\"", "work.download_memory"),
        ("[server]\nconnections = 0", "connections"),
        ("[server]\nidle_timeout = \"soon\"", "idle_timeout"),
        ("[fleet]\nlease_time = \"0s\"", "fleet.lease_time"),
        ("[limits]\nmax_side = 70000", "max_side"),
        ("[cache]\nmemory = \"many\"", "memory"),
        ("[admin]\nlisten = \"0.0.0.0:8081\"", "admin.token"),
        ("[admin]\nlisten = \"nowhere\"", "listen"),
        ("[signing]\nrequire = \"all\"", "signing.keys"),
        ("[traces]\nsample = 1.5", "traces.sample"),
        ("[traces]\nsample = -0.1", "traces.sample"),
        ("[traces]\nsample = nan", "traces.sample"),
        ("[traces]\nbatch = 3000", "traces.batch"),
        ("[traces]\ntimeout = \"0s\"", "traces.timeout"),
        ("[traces]\nqueue = 0", "queue"),
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
fn the_admin_listener_can_be_left_out() {
    assert_eq!(load("[admin]\nlisten = \"\"").unwrap().admin.listen, None);
}

#[test]
fn a_secret_is_never_shown() {
    let config = load("[admin]\ntoken = \"hush-hush\"").unwrap();
    assert!(config.admin.token.is(b"hush-hush") && !config.admin.token.is(b"hush"));
    assert!(!format!("{config:?}").contains("hush"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hush"));
}

#[test]
fn headers_of_traces_are_names_and_values_as_opentelemetry_writes_them() {
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
fn redirects_that_would_come_back_here_are_refused() {
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
