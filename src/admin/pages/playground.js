// A picture, a few controls, and what the server makes of them.

import { bytes, percent } from "/assets/numbers.js";
import * as urls from "/assets/url.js";

const by = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const PATIENCE_MS = 180;

const settings = await (await fetch("/settings.json")).json();
const port = settings.listen.slice(settings.listen.lastIndexOf(":") + 1);
const base = settings.public_url || `http://${location.hostname}:${port}`;
/** The picture: `path`, and `file` if it was dropped rather than named. */
let picture = null;
let under_way = new AbortController();
let timer = 0;

function start() {
  for (const format of ["", ...settings.formats]) {
    by("format").append(new Option(format === "" ? "as the original" : { jpg: "JPEG", webp: "WebP" }[format] ?? format.toUpperCase(), format));
  }
  for (const side of ["width", "height"]) by(side).max = settings.max_side;
  by("drop-note").textContent = `It is resized by this server and not stored; at most ${bytes(settings.picture_bytes)}.`;
  by("controls").addEventListener("submit", (event) => event.preventDefault());
  by("controls").addEventListener("input", ({ target }) => {
    if (target.id !== "file" && target.id !== "path") changed();
  });
  by("file").addEventListener("change", () => by("file").files[0] && take(by("file").files[0]));
  by("path").addEventListener("change", () => by("path").value.trim() && name(by("path").value.trim()));
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, dragged);
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
  names();
}

/** Files may be dropped anywhere. */
function dragged(event) {
  event.preventDefault();
  by("drop").classList.toggle("over", event.type === "dragover");
  const file = event.type === "drop" ? event.dataTransfer.files[0] : null;
  if (file) take(file);
}

async function names() {
  try {
    const answer = await fetch("/playground/originals");
    if (!answer.ok) return;
    const paths = (await answer.json()).filter((path) => /\.(jpe?g|png|webp|gif)$/i.test(path));
    by("names").append(...paths.map((path) => new Option(path, path)));
    if (picture === null && paths.length) {
      by("path").value = paths[0];
      name(paths[0]);
    }
  } catch {
    // A store that does not list is none the worse for it: its pictures can be named.
  }
}

function name(path) {
  by("file").value = "";
  load({ path: path.startsWith("/") ? path : `/${path}`, file: null });
}

function take(file) {
  by("path").value = "";
  if (file.size > settings.picture_bytes) return problem(`${file.name} has ${bytes(file.size)}; at most ${bytes(settings.picture_bytes)} are taken here`);
  load({ path: urls.pathOf(file), file });
}

async function load(next) {
  picture = next;
  changed(0);
  const answer = next.file ? null : await fetch(`/playground/get${next.path}`);
  if (picture !== next) return;
  if (answer && !answer.ok) {
    by("original").hidden = true;
    by("original-size").textContent = by("original-bytes").textContent = "not served";
    return;
  }
  const blob = next.file ?? (await answer.blob());
  const size = await display("original", blob);
  by("original-size").textContent = size ? `${size.width} × ${size.height}` : "not shown by this browser";
  by("original-bytes").textContent = bytes(blob.size);
  next.bytes = blob.size;
  saved();
}

function wanted() {
  const side = (id) => (by(id).value === "" ? null : Math.trunc(by(id).valueAsNumber));
  const format = by("format").value;
  const kind = format || (picture ? urls.ownFormat(picture.path, settings.formats) : "jpg");
  const lossy = kind !== "png" && kind !== "gif";
  by("quality-field").hidden = !lossy;
  by("regions").hidden = chosen("way") !== "crop";
  const quality = lossy ? by("quality").valueAsNumber : 0;
  by("quality-shown").textContent = quality || "usual";
  return { way: chosen("way"), width: side("width"), height: side("height"), region: chosen("region"), format, quality, density: Number(chosen("density")) };
}

function changed(patience = PATIENCE_MS) {
  const asked = wanted();
  if (!picture) return;
  const complaint = wrong(asked);
  if (complaint) return problem(complaint);
  const [before, middle, after] = urls.parts(picture.path, asked);
  const mark = document.createElement("mark");
  mark.textContent = middle;
  by("url").replaceChildren(base + before, mark, after);
  by("snippet").textContent = urls.snippet(base, picture.path, asked, null);
  clearTimeout(timer);
  timer = setTimeout(() => make(before + middle + after, asked), patience);
}

function wrong({ way, width, height }) {
  if (width === null && height === null) return "Give a width, a height, or both.";
  if (way === "crop" && (width === null || height === null)) return "To crop, give both sides.";
  const most = settings.max_side;
  return [width, height].some((side) => side !== null && !(side >= 1 && side <= most)) ? `A side has 1 to ${most} pixels (limits.max_side).` : "";
}

async function make(path, asked) {
  under_way.abort();
  under_way = new AbortController();
  const { signal } = under_way;
  by("variant-stage").classList.add("busy");
  const began = performance.now();
  try {
    const answer = await ask(path, signal);
    const total = performance.now() - began;
    if (!answer.ok) return problem(await reason(answer));
    const blob = await answer.blob();
    const size = await display("variant", blob);
    if (signal.aborted) return;
    problem("");
    by("variant-size").textContent = size ? `${size.width} × ${size.height}` : "not shown by this browser";
    by("variant-bytes").dataset.bytes = blob.size;
    saved();
    const made = /render;dur=([\d.]+)/.exec(answer.headers.get("server-timing") ?? "");
    const render = made ? `${made[1]} ms` : "not now";
    by("variant-render").textContent = render;
    by("variant-total").textContent = `${total.toFixed(0)} ms`;
    const cache = answer.headers.get("cache-status");
    by("cache-fact").hidden = !cache;
    by("variant-cache").textContent = cache ? (/detail=(\w+)/.exec(cache)?.[1] ?? "memory") : "";
    by("snippet").textContent = urls.snippet(base, picture.path, asked, size && single(size, asked));
    tell(size, blob.size);
  } catch (error) {
    if (error.name !== "AbortError") problem(`The server does not answer: ${error.message}`);
  } finally {
    if (!signal.aborted) by("variant-stage").classList.remove("busy");
  }
}

/** The sides of the picture on a page: of one density. */
const single = ({ width, height }, { density }) => ({ width: Math.round(width / density), height: Math.round(height / density) });

async function ask(path, signal) {
  const once = () =>
    picture.file
      ? fetch(`/playground/try${path}`, { method: "POST", body: picture.file, signal })
      : fetch(`/playground/get${path}`, { signal });
  const answer = await once();
  if (answer.status !== 503) return answer;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return once();
}

async function reason(answer) {
  const text = await answer.text();
  try {
    const { title, detail } = JSON.parse(text);
    return detail || title;
  } catch {
    return text.trim() || `The server answers ${answer.status}.`;
  }
}

function saved() {
  const [now, whole] = [Number(by("variant-bytes").dataset.bytes), picture.bytes];
  if (!now) return;
  by("variant-bytes").textContent = bytes(now);
  by("saved-fact").hidden = !(whole && now < whole);
  by("variant-saved").textContent = whole ? percent(1 - now / whole) : "";
}

/** Shows a picture, and says how large it is; null where this browser cannot. */
async function display(id, blob) {
  const image = by(id);
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

function tell(size, length) {
  by("state").dataset.kind = "good";
  by("state").textContent = size ? `${size.width} × ${size.height}, ${bytes(length)}` : bytes(length);
}

function problem(text) {
  by("problem").hidden = text === "";
  by("problem").textContent = text;
  if (text === "") return;
  clearTimeout(timer);
  by("variant-stage").classList.remove("busy");
  by("state").dataset.kind = "bad";
  by("state").textContent = "not made";
}

async function copy(button) {
  const text = by(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without leave, or over plain HTTP from another machine: the old way.
    const range = document.createRange();
    range.selectNodeContents(by(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  by("state").textContent = "copied";
}

start();
