//! The credentials of requests to S3: the sources of the AWS SDK, which are read again when they change.
//!
//! The SDK reads the files of `~/.aws` once and keeps credentials without an expiry for as long as it runs. This cache
//! builds the SDK's chain of sources anew when one of the files changes, when the store rejects the credentials, and
//! after the chain has failed. Credentials that expire are requested again in time.

use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::config::{ConfigBag, Credentials, ResolveCachedIdentity, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext};
use aws_smithy_runtime_api::client::identity::{Identity, IdentityFuture, ResolveIdentity, SharedIdentityResolver};

use super::client::sdk_defaults;
use super::http_client::SdkHttpClient;
use crate::config;
use crate::origin::error::CredentialsError;
use crate::support::priority;

/// Pause between two checks of the files.
const FILES_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two reloads after rejections, so that wrong credentials do not double the number of requests.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// Time for which a failure to load credentials is returned again.
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// Limit for loading credentials, as in the SDK.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Credentials without an expiry are loaded again after this time, as in the SDK.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Credentials are loaded again this long before they expire.
const EXPIRY_BUFFER: Duration = Duration::from_secs(10);

/// A cache of credentials. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct CredentialCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: config::S3,
    http: SdkHttpClient,
    watched: Vec<PathBuf>,
    loaded: tokio::sync::Mutex<Loaded>,
    rejection: Mutex<Rejection>,
}

#[derive(Debug, Default)]
struct Loaded {
    /// The chain of sources; `None` is the chain that the client was built with.
    chain: Option<SharedIdentityResolver>,
    /// The versions of the files at the last check; `None` before the first one.
    files: Option<(Instant, Vec<Option<FileVersion>>)>,
    current: Option<(Identity, Instant)>,
    /// True if the chain must be built anew, because a file has changed, the store rejected the credentials, or the last
    /// attempt failed.
    is_stale: bool,
    failure: Option<(CredentialsError, Instant)>,
}

/// Identifies the content of a file. A file that is replaced has another inode.
#[derive(Debug, PartialEq, Eq)]
struct FileVersion {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// The last rejection by the store.
#[derive(Debug, Default)]
struct Rejection {
    /// The access key in use.
    access_key: String,
    /// True until the chain is built anew.
    is_pending: bool,
    last: Option<Instant>,
}

impl Loaded {
    /// The last credentials, unless they have expired.
    fn unexpired(&self) -> Option<Identity> {
        let (identity, _) = self.current.as_ref()?;
        identity.expiration().is_none_or(|expiry| SystemTime::now() < expiry).then(|| identity.clone())
    }
}

impl CredentialCache {
    pub(super) fn new(settings: &config::S3) -> Self {
        Self(Arc::new(Shared {
            settings: settings.clone(),
            http: SdkHttpClient::default(),
            watched: watched_files(),
            loaded: tokio::sync::Mutex::default(),
            rejection: Mutex::default(),
        }))
    }

    /// The client for requests to the sources of credentials, and to S3.
    pub(super) fn http(&self) -> SdkHttpClient {
        self.0.http.clone()
    }

    /// Records that the store rejected credentials. True if the next request will have others, or if they will be
    /// loaded again before it.
    pub(super) fn reject(&self, access_key: &str) -> bool {
        let mut rejection = self.rejection();
        if rejection.access_key != access_key || rejection.is_pending {
            return true;
        }
        if rejection.last.is_some_and(|last| last.elapsed() < RELOAD_INTERVAL) {
            return false;
        }
        tracing::warn!("the store rejected the credentials; loading them again");
        (rejection.is_pending, rejection.last) = (true, Some(Instant::now()));
        true
    }

    async fn current(
        &self,
        initial: SharedIdentityResolver,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<Identity, CredentialsError> {
        let mut loaded = self.0.loaded.lock().await;
        let are_files_changed = self.check_files(&mut loaded).await;
        if std::mem::take(&mut self.rejection().is_pending) || are_files_changed {
            (loaded.is_stale, loaded.failure) = (true, None);
        }
        if let Some((identity, at)) = &loaded.current
            && !loaded.is_stale
            && is_fresh(identity, *at)
        {
            return Ok(identity.clone());
        }
        if let Some((error, at)) = &loaded.failure
            && at.elapsed() < FAILURE_TTL
        {
            return loaded.unexpired().ok_or_else(|| error.clone());
        }
        if loaded.is_stale {
            loaded.chain = self.chain().await;
        }
        let chain = loaded.chain.clone().unwrap_or(initial);
        let identity = tokio::time::timeout(LOAD_TIMEOUT, chain.resolve_identity(components, config)).await;
        match identity.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(identity) => {
                self.rejection().access_key = access_key(&identity).unwrap_or_default().to_owned();
                loaded.current = Some((identity.clone(), Instant::now()));
                (loaded.is_stale, loaded.failure) = (false, None);
                Ok(identity)
            }
            Err(error) => {
                let error = credentials_error(&error);
                (loaded.is_stale, loaded.failure) = (true, Some((error.clone(), Instant::now())));
                loaded.unexpired().ok_or(error)
            }
        }
    }

    /// True if a file has changed since the last check.
    async fn check_files(&self, loaded: &mut Loaded) -> bool {
        if loaded.files.as_ref().is_some_and(|(at, _)| at.elapsed() < FILES_INTERVAL) {
            return false;
        }
        let watched = self.0.watched.clone();
        let Ok(versions) =
            priority::blocking(move || watched.iter().map(|path| file_version(path)).collect::<Vec<_>>()).await
        else {
            return false;
        };
        let previous = loaded.files.replace((Instant::now(), versions));
        let is_changed = previous
            .is_some_and(|(_, previous)| loaded.files.as_ref().is_some_and(|(_, versions)| *versions != previous));
        if is_changed {
            tracing::info!("the files of the credentials have changed; loading them again");
        }
        is_changed
    }

    /// The SDK's chain of sources, built from the current environment and files.
    async fn chain(&self) -> Option<SharedIdentityResolver> {
        let Shared { settings, http, .. } = &*self.0;
        let sdk = Box::pin(sdk_defaults(settings, http.clone()).load()).await;
        sdk.credentials_provider().map(SharedIdentityResolver::new)
    }

    /// Ignores poisoning: the fields are consistent at every unlock.
    fn rejection(&self) -> MutexGuard<'_, Rejection> {
        self.0.rejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolveCachedIdentity for CredentialCache {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move { Ok(self.current(resolver, components, config).await?) })
    }
}

/// The access key of credentials.
pub(super) fn access_key(identity: &Identity) -> Option<&str> {
    identity.data::<Credentials>().map(Credentials::access_key_id)
}

/// The error of loading credentials among the causes of `error`.
pub(super) fn find_credentials_error(error: &(dyn Error + 'static)) -> Option<CredentialsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            return Some(found.clone());
        }
        cause = error.source();
    }
    None
}

fn is_fresh(identity: &Identity, loaded_at: Instant) -> bool {
    match identity.expiration() {
        Some(expiry) => SystemTime::now() + EXPIRY_BUFFER < expiry,
        None => loaded_at.elapsed() < DEFAULT_LIFETIME,
    }
}

fn credentials_error(error: &BoxError) -> CredentialsError {
    let reason = DisplayErrorContext(&**error).to_string();
    // The SDK names a missing cargo feature only in the text of its error.
    let needs_sso = reason.contains("cargo feature(s) enabled: sso");
    CredentialsError { reason, missing_feature: needs_sso.then_some("aws-sso") }
}

/// The files that contain credentials or name their sources (AWS SDKs and Tools Reference Guide, "Location of the shared
/// config and credentials files").
fn watched_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_home = |name: &str| std::env::home_dir().map(|home| home.join(".aws").join(name));
    let files = [
        variable("AWS_CONFIG_FILE").or_else(|| in_home("config")),
        variable("AWS_SHARED_CREDENTIALS_FILE").or_else(|| in_home("credentials")),
        variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
    ];
    files.into_iter().flatten().collect()
}

fn file_version(path: &Path) -> Option<FileVersion> {
    let stat = std::fs::metadata(path).ok()?;
    Some(FileVersion { modified: stat.modified().ok(), bytes: stat.len(), inode: stat.ino() })
}
