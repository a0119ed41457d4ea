//! Checks that need more than the type of a value: bounds, and settings that contradict each other.

use std::time::Duration;

use pixels::Codec;

use super::memory::{MemoryError, MemoryPlan};
use super::sections::{signing, traces, upload};
use crate::config::error::{InvalidSetting, refuse};
use crate::config::secret::TOKEN_BYTES_MAX;
use crate::config::sections::answers::Mode;
use crate::config::settings::Config;
use crate::support::https::has_user_info;

const LEASE_TIME_MIN: Duration = Duration::from_millis(100);
const REVALIDATE_TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// Returns the first invalid value.
pub(super) fn check(config: &Config) -> Result<(), InvalidSetting> {
    let formats = &config.formats;
    if formats.png_colors == 1 || formats.png_colors > 256 {
        return refuse("formats.png_colors", "must be 2 to 256, or 0 for all colors");
    }
    if formats.svg && !Codec::Svg.is_built_in() {
        return refuse("formats.svg", "needs a build with the cargo feature svg-originals");
    }
    if config.answers.mode == Mode::Redirect && config.variants.public_url.is_empty() {
        return refuse(
            "variants.public_url",
            "is required by answers.mode = \"redirect\": set the public URL of the variants' bucket",
        );
    }
    if config.answers.mode == Mode::Redirect {
        check_redirects(config)?;
    }
    if config.server.tls.is_on() == config.server.tls.key.as_os_str().is_empty() {
        return refuse("server.tls", "needs both certificate and key, or neither of them");
    }
    if !config.server.tls.is_on() && !config.server.tls.client_authorities.as_os_str().is_empty() {
        return refuse(
            "server.tls.client_authorities",
            "needs certificate and key: clients present certificates over HTTPS only",
        );
    }
    if config.server.proxy_protocol && config.server.trusted_proxies.is_empty() {
        return refuse(
            "server.trusted_proxies",
            "is required by server.proxy_protocol: list the networks of the proxies",
        );
    }
    if config.cache.revalidate_timeout < REVALIDATE_TIMEOUT_MIN {
        return refuse("cache.revalidate_timeout", "must be at least 10ms: no store answers faster");
    }
    if config.fleet.lease_time < LEASE_TIME_MIN {
        return refuse("fleet.lease_time", "must be at least 100ms: leases are renewed every quarter of it");
    }
    if config.work.download_memory.set().is_some_and(|memory| memory < config.limits.original_bytes) {
        return refuse(
            "work.download_memory",
            "must be at least limits.original_bytes, or the largest originals cannot be downloaded",
        );
    }
    if config.admin.token.reveal().len() > TOKEN_BYTES_MAX {
        return refuse("admin.token", &format!("is longer than {TOKEN_BYTES_MAX} bytes"));
    }
    if config.admin.listen.is_some_and(|listen| !listen.ip().is_loopback()) && config.admin.token.is_empty() {
        return refuse(
            "admin.token",
            "is required because admin.listen is not a loopback address: set RESIZED_ADMIN__TOKEN to a long random text",
        );
    }
    MemoryPlan::new(config).map_err(|MemoryError { key, problem }| InvalidSetting { key, problem })?;
    check_user_info(config)?;
    signing::check(&config.signing)?;
    traces::check(&config.traces)?;
    if config.upload.enabled {
        upload::check(&config.upload)?;
        check_uploads(config)?;
    }
    Ok(())
}

/// Checks the settings of other sections that uploads need.
fn check_uploads(config: &Config) -> Result<(), InvalidSetting> {
    let Config { upload, notify, .. } = config;
    if upload.base_url.is_empty() && config.originals.public_url.is_empty() {
        return refuse(
            "upload.base_url",
            "is required if uploads are enabled: set the URL under which clients reach this server",
        );
    }
    if upload.bytes > config.limits.original_bytes {
        return refuse("upload.bytes", "must be at most limits.original_bytes: larger originals cannot be resized");
    }
    if !notify.url.is_empty() && notify.secret.is_empty() && notify.secret_file.as_os_str().is_empty() {
        return refuse("notify.secret", "is required by notify.url: set RESIZED_NOTIFY__SECRET, or notify.secret_file");
    }
    Ok(())
}

/// Refuses passwords in URLs, because URLs are displayed, logged and sent to clients.
fn check_user_info(config: &Config) -> Result<(), InvalidSetting> {
    let urls = [
        ("s3.endpoint", &config.s3.endpoint),
        ("upload.presigned_endpoint", &config.upload.presigned_endpoint),
        ("originals.public_url", &config.originals.public_url),
        ("variants.public_url", &config.variants.public_url),
    ];
    match urls.into_iter().find(|(_, url)| has_user_info(url)) {
        Some((key, _)) => {
            refuse(key, "must not contain a user name or password: credentials come from the AWS environment")
        }
        None => Ok(()),
    }
}

/// Refuses redirects that would lead back to this server.
fn check_redirects(config: &Config) -> Result<(), InvalidSetting> {
    let targets =
        [("variants.public_url", &config.variants.public_url), ("originals.public_url", &config.originals.public_url)];
    let own = [
        format!("http://{}", config.server.listen),
        format!("https://{}", config.server.listen),
        format!("http://localhost:{}", config.server.listen.port()),
        format!("https://localhost:{}", config.server.listen.port()),
        config.server.public_url.trim_end_matches('/').to_owned(),
    ];
    let below = |url: &str, own: &str| {
        let url = url.to_ascii_lowercase();
        let rest = url.strip_prefix(&own.to_ascii_lowercase()).unwrap_or("no");
        !own.is_empty() && (rest.is_empty() || rest.starts_with('/'))
    };
    for (key, url) in targets {
        if own.iter().any(|own| below(url, own)) {
            return refuse(
                key,
                "is a URL of this server, so redirects would lead back to it: set the public URL of the bucket",
            );
        }
    }
    Ok(())
}
