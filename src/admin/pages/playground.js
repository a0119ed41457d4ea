// The playground: resizes a picture with the selected options.

import { bytes, percent } from "/assets/numbers.js";
import * as urls from "/assets/url.js";

const byId = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const DEBOUNCE_MS = 180;

const settings = await (await fetch("/settings.json")).json();
const port = settings.listen.slice(settings.listen.lastIndexOf(":") + 1);
const base = settings.public_url || `http://${location.hostname}:${port}`;
/** The selected picture: its `path`, and its `file` if it was dropped or chosen. */
let picture = null;
let pending = new AbortController();
let timer = 0;

function start() {
  for (const format of ["", ...settings.formats]) {
    byId("format").append(new Option(format === "" ? "as the original" : { jpg: "JPEG", webp: "WebP" }[format] ?? format.toUpperCase(), format));
  }
  for (const side of ["width", "height"]) byId(side).max = settings.max_side;
  byId("drop-note").textContent = `It is resized by this server and not stored; at most ${bytes(settings.picture_bytes)}.`;
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("input", ({ target }) => {
    if (target.id !== "file" && target.id !== "path") onChange();
  });
  byId("file").addEventListener("change", () => byId("file").files[0] && selectFile(byId("file").files[0]));
  byId("path").addEventListener("change", () => byId("path").value.trim() && selectPath(byId("path").value.trim()));
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, onDrag);
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
  loadSuggestions();
}

/** Handles files that are dropped anywhere on the page. */
function onDrag(event) {
  event.preventDefault();
  byId("drop").classList.toggle("over", event.type === "dragover");
  const file = event.type === "drop" ? event.dataTransfer.files[0] : null;
  if (file) selectFile(file);
}

async function loadSuggestions() {
  try {
    const response = await fetch("/playground/originals");
    if (!response.ok) return;
    const paths = (await response.json()).filter((path) => /\.(jpe?g|png|webp|gif)$/i.test(path));
    byId("names").append(...paths.map((path) => new Option(path, path)));
    if (picture === null && paths.length) {
      byId("path").value = paths[0];
      selectPath(paths[0]);
    }
  } catch {
    // Without a listing there are no suggestions; paths can still be entered.
  }
}

function selectPath(path) {
  byId("file").value = "";
  load({ path: path.startsWith("/") ? path : `/${path}`, file: null });
}

function selectFile(file) {
  byId("path").value = "";
  if (file.size > settings.picture_bytes) return problem(`${file.name} has ${bytes(file.size)}; the limit is ${bytes(settings.picture_bytes)}`);
  load({ path: urls.pathOf(file), file });
}

async function load(next) {
  picture = next;
  onChange(0);
  const response = next.file ? null : await fetch(`/playground/get${next.path}`);
  if (picture !== next) return;
  if (response && !response.ok) {
    byId("original").hidden = true;
    byId("original-size").textContent = byId("original-bytes").textContent = "not available";
    return;
  }
  const blob = next.file ?? (await response.blob());
  const size = await display("original", blob);
  byId("original-size").textContent = size ? `${size.width} × ${size.height}` : "not supported by this browser";
  byId("original-bytes").textContent = bytes(blob.size);
  next.bytes = blob.size;
  showSaving();
}

function readOptions() {
  const side = (id) => (byId(id).value === "" ? null : Math.trunc(byId(id).valueAsNumber));
  const format = byId("format").value;
  const kind = format || (picture ? urls.ownFormat(picture.path, settings.formats) : "jpg");
  const lossy = kind !== "png" && kind !== "gif";
  byId("quality-field").hidden = !lossy;
  byId("regions").hidden = chosen("way") !== "crop";
  const quality = lossy ? byId("quality").valueAsNumber : 0;
  byId("quality-shown").textContent = quality || "default";
  return { way: chosen("way"), width: side("width"), height: side("height"), region: chosen("region"), format, quality, density: Number(chosen("density")) };
}

function onChange(delay = DEBOUNCE_MS) {
  const options = readOptions();
  if (!picture) return;
  const error = validate(options);
  if (error) return problem(error);
  const [before, middle, after] = urls.parts(picture.path, options);
  const mark = document.createElement("mark");
  mark.textContent = middle;
  byId("url").replaceChildren(base + before, mark, after);
  byId("snippet").textContent = urls.snippet(base, picture.path, options, null);
  clearTimeout(timer);
  timer = setTimeout(() => make(before + middle + after, options), delay);
}

function validate({ way, width, height }) {
  if (width === null && height === null) return "Give a width, a height, or both.";
  if (way === "crop" && (width === null || height === null)) return "Give both sides for a crop.";
  const max = settings.max_side;
  return [width, height].some((side) => side !== null && !(side >= 1 && side <= max)) ? `A side must have 1 to ${max} pixels (limits.max_side).` : "";
}

async function make(path, options) {
  pending.abort();
  pending = new AbortController();
  const { signal } = pending;
  byId("variant-stage").classList.add("busy");
  const start = performance.now();
  try {
    const response = await request(path, signal);
    const total = performance.now() - start;
    if (!response.ok) return problem(await errorText(response));
    const blob = await response.blob();
    const size = await display("variant", blob);
    if (signal.aborted) return;
    problem("");
    byId("variant-size").textContent = size ? `${size.width} × ${size.height}` : "not supported by this browser";
    byId("variant-bytes").dataset.bytes = blob.size;
    showSaving();
    const render = /render;dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "");
    byId("variant-render").textContent = render ? `${render[1]} ms` : "cached";
    byId("variant-total").textContent = `${total.toFixed(0)} ms`;
    const cache = response.headers.get("cache-status");
    byId("cache-fact").hidden = !cache;
    byId("variant-cache").textContent = cache ? (/detail=(\w+)/.exec(cache)?.[1] ?? "memory") : "";
    byId("snippet").textContent = urls.snippet(base, picture.path, options, size && cssSize(size, options));
    showResult(size, blob.size);
  } catch (error) {
    if (error.name !== "AbortError") problem(`The server does not respond: ${error.message}`);
  } finally {
    if (!signal.aborted) byId("variant-stage").classList.remove("busy");
  }
}

/** The size of the picture in CSS pixels. */
const cssSize = ({ width, height }, { density }) => ({ width: Math.round(width / density), height: Math.round(height / density) });

async function request(path, signal) {
  const once = () =>
    picture.file
      ? fetch(`/playground/try${path}`, { method: "POST", body: picture.file, signal })
      : fetch(`/playground/get${path}`, { signal });
  const response = await once();
  if (response.status !== 503) return response;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return once();
}

async function errorText(response) {
  const text = await response.text();
  try {
    const { title, detail } = JSON.parse(text);
    return detail || title;
  } catch {
    return text.trim() || `The server responds ${response.status}.`;
  }
}

function showSaving() {
  const [variant, original] = [Number(byId("variant-bytes").dataset.bytes), picture.bytes];
  if (!variant) return;
  byId("variant-bytes").textContent = bytes(variant);
  byId("saved-fact").hidden = !(original && variant < original);
  byId("variant-saved").textContent = original ? percent(1 - variant / original) : "";
}

/** Shows a picture and returns its size, or null if the browser does not support the format. */
async function display(id, blob) {
  const image = byId(id);
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
    image.hidden = false;
    return { width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    image.hidden = true;
    return null;
  }
}

function showResult(size, length) {
  byId("state").dataset.kind = "good";
  byId("state").textContent = size ? `${size.width} × ${size.height}, ${bytes(length)}` : bytes(length);
}

function problem(text) {
  byId("problem").hidden = text === "";
  byId("problem").textContent = text;
  if (text === "") return;
  clearTimeout(timer);
  byId("variant-stage").classList.remove("busy");
  byId("state").dataset.kind = "bad";
  byId("state").textContent = "failed";
}

async function copy(button) {
  const text = byId(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // The clipboard API needs permission and a secure context. Otherwise use the deprecated command.
    const range = document.createRange();
    range.selectNodeContents(byId(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  byId("state").textContent = "copied";
}

start();
