// Polls /metrics and shows the difference between two samples.

import { Chart } from "/assets/chart.js";
import * as numbers from "/assets/numbers.js";

const POLL_MS = 2000;
/** The period that the tiles cover. */
const TILE_PERIOD_MS = 60_000;
const [REQUESTS, SECONDS, S3] = ["resized_requests_total", "resized_request_seconds", "resized_s3_requests_total"];
const IMAGES = ["hit", "joined", "stored", "made", "revalidated", "stale"];
const HITS = ["hit", "revalidated", "stale"];
const REFUSED = ["bad_request", "not_found", "precondition", "unprocessable", "options"];
const FAILED = ["overloaded", "store_failed", "store_slow", "internal"];
const outcome = (...names) => (labels) => names.includes(labels.outcome);
const hasLabel = (name, value) => (labels) => labels[name] === value;
const S3_KINDS = ["head", "get", "put", "list", "delete", "other"];

const byId = (id) => document.getElementById(id);
const parent = byId("charts");
const perSecond = (n) => `${numbers.count(n)}/s`;

const charts = {
  requests: new Chart(parent, {
    id: "requests", title: "Requests by outcome", subtitle: "per second", stacked: true, format: perSecond,
    series: [["hit", 1], ["joined", 2], ["stored", 3], ["made", 4], ["original", 5], ["refused", 6], ["failed", 7]]
      .map(([name, color]) => ({ name, color })),
  }),
  hits: new Chart(parent, {
    id: "hits", title: "Hit ratio", subtitle: "share of picture responses from memory", top: 1, format: numbers.percent,
    series: [{ name: "hit ratio", color: 1 }],
  }),
  latency: new Chart(parent, {
    id: "latency", title: "Latency", subtitle: "from the request header to the response header", format: numbers.seconds,
    series: [{ name: "50 %", color: 1 }, { name: "95 %", color: 4 }, { name: "99 %", color: 7 }],
  }),
  queue: new Chart(parent, {
    id: "queue", title: "Queue", subtitle: "flights and waiting jobs", format: numbers.count,
    series: [{ name: "flights", color: 2 }, { name: "download memory", color: 3 }, { name: "pixel memory", color: 4 },
      { name: "fast lane", color: 7 }, { name: "slow lane", color: 6 }],
  }),
  memory: new Chart(parent, {
    id: "memory", title: "Memory", subtitle: "resident, and the parts with a limit", format: numbers.bytes, base: 2,
    series: [{ name: "resident", color: 6 }, { name: "cache", color: 1 }, { name: "downloads", color: 3 },
      { name: "pixels", color: 4 }, { name: "write-back", color: 2 }],
  }),
  s3: new Chart(parent, {
    id: "s3", title: "S3 requests", subtitle: "per second, by kind", stacked: true, format: perSecond,
    series: S3_KINDS.map((name, n) => ({ name: name.toUpperCase(), color: n + 1 })),
  }),
  render: new Chart(parent, {
    id: "render", title: "Resizing", subtitle: "time on a resize thread", format: numbers.seconds,
    series: [{ name: "50 %", color: 1 }, { name: "95 %", color: 4 }],
  }),
};

const samples = [];
let cacheBytes = null;
let paused = false;

function updateCharts(before, now, minuteAgo) {
  const rate = (name, filter) => numbers.rate(before, now, name, filter);
  const requestRate = (...names) => rate(REQUESTS, outcome(...names));
  const gauge = (name, filter) => numbers.sum(now, name, filter);
  charts.requests.push(now.at, [
    requestRate(...HITS), requestRate("joined"), requestRate("stored"), requestRate("made"), requestRate("original"), requestRate(...REFUSED), requestRate(...FAILED),
  ]);
  const images = requestRate(...IMAGES);
  charts.hits.push(now.at, [images > 0 ? requestRate(...HITS) / images : null]);
  charts.latency.push(now.at, numbers.quantiles(before, now, SECONDS, [0.5, 0.95, 0.99]));
  const waiting = (what) => gauge("resized_waiting", hasLabel("for", what));
  charts.queue.push(now.at, [gauge("resized_flights"), waiting("download"), waiting("pixels"), waiting("fast_lane"), waiting("slow_lane")]);
  const share = (name) => gauge("resized_memory_bytes", hasLabel("share", name));
  const resident = gauge("resized_process_resident_memory_bytes");
  charts.memory.push(now.at, [resident, gauge("resized_cache_bytes"), share("downloads"), share("pixels"), share("write_back")]);
  const known = S3_KINDS.slice(0, -1);
  charts.s3.push(now.at, S3_KINDS.map((kind) =>
    rate(S3, (labels) => (kind === "other" ? !known.includes(labels.kind) : labels.kind === kind))));
  charts.render.push(now.at, numbers.quantiles(before, now, "resized_resize_seconds", [0.5, 0.95], hasLabel("stage", "render")));
  updateTiles(minuteAgo, now);
}

function updateTiles(before, now) {
  const requestCount = (...names) => numbers.growth(before, now, REQUESTS, outcome(...names));
  const [hits, images] = [requestCount(...HITS), requestCount(...IMAGES)];
  byId("tile-hits").textContent = images > 0 ? numbers.percent(hits / images) : "–";
  byId("tile-hits-more").textContent = `${numbers.count(images)} pictures in the last minute`;
  byId("tile-rate").textContent = perSecond(numbers.rate(before, now, REQUESTS));
  const failed = requestCount(...FAILED);
  byId("tile-rate-more").textContent = failed > 0 ? `${numbers.count(failed)} failed in the last minute` : "no failures";
  byId("tile-rate").closest(".tile").classList.toggle("bad", failed > 0);
  const [median, late] = numbers.quantiles(before, now, SECONDS, [0.5, 0.99]);
  byId("tile-latency").textContent = median === null ? "–" : numbers.seconds(median);
  byId("tile-latency-more").textContent = late === null ? "median" : `median; 99 % within ${numbers.seconds(late)}`;
  byId("tile-queue").textContent = numbers.count(numbers.sum(now, "resized_waiting"));
  byId("tile-queue-more").textContent = `${numbers.count(numbers.sum(now, "resized_flights"))} flights in progress`;
  byId("tile-memory").textContent = numbers.bytes(numbers.sum(now, "resized_process_resident_memory_bytes"));
  const [cache, entries] = [numbers.sum(now, "resized_cache_bytes"), numbers.sum(now, "resized_cache_entries")];
  const most = cacheBytes ? ` of ${numbers.bytes(cacheBytes)}` : "";
  byId("tile-memory-more").textContent = `cache ${numbers.bytes(cache)}${most}, ${numbers.count(entries)} entries`;
  const all = numbers.sum(now, REQUESTS, outcome(...IMAGES));
  byId("tile-s3").textContent = all > 0 ? numbers.count((1000 * numbers.sum(now, S3)) / all) : "–";
  byId("tile-s3-more").textContent = `per 1,000 images; ${numbers.count(numbers.sum(now, S3))} since start`;
}

function uptime(now) {
  const began = numbers.sum(now, "resized_process_start_time_seconds");
  const minutes = Math.floor((Date.now() / 1000 - began) / 60);
  return minutes < 60 ? `${minutes} min` : minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

function setState(kind, text) {
  const line = byId("state");
  line.dataset.kind = kind;
  // Screen readers announce every change, so an unchanged text is not set again.
  if (line.textContent !== text) line.textContent = text;
}

async function readMetrics() {
  const response = await fetch("/metrics", { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`/metrics responds ${response.status}`);
  return numbers.parse(await response.text());
}

async function poll() {
  const now = await readMetrics();
  const before = samples.at(-1);
  samples.push(now);
  while (samples[0].at < now.at - TILE_PERIOD_MS) samples.shift();
  const version = now.series.get("resized_build_info")?.[0]?.labels.version ?? "";
  const openCircuits = numbers.sum(now, "resized_s3_circuit_open");
  if (openCircuits > 0) setState("bad", "a store does not respond");
  else setState("good", `resized ${version}, up ${uptime(now)}`);
  if (before) updateCharts(before, now, samples[0]);
}

byId("pause").addEventListener("click", ({ target }) => {
  paused = !paused;
  target.setAttribute("aria-pressed", String(paused));
  target.textContent = paused ? "Resume" : "Pause";
});

try {
  cacheBytes = (await (await fetch("/settings.json")).json()).cache_bytes;
} catch {
  // Without the settings the tiles omit the limits.
}
for (;;) {
  if (!paused && !document.hidden) {
    try {
      await poll();
    } catch (error) {
      setState("bad", `no metrics: ${error.message}`);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
