//! `resized explain`: what a path means, and what of it is there.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use resized::observability::metrics::Metrics;
use resized::origin::ObjectMeta;
use resized::proxy::{ExplainedVariant, Explanation, Proxy, Seen};
use resized::support::tasks::Tasks;
use tokio::runtime::Runtime;

use super::Settings;
use super::args::sizes::path_of;

/// Say what a path means, and whether it is there
///
/// For each: the original and the size it names, the canonical path, the key of the variant in its store, whether both
/// are stored, and what a request would get. Nothing is made and nothing written.
///
/// Exit status 1 if one of them would not be answered with a picture.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Paths, or whole URLs of which path and query are taken, with their signature if they have one
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let tasks = Tasks::new(runtime.handle().clone());
        let proxy = Proxy::open(&settings.config, tasks, Arc::new(Metrics::new())).await?;
        let mut end = ExitCode::SUCCESS;
        for url in &arguments.urls {
            let path = path_of(url);
            println!("{path}");
            let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
            let target = if query.is_empty() { path } else { format!("{path}?{query}") };
            let answer = match proxy.explain(&target).await {
                Explanation::Refused(reason) => Err(format!("400: {reason}")),
                Explanation::Original { key, object, hint, forbidden, refused } => {
                    line("names", "an original as it is");
                    hint.iter().for_each(|hint| line("", hint));
                    line("original", &place(&settings.config.originals.store.to_string(), key.as_str(), &object));
                    forbidden.map_or_else(|| original_answer(&object, refused), |reason| Err(format!("403: {reason}")))
                }
                Explanation::Variant(variant) => explain_variant(&variant, settings),
            };
            match answer {
                Ok(answer) => line("answer", &answer),
                Err(answer) => {
                    line("answer", &answer);
                    end = ExitCode::FAILURE;
                }
            }
        }
        anyhow::Ok(end)
    })
}

fn explain_variant(explained: &ExplainedVariant, settings: &Settings) -> Result<String, String> {
    let (variant, config) = (&explained.variant, &settings.config);
    let quality = variant.encoding.quality().map_or(String::new(), |quality| format!(" at quality {}", quality.get()));
    let format = variant.encoding.format().extension();
    line("names", &format!("{} of {} as {format}{quality}", variant.geometry, variant.original));
    if !explained.negotiable.is_empty() {
        line("", &format!("or as {}, whichever Accept likes best", explained.negotiable.join(", ")));
    }
    line("canonical", &explained.canonical);
    line("original", &place(&config.originals.store.to_string(), variant.original.as_str(), &explained.original));
    if let Some((literal, seen)) = &explained.literal {
        line("or else", &place(&config.originals.store.to_string(), literal.as_str(), seen));
    }
    line("variant", &place(&config.variants.store.to_string(), explained.key.as_str(), &explained.stored));
    if let Some(reason) = &explained.forbidden {
        return Err(format!("403: {reason}"));
    }
    if let Some(path) = &explained.snapped {
        return Ok(format!("301 to {path}, a size that [sizes] allows"));
    }
    if let Some(reason) = &explained.disallowed {
        return Err(format!("404: {reason} ([sizes])"));
    }
    match (&explained.original, &explained.stored, &explained.literal) {
        (Err(reason), ..) => Err(format!("502 or 504: {reason}")),
        (Ok(None), _, Some((_, literal @ Ok(Some(_))))) => original_answer(literal, None),
        (Ok(None), ..) => Err(format!("404: there is no original {}", variant.original)),
        (Ok(Some(_)), Ok(Some(_)), _) if explained.is_current => Ok("the stored variant".to_owned()),
        (Ok(Some(_)), ..) if explained.refused.is_some() => {
            Err(format!("422: {}", explained.refused.as_deref().unwrap_or_default()))
        }
        (Ok(Some(_)), Ok(Some(_)), _) => Ok("it is made anew: the stored one is of a former original".to_owned()),
        (Ok(Some(_)), Ok(None), _) => Ok("it is made, and stored".to_owned()),
        (Ok(Some(_)), Err(reason), _) => Ok(format!("it is made, but not stored: {reason}")),
    }
}

fn original_answer(object: &Seen, refused: Option<String>) -> Result<String, String> {
    match (object, refused) {
        (_, Some(reason)) => Err(format!("404: {reason}")),
        (Err(reason), None) => Err(format!("502 or 504: {reason}")),
        (Ok(None), None) => Err("404: there is no such object".to_owned()),
        (Ok(Some(_)), None) => Ok("the object as it is".to_owned()),
    }
}

fn line(what: &str, text: &str) {
    println!("  {what:<10} {text}");
}

fn place(store: &str, key: &str, seen: &Seen) -> String {
    let seen = match seen {
        Ok(Some(ObjectMeta { bytes, etag, last_modified, .. })) => {
            format!("is there: {bytes} bytes, ETag {etag}, {}", humantime::format_rfc3339_seconds(*last_modified))
        }
        Ok(None) => "is not there".to_owned(),
        Err(reason) => format!("cannot be seen: {reason}"),
    };
    format!("{}/{key} {seen}", store.trim_end_matches('/'))
}
