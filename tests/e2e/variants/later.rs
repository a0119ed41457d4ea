//! AVIF that is made later: interim answers, and the queue.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use resized::config::{Config, Tuning};
use resized::variant::{Format, ObjectKey, Signer, UrlToSign};

use crate::operating::check::resized;
use crate::support::bucket::{Bucket, Operation};
use crate::support::node::on_bucket;
use crate::support::pictures::{jpeg, textured_jpeg};
use crate::support::stage::{Stage, header, redirecting, settings, until};

/// A browser that takes both formats.
const BROWSER: &str = "image/avif,image/webp,*/*;q=0.8";
const INTERIM: &str = "public, max-age=3600, s-maxage=60";
const CAT: &str = "/cat_80x60.jpg";
const CAT_AVIF: &str = "variants/cat.jpg/80x60_q60.avif";
/// A picture of four colors, of which WebP has fewer bytes.
const FLAT: &str = "/flat_40x40.jpg";
const FLAT_AVIF: &str = "variants/flat.jpg/40x40_q60.avif";

async fn bucket() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", textured_jpeg(160, 120, 1), "image/jpeg");
    bucket.put_object("originals/flat.jpg", jpeg(400, 300), "image/jpeg");
    bucket
}

fn negotiating(mut config: Config) -> Config {
    config.formats.negotiate = vec![Format::Avif, Format::WebP];
    // One worker.
    config.work.threads = 1;
    config
}

async fn stage(bucket: &Bucket) -> Stage {
    Stage::start(negotiating(settings(bucket))).await
}

async fn view(stage: &Stage, path: &str) -> Response {
    stage.request("GET", path).header("accept", BROWSER).send().await.unwrap()
}

/// Number of variants of the queue with an outcome.
fn outcomes(stage: &Stage, outcome: &str) -> u64 {
    metric(stage, &format!("resized_late_variants_total{{outcome=\"{outcome}\"}}"))
}

fn metric(stage: &Stage, series: &str) -> u64 {
    let text = stage.metrics.encode();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value: f64 = value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = value as u64;
    count
}

async fn until_outcome(stage: &Stage, outcome: &'static str) {
    until("a variant has this outcome", || outcomes(stage, outcome) > 0).await;
}

/// Waits until `key` is stored for the time number `times`, and until the queue knows it.
async fn until_stored((bucket, key, times): (&Bucket, &str, usize), stage: &Stage, outcome: &'static str) {
    bucket.until("the variant is stored", |bucket| bucket.stored(key) == times).await;
    until_outcome(stage, outcome).await;
}

#[track_caller]
fn assert_interim(response: &Response, status: u16) {
    assert_eq!(response.status().as_u16(), status, "{response:?}");
    assert_eq!(header(response, "cache-control"), INTERIM, "{response:?}");
    assert!(header(response, "cache-status").ends_with("; detail=interim"), "{response:?}");
    assert_eq!(header(response, "vary"), "accept");
}

/// Asserts that the response is a picture in this format that is not an interim one.
#[track_caller]
fn assert_final(response: &Response, media_type: &str) {
    assert_eq!((response.status(), header(response, "content-type")), (StatusCode::OK, media_type), "{response:?}");
    assert_eq!(header(response, "cache-control"), "public, max-age=86400");
    assert!(!header(response, "cache-status").contains("interim"), "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_viewer_gets_webp_at_once_and_a_later_one_avif() {
    let bucket = bucket().await;
    let stage = stage(&bucket).await;
    // Only the worker looks variants up by HEAD in stream mode.
    let gate = bucket.stall(Operation::Head, "variants/");
    let first = view(&stage, CAT).await;
    assert_interim(&first, 200);
    assert_eq!(header(&first, "content-type"), "image/webp");
    let etag = header(&first, "etag").to_owned();
    let webp_bytes = first.bytes().await.unwrap().len() as u64;
    for _ in 0..20 {
        assert_interim(&view(&stage, CAT).await, 200);
    }
    assert_eq!(bucket.count(Operation::Get, CAT_AVIF), 1, "memory knows that it is missing");
    let unchanged = stage.request("GET", CAT).header("accept", BROWSER).header("if-none-match", &etag);
    assert_interim(&unchanged.send().await.unwrap(), 304);
    let part = stage.request("GET", CAT).header("accept", BROWSER).header("range", "bytes=0-9");
    assert_interim(&part.send().await.unwrap(), 206);
    assert_interim(&stage.request("HEAD", CAT).header("accept", BROWSER).send().await.unwrap(), 200);
    let jpeg_only = stage.get(CAT).await;
    assert_final(&jpeg_only, "image/jpeg");
    gate.release();
    until_stored((&bucket, CAT_AVIF, 1), &stage, "made").await;
    let later = stage.request("GET", CAT).header("accept", BROWSER).header("if-none-match", &etag);
    let later = later.send().await.unwrap();
    assert_final(&later, "image/avif");
    let avif_bytes = later.bytes().await.unwrap().len() as u64;
    assert_eq!(metric(&stage, "resized_late_saved_bytes_total"), webp_bytes - avif_bytes);
    assert_eq!(bucket.stored(CAT_AVIF), 1);

    // Another node finds it at once.
    let other = self::stage(&bucket).await;
    assert_final(&view(&other, CAT).await, "image/avif");
    assert_eq!(metric(&other, "resized_late_waiting"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_format_is_the_one_of_the_url_if_accept_names_no_other() {
    let bucket = bucket().await;
    let stage = stage(&bucket).await;
    let get = async || stage.request("GET", CAT).header("accept", "image/avif,*/*").send().await.unwrap();
    let first = get().await;
    assert_interim(&first, 200);
    assert_eq!(header(&first, "content-type"), "image/jpeg");
    until_stored((&bucket, CAT_AVIF, 1), &stage, "made").await;
    assert_final(&get().await, "image/avif");
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_redirects_are_temporary() {
    let bucket = bucket().await;
    let stage = Stage::start(negotiating(redirecting(&bucket))).await;
    let first = view(&stage, CAT).await;
    assert_interim(&first, 302);
    assert!(header(&first, "location").contains(".webp?v="), "{first:?}");
    until_stored((&bucket, CAT_AVIF, 1), &stage, "made").await;
    let later = view(&stage, CAT).await;
    assert_eq!(later.status(), StatusCode::MOVED_PERMANENTLY);
    assert!(header(&later, "location").contains(".avif?v="), "{later:?}");
    assert_eq!(header(&later, "cache-control"), "public, max-age=86400");
    assert!(metric(&stage, "resized_late_saved_bytes_total") > 0, "the size of the stored WebP is looked up");
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_override_configured_lifetimes() {
    let bucket = bucket().await;
    let mut config = negotiating(settings(&bucket));
    config.answers.cache_control = "public, max-age=31536000, immutable".parse().unwrap();
    for name in ["cdn-cache-control", "x-cdn-cache-control", "surrogate-control", "expires", "x-accel-expires"] {
        config.answers.headers.insert(name, "max-age=31536000").unwrap();
    }
    let stage = Stage::start(config).await;
    let first = view(&stage, CAT).await;
    assert_interim(&first, 200);
    let long = first.headers().values().find(|value| value.as_bytes().ends_with(b"31536000"));
    assert_eq!(long, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_do_not_outlive_a_signed_url() {
    let bucket = bucket().await;
    let mut config = negotiating(settings(&bucket));
    config.signing.keys = "0123456789abcdef0123456789abcdef".into();
    let stage = Stage::start(config.clone()).await;
    let signer = Signer::new(&config.signing).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let gate = bucket.stall(Operation::Head, "variants/");
    let max_age = async |seconds: u64| {
        let url = UrlToSign::parse(CAT).unwrap();
        let response = view(&stage, &format!("{}{}", url.prefix, signer.query(&url.key, Some(now + seconds)))).await;
        assert!(header(&response, "cache-status").ends_with("; detail=interim"), "{response:?}");
        header(&response, "cache-control").strip_prefix("private, max-age=").unwrap().parse::<u64>().unwrap()
    };
    assert!((1..=100).contains(&max_age(100).await));
    assert_eq!(max_age(86_400).await, 3600);
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avif_that_is_not_smaller_makes_the_interim_format_final_on_every_node() {
    let bucket = bucket().await;
    let stage = stage(&bucket).await;
    let first = view(&stage, FLAT).await;
    assert_interim(&first, 200);
    until_stored((&bucket, FLAT_AVIF, 1), &stage, "not_smaller").await;
    let metadata = bucket.object(FLAT_AVIF).unwrap().metadata;
    assert_eq!(metadata["resized-not-smaller-than"], "webp");
    let gets = bucket.count(Operation::Get, "originals/");
    let other = self::stage(&bucket).await;
    for stage in [&stage, &other] {
        for _ in 0..2 {
            assert_final(&view(stage, FLAT).await, "image/webp");
        }
        // A request for the URL that names the format, or of a client that does not take WebP, gets what is stored.
        assert_final(&stage.get("/flat_40x40.jpg.avif").await, "image/avif");
        assert_final(&view(stage, FLAT).await, "image/webp");
        let only = stage.request("GET", FLAT).header("accept", "image/avif,*/*").send().await.unwrap();
        assert_final(&only, "image/avif");
    }
    assert_eq!(bucket.count(Operation::Get, "originals/"), gets, "nothing is made again");

    // A purge removes the mark.
    stage.proxy.purge(&ObjectKey::new("flat.jpg").unwrap()).await.unwrap();
    assert!(bucket.keys("variants/flat.jpg/").is_empty());
    assert_interim(&view(&stage, FLAT).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_store_one_avif_and_with_leases_make_one() {
    for lease in [false, true] {
        let bucket = bucket().await;
        let mut config = negotiating(settings(&bucket));
        config.fleet.lease = lease;
        let stages = [Stage::start(config.clone()).await, Stage::start(config).await];
        let gate = bucket.stall(Operation::Head, "variants/");
        for stage in &stages {
            assert_interim(&view(stage, CAT).await, 200);
        }
        gate.release();
        bucket.until("the AVIF is stored", |bucket| bucket.stored(CAT_AVIF) == 1).await;
        let ended = |stage: &Stage| outcomes(stage, "made") + outcomes(stage, "already_stored") == 1;
        until("both nodes are done", || stages.iter().all(ended)).await;
        assert_eq!(bucket.stored(CAT_AVIF), 1);
        assert_eq!(stages.iter().map(|stage| outcomes(stage, "made")).sum::<u64>(), 1);
        for stage in &stages {
            assert_final(&view(stage, CAT).await, "image/avif");
        }
        if lease {
            until("the lease is released", || bucket.keys("variants/").iter().all(|key| !key.ends_with("lease"))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_names_avif_is_answered_with_it_even_while_others_get_interim_answers() {
    let bucket = bucket().await;
    let stage = stage(&bucket).await;
    let gate = bucket.stall(Operation::Head, "variants/");
    assert_interim(&view(&stage, CAT).await, 200);
    assert_final(&stage.get("/cat_80x60.jpg.avif").await, "image/avif");
    assert_final(&view(&stage, CAT).await, "image/avif");
    gate.release();
    until_outcome(&stage, "already_stored").await;

    // A request that finds it being made does not wait for it either.
    let gate = bucket.stall(Operation::Get, "originals/cat.jpg");
    let explicit = tokio::spawn(stage.request("GET", "/cat_70x.jpg.avif").send());
    until("it is being made", || bucket.count(Operation::Get, "variants/cat.jpg/70x_q60.avif") > 0).await;
    let waiting = tokio::spawn(stage.request("GET", "/cat_70x.jpg").header("accept", BROWSER).send());
    until("the WebP is looked up", || bucket.count(Operation::Get, "variants/cat.jpg/70x_q80.webp") > 0).await;
    gate.release();
    assert_interim(&waiting.await.unwrap().unwrap(), 200);
    assert_final(&explicit.await.unwrap().unwrap(), "image/avif");
}

#[tokio::test(flavor = "multi_thread")]
async fn avif_is_made_within_the_request_if_the_setting_says_so() {
    let bucket = bucket().await;
    let mut config = negotiating(settings(&bucket));
    config.formats.avif_later = false;
    let stage = Stage::start(config).await;
    assert_final(&view(&stage, CAT).await, "image/avif");
    assert_final(&view(&stage, FLAT).await, "image/avif");
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_that_are_requested_again_are_made_first_and_a_full_queue_drops_new_ones() {
    let bucket = bucket().await;
    let tuning = Tuning { late_variants_max: 2, ..Tuning::default() };
    let stage = Stage::start_with(negotiating(settings(&bucket)), tuning).await;
    let gate = bucket.stall(Operation::Head, "variants/");
    view(&stage, CAT).await;
    until("the first is being made", || bucket.count(Operation::Head, CAT_AVIF) == 1).await;
    view(&stage, "/cat_60x.jpg").await;
    for _ in 0..2 {
        view(&stage, "/cat_50x.jpg").await;
    }
    assert_eq!(metric(&stage, "resized_late_waiting"), 2);
    assert_interim(&view(&stage, "/cat_40x.jpg").await, 200);
    assert_eq!(outcomes(&stage, "dropped"), 1);
    gate.release();
    bucket.until("the last is stored", |bucket| bucket.stored("variants/cat.jpg/60x_q60.avif") == 1).await;
    until("all are made", || outcomes(&stage, "made") == 3).await;
    let puts =
        bucket.requests().into_iter().filter(|(operation, key)| *operation == Operation::Put && key.ends_with("avif"));
    let puts: Vec<_> = puts.map(|(_, key)| key).collect();
    assert_eq!(puts, [CAT_AVIF, "variants/cat.jpg/50x_q60.avif", "variants/cat.jpg/60x_q60.avif"]);
    // It is accepted as soon as there is room.
    view(&stage, "/cat_40x.jpg").await;
    bucket.until("it is stored too", |bucket| bucket.stored("variants/cat.jpg/40x_q60.avif") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_removes_waiting_variants_and_those_that_are_being_stored() {
    let bucket = bucket().await;
    let stage = stage(&bucket).await;
    let cat = ObjectKey::new("cat.jpg").unwrap();
    let gate = bucket.stall(Operation::Put, CAT_AVIF);
    view(&stage, CAT).await;
    bucket.until("it is being stored", |bucket| bucket.count(Operation::Put, CAT_AVIF) == 1).await;
    view(&stage, "/cat_60x.jpg").await;
    assert_eq!(metric(&stage, "resized_late_waiting"), 1);
    stage.proxy.purge(&cat).await.unwrap();
    assert_eq!(metric(&stage, "resized_late_waiting"), 0);
    gate.release();
    until_outcome(&stage, "dropped").await;
    assert_eq!(bucket.keys("variants/cat.jpg/").iter().filter(|key| key.ends_with("avif")).count(), 0);
    assert_interim(&view(&stage, CAT).await, 200);
    until_stored((&bucket, CAT_AVIF, 2), &stage, "made").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_avif_of_a_replaced_original_is_replaced_later_too() {
    let bucket = bucket().await;
    let mut config = negotiating(settings(&bucket));
    config.cache.revalidate_after = Duration::ZERO;
    let stage = Stage::start(config).await;
    view(&stage, CAT).await;
    until_stored((&bucket, CAT_AVIF, 1), &stage, "made").await;
    let old = view(&stage, CAT).await;
    assert_eq!(header(&old, "content-type"), "image/avif");
    bucket.put_object("originals/cat.jpg", textured_jpeg(160, 120, 2), "image/jpeg");
    let interim = view(&stage, CAT).await;
    assert_interim(&interim, 200);
    assert_eq!(header(&interim, "content-type"), "image/webp");
    bucket.until("the new AVIF is stored", |bucket| bucket.stored(CAT_AVIF) == 2).await;
    until("the new AVIF is made", || outcomes(&stage, "made") == 2).await;
    let new = view(&stage, CAT).await;
    assert_eq!(header(&new, "content-type"), "image/avif");
    assert_ne!(header(&new, "etag"), header(&old, "etag"));
    assert_eq!(bucket.stored(CAT_AVIF), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_of_the_queue_are_charged_to_their_original() {
    let bucket = bucket().await;
    let mut config = negotiating(settings(&bucket));
    config.rates.cpu_per_original = Duration::from_millis(1);
    let stage = Stage::start(config).await;
    for _ in 0..2 {
        assert_interim(&view(&stage, CAT).await, 200);
        until_outcome(&stage, "limited").await;
    }
    assert_eq!(outcomes(&stage, "limited"), 1, "it is not tried again soon");
    assert!(bucket.object(CAT_AVIF).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn warming_makes_the_formats_that_later_viewers_get() {
    let bucket = bucket().await;
    let settings = on_bucket(&bucket);
    let negotiate = ("RESIZED_FORMATS__NEGOTIATE", "[\"avif\", \"webp\"]");
    let environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).chain([negotiate]).collect();
    let warm =
        |arguments: &[&str]| tokio::task::block_in_place(|| resized(&[&["warm"], arguments].concat(), &environment));
    let (out, error, status) = warm(&[CAT, FLAT]);
    // The AVIF is compared with the WebP, which may therefore be stored before it is warmed.
    let counts: Vec<u32> = out.split([' ', ',']).filter_map(|word| word.parse().ok()).take(3).collect();
    assert!(status == 0 && counts[0] + counts[1] == 6 && counts[2] == 0, "{out}{error}");
    assert!((4..=6).contains(&counts[0]), "only a WebP that an AVIF was compared with is stored already: {out}");
    let (out, error, status) = warm(&["--size", "80x60", "cat.jpg"]);
    assert!(status == 0 && out.starts_with("0 made, 3 already stored, 0 failed"), "{out}{error}");
    let (out, error, status) = warm(&["--size", "60x", "--format", "avif", "cat.jpg"]);
    assert!(status == 0 && out.starts_with("1 made"), "{out}{error}");
    let stage = stage(&bucket).await;
    assert_final(&view(&stage, CAT).await, "image/avif");
    assert_final(&view(&stage, FLAT).await, "image/webp");

    let explain = |path: &str| tokio::task::block_in_place(|| resized(&["explain", path], &environment)).0;
    let later = |path: &str, state: &str| {
        let out = explain(path);
        assert!(out.contains(state), "{out}");
    };
    later(CAT, "clients that accept avif get it\n");
    later(FLAT, "it is not smaller than the webp, so clients that accept both get webp\n");
    later("/cat_50x.jpg", "clients that accept avif get another format until it is made (formats.avif_later)\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_the_queue() {
    let bucket = bucket().await;
    let mut config = negotiating(settings(&bucket));
    config.fleet.lease = true;
    let stage = Stage::start(config).await;
    let _gate = bucket.stall(Operation::Put, CAT_AVIF);
    view(&stage, CAT).await;
    let is_put = |bucket: &Bucket| bucket.requests().contains(&(Operation::Put, CAT_AVIF.to_owned()));
    bucket.until("it is being stored", is_put).await;
    view(&stage, "/cat_60x.jpg").await;
    assert!(stage.stop().await, "all other tasks were finished");
    assert!(bucket.keys("variants/").iter().all(|key| !key.ends_with("lease")), "the lease is released");
}
