// Reads /metrics again and again, and shows what the difference of two readings tells.

import { Chart } from "/assets/chart.js";
import * as numbers from "/assets/numbers.js";

const EVERY_MS = 2000;
/** How long ago the reading was with which the tiles compare. */
const RECENT_MS = 60_000;
const [REQUESTS, SECONDS, S3, COST] =
  ["resized_requests_total", "resized_request_seconds", "resized_s3_requests_total", "resized_s3_cost_dollars_total"];
const IMAGES = ["hit", "joined", "stored", "made", "revalidated", "stale"];
const HITS = ["hit", "revalidated", "stale"];
const REFUSED = ["bad_request", "not_found", "precondition", "unprocessable", "options"];
const FAILED = ["overloaded", "store_failed", "store_slow", "internal"];
const outcome = (...names) => (labels) => names.includes(labels.outcome);
const labelled = (name, value) => (labels) => labels[name] === value;
const S3_KINDS = ["head", "get", "put", "list", "delete", "other"];

const by = (id) => document.getElementById(id);
const place = by("charts");
const perSecond = (n) => `${numbers.count(n)}/s`;

const charts = {
  requests: new Chart(place, {
    id: "requests", title: "Requests by outcome", about: "a second", stacked: true, show: perSecond,
    series: [["hit", 1], ["joined", 2], ["stored", 3], ["made", 4], ["original", 5], ["refused", 6], ["failed", 7]]
      .map(([name, colour]) => ({ name, colour })),
  }),
  hits: new Chart(place, {
    id: "hits", title: "Hit ratio", about: "answers from memory, of all pictures", top: 1, show: numbers.percent,
    series: [{ name: "hit ratio", colour: 1 }],
  }),
  latency: new Chart(place, {
    id: "latency", title: "Latency", about: "from a request's header to its answer's", show: numbers.seconds,
    series: [{ name: "50 %", colour: 1 }, { name: "95 %", colour: 4 }, { name: "99 %", colour: 7 }],
  }),
  queue: new Chart(place, {
    id: "queue", title: "Queue", about: "flights, and jobs that wait", show: numbers.count,
    series: [{ name: "flights", colour: 2 }, { name: "download memory", colour: 3 }, { name: "pixel memory", colour: 4 },
      { name: "thread", colour: 7 }],
  }),
  memory: new Chart(place, {
    id: "memory", title: "Memory", about: "resident, and what of it has a limit", show: numbers.bytes, base: 2,
    series: [{ name: "resident", colour: 6 }, { name: "cache", colour: 1 }, { name: "downloads", colour: 3 },
      { name: "pixels", colour: 4 }, { name: "write-back", colour: 2 }],
  }),
  s3: new Chart(place, {
    id: "s3", title: "S3 requests", about: "a second, by kind", stacked: true, show: perSecond,
    series: S3_KINDS.map((name, n) => ({ name: name.toUpperCase(), colour: n + 1 })),
  }),
  cost: new Chart(place, {
    id: "cost", title: "Cost of S3 requests", about: "since the process began, without traffic", show: numbers.dollars,
    series: [{ name: "dollars", colour: 5 }],
  }),
  render: new Chart(place, {
    id: "render", title: "Resizing", about: "time on a resize thread", show: numbers.seconds,
    series: [{ name: "50 %", colour: 1 }, { name: "95 %", colour: 4 }],
  }),
};

const readings = [];
let limits = {};
let paused = false;

function show(before, now, recent) {
  const rate = (name, wanted) => numbers.rate(before, now, name, wanted);
  const asked = (...names) => rate(REQUESTS, outcome(...names));
  const gauge = (name, wanted) => numbers.sum(now, name, wanted);
  charts.requests.push(now.at, [
    asked(...HITS), asked("joined"), asked("stored"), asked("made"), asked("original"), asked(...REFUSED), asked(...FAILED),
  ]);
  const images = asked(...IMAGES);
  charts.hits.push(now.at, [images > 0 ? asked(...HITS) / images : null]);
  charts.latency.push(now.at, numbers.quantiles(before, now, SECONDS, [0.5, 0.95, 0.99]));
  const waiting = (what) => gauge("resized_waiting", labelled("for", what));
  charts.queue.push(now.at, [gauge("resized_flights"), waiting("download"), waiting("pixels"), waiting("thread")]);
  const work = (what) => gauge("resized_work_bytes", labelled("for", what));
  const resident = gauge("resized_process_resident_memory_bytes");
  charts.memory.push(now.at, [resident, gauge("resized_cache_bytes"), work("download"), work("pixels"), work("write_back")]);
  const known = S3_KINDS.slice(0, -1);
  charts.s3.push(now.at, S3_KINDS.map((kind) =>
    rate(S3, (labels) => (kind === "other" ? !known.includes(labels.kind) : labels.kind === kind))));
  charts.cost.push(now.at, [gauge(COST)]);
  charts.render.push(now.at, numbers.quantiles(before, now, "resized_resize_seconds", [0.5, 0.95], labelled("stage", "render")));
  tiles(recent, now);
}

function tiles(before, now) {
  const grown = (...names) => numbers.growth(before, now, REQUESTS, outcome(...names));
  const [hits, images] = [grown(...HITS), grown(...IMAGES)];
  by("tile-hits").textContent = images > 0 ? numbers.percent(hits / images) : "–";
  by("tile-hits-more").textContent = `${numbers.count(images)} pictures in the last minute`;
  by("tile-rate").textContent = perSecond(numbers.rate(before, now, REQUESTS));
  const failed = grown(...FAILED);
  by("tile-rate-more").textContent = failed > 0 ? `${numbers.count(failed)} failed in the last minute` : "none failed";
  by("tile-rate").closest(".tile").classList.toggle("bad", failed > 0);
  const [median, late] = numbers.quantiles(before, now, SECONDS, [0.5, 0.99]);
  by("tile-latency").textContent = median === null ? "–" : numbers.seconds(median);
  by("tile-latency-more").textContent = late === null ? "median" : `median; 99 % within ${numbers.seconds(late)}`;
  by("tile-queue").textContent = numbers.count(numbers.sum(now, "resized_waiting"));
  by("tile-queue-more").textContent = `${numbers.count(numbers.sum(now, "resized_flights"))} being found or made`;
  by("tile-memory").textContent = numbers.bytes(numbers.sum(now, "resized_process_resident_memory_bytes"));
  const [cache, entries] = [numbers.sum(now, "resized_cache_bytes"), numbers.sum(now, "resized_cache_entries")];
  const most = limits.cache ? ` of ${numbers.bytes(limits.cache)}` : "";
  by("tile-memory-more").textContent = `cache ${numbers.bytes(cache)}${most}, ${numbers.count(entries)} entries`;
  const all = numbers.sum(now, REQUESTS, outcome(...IMAGES));
  by("tile-cost").textContent = all > 0 ? numbers.dollars((1e6 * numbers.sum(now, COST)) / all) : "–";
  by("tile-cost-more").textContent = `a million images; ${numbers.dollars(numbers.sum(now, COST))} since start`;
}

function uptime(now) {
  const began = numbers.sum(now, "resized_process_start_time_seconds");
  const minutes = Math.floor((Date.now() / 1000 - began) / 60);
  return minutes < 60 ? `${minutes} min` : minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

function state(kind, text) {
  const line = by("state");
  line.dataset.kind = kind;
  // Said again only if it is something else: a screen reader reads what changes.
  if (line.textContent !== text) line.textContent = text;
}

async function read() {
  const answer = await fetch("/metrics", { signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new Error(`/metrics answers ${answer.status}`);
  return numbers.parse(await answer.text());
}

async function turn() {
  const now = await read();
  const before = readings.at(-1);
  readings.push(now);
  while (readings[0].at < now.at - RECENT_MS) readings.shift();
  const version = now.series.get("resized_build_info")?.[0]?.labels.version ?? "";
  const gone = numbers.sum(now, "resized_s3_circuit_open");
  if (gone > 0) state("bad", "a store does not answer");
  else state("good", `resized ${version}, up ${uptime(now)}`);
  if (before) show(before, now, readings[0]);
}

by("pause").addEventListener("click", ({ target }) => {
  paused = !paused;
  target.setAttribute("aria-pressed", String(paused));
  target.textContent = paused ? "Go on" : "Pause";
});

try {
  limits = (await (await fetch("/settings.json")).json()).limits;
} catch {
  // Without them the tiles say less.
}
for (;;) {
  if (!paused && !document.hidden) {
    try {
      await turn();
    } catch (error) {
      state("bad", `no numbers: ${error.message}`);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
}
