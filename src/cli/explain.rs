//! `resized explain`: explains a path, and looks up its original and variant.

use std::process::ExitCode;

use clap::Args;
use resized::app::Stores;
use resized::config::StoreAddress;
use resized::observability::metrics::Metrics;
use resized::origin::ObjectMeta;
use resized::proxy::{ExplainedVariant, Explainer, Explanation, LateVariant, ObjectStatus};
use tokio::runtime::Runtime;

use super::args::sizes::url_path;
use super::{Settings, print};

/// Explain a path and look up its objects
///
/// Prints the original and the size that the path names, the canonical path, the key of the variant, whether both objects are
/// stored, and the response to a request. Does not make or store anything.
///
/// Exit status 1 if the response to one of the paths would not be a picture.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Paths or URLs, with their signature if they have one
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let stores = Stores::open(&settings.config, &Metrics::new()).await?;
        let explainer = Explainer::new(&settings.config, stores.originals, stores.variants)?;
        let mut exit_code = ExitCode::SUCCESS;
        for url in &arguments.urls {
            let path = url_path(url);
            print::line(&path);
            let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
            let target = if query.is_empty() { path } else { format!("{path}?{query}") };
            let response = match explainer.explain(&target).await {
                Explanation::Invalid(reason) => Err(format!("400: {reason}")),
                Explanation::Original { key, object, hint, forbidden, refused } => {
                    line("meaning", "an unmodified original");
                    hint.iter().for_each(|hint| line("", hint));
                    line("original", &describe(&settings.config.originals.store, key.as_str(), &object));
                    forbidden
                        .map_or_else(|| original_response(&object, refused), |reason| Err(format!("403: {reason}")))
                }
                Explanation::Variant(variant) => explain_variant(&variant, settings),
            };
            match response {
                Ok(response) => line("response", &response),
                Err(response) => {
                    line("response", &response);
                    exit_code = ExitCode::FAILURE;
                }
            }
        }
        anyhow::Ok(exit_code)
    })
}

fn explain_variant(explained: &ExplainedVariant, settings: &Settings) -> Result<String, String> {
    let (variant, config) = (&explained.variant, &settings.config);
    let quality = variant.encoding.quality().map_or(String::new(), |quality| format!(" at quality {}", quality.get()));
    let format = variant.encoding.format().extension();
    line("meaning", &format!("{} of {} as {format}{quality}", variant.geometry, variant.original));
    if !explained.negotiable.is_empty() {
        line("", &format!("or as {}, depending on the Accept header", explained.negotiable.join(", ")));
    }
    line("canonical", &explained.canonical_path);
    line("original", &describe(&config.originals.store, variant.original.as_str(), &explained.original));
    if let Some((literal, seen)) = &explained.literal {
        line("fallback", &describe(&config.originals.store, literal.as_str(), seen));
    }
    line("variant", &describe(&config.variants.store, explained.key.as_str(), &explained.stored));
    explained.later.iter().for_each(|later| explain_later(later, settings));
    if let Some(reason) = &explained.access.forbidden {
        return Err(format!("403: {reason}"));
    }
    if let Some(path) = &explained.access.redirected_to {
        return Ok(format!("301 to {path}, the nearest size that [sizes] allows"));
    }
    if let Some(reason) = &explained.access.size_not_allowed {
        return Err(format!("404: {reason} ([sizes])"));
    }
    match (&explained.original, &explained.stored, &explained.literal) {
        (Err(reason), ..) => Err(format!("502 or 504: {reason}")),
        (Ok(None), _, Some((_, literal @ Ok(Some(_))))) => original_response(literal, None),
        (Ok(None), ..) => Err(format!("404: there is no original {}", variant.original)),
        (Ok(Some(_)), Ok(Some(_)), _) if explained.is_current => Ok("the stored variant".to_owned()),
        (Ok(Some(_)), ..) if explained.refused.is_some() => {
            Err(format!("422: {}", explained.refused.as_deref().unwrap_or_default()))
        }
        (Ok(Some(_)), Ok(Some(_)), _) => {
            Ok("made again, because the stored variant is of an older original".to_owned())
        }
        (Ok(Some(_)), Ok(None), _) => Ok("made and stored".to_owned()),
        (Ok(Some(_)), Err(reason), _) => Ok(format!("made but not stored: {reason}")),
    }
}

/// Prints which format a client gets that accepts the one that is made later.
fn explain_later(later: &LateVariant, settings: &Settings) {
    line("later", &describe(&settings.config.variants.store, later.key.as_str(), &later.stored));
    let format = later.format.extension();
    line(
        "",
        &match (later.is_current, later.not_smaller_than) {
            (false, _) => {
                format!("clients that accept {format} get another format until it is made (formats.avif_later)")
            }
            (true, None) => format!("clients that accept {format} get it"),
            (true, Some(other)) => {
                let other = other.extension();
                format!("it is not smaller than the {other}, so clients that accept both get {other}")
            }
        },
    );
}

fn original_response(object: &ObjectStatus, refused: Option<String>) -> Result<String, String> {
    match (object, refused) {
        (_, Some(reason)) => Err(format!("404: {reason}")),
        (Err(reason), None) => Err(format!("502 or 504: {reason}")),
        (Ok(None), None) => Err("404: there is no such object".to_owned()),
        (Ok(Some(_)), None) => Ok("the unmodified object".to_owned()),
    }
}

fn line(subject: &str, text: &str) {
    print::line(format_args!("  {subject:<10} {text}"));
}

fn describe(store: &StoreAddress, key: &str, seen: &ObjectStatus) -> String {
    let seen = match seen {
        Ok(Some(ObjectMeta { bytes, etag, last_modified, .. })) => {
            format!("exists: {bytes} bytes, ETag {etag}, {}", humantime::format_rfc3339_seconds(*last_modified))
        }
        Ok(None) => "does not exist".to_owned(),
        Err(reason) => format!("cannot be looked up: {reason}"),
    };
    format!("{}/{key} {seen}", store.to_string().trim_end_matches('/'))
}
