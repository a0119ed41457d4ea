// An SVG chart of lines or stacked areas over time. Its legend shows the values as text.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [560, 210, 62, 12, 10, 24];
const SPAN_MS = 10 * 60 * 1000;

const element = (name, attributes = {}, ...children) => {
  const node = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

/** Appends a chart to `parent`. `push` adds a sample: one value per series, or null for a missing value. */
export class Chart {
  constructor(parent, { id, title, subtitle, series, format, stacked = false, top = null, base = 10 }) {
    Object.assign(this, { title, series, format, stacked, top, base, samples: [], cursor: null });
    this.svg = element("svg:svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0", "aria-describedby": `${id}-legend`,
    });
    this.when = element("span", { class: "when" }, "now");
    this.legend = element("ul", { class: "legend", id: `${id}-legend` });
    this.valueNodes = series.map(({ name, color }) => {
      const value = element("b", {}, "–");
      this.legend.append(element("li", { class: `color-${color}` }, element("i", { "aria-hidden": "true" }), `${name} `, value));
      return value;
    });
    const head = element("figcaption", {}, element("h2", {}, title), element("small", {}, subtitle), this.when);
    parent.append(element("figure", { class: "chart", id }, head, this.svg, this.legend));
    this.svg.addEventListener("pointermove", (event) => this.onPointerMove(event));
    this.svg.addEventListener("pointerleave", () => this.setCursor(null));
    this.svg.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.svg.addEventListener("blur", () => this.setCursor(null));
    this.draw();
  }

  push(at, values) {
    this.samples.push({ at, values });
    while (this.samples[0].at < at - SPAN_MS) {
      this.samples.shift();
      if (this.cursor !== null) this.cursor = Math.max(0, this.cursor - 1);
    }
    this.draw();
  }

  setCursor(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  onPointerMove(event) {
    if (!this.samples.length) return;
    const box = this.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const distances = this.samples.map(({ at }) => Math.abs(this.x(at) - x));
    this.setCursor(distances.indexOf(Math.min(...distances)));
  }

  onKeyDown(event) {
    const last = this.samples.length - 1;
    const from = this.cursor ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.setCursor(null);
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.setCursor(Math.min(Math.max(to, 0), last));
  }

  get end() {
    return this.samples.at(-1)?.at ?? 0;
  }

  x(at) {
    // The first samples span at least a minute, so that the chart of a page that was just opened is not empty.
    const begin = this.samples[0]?.at ?? this.end;
    const span = Math.min(SPAN_MS, Math.max(60_000, (this.end - begin) * 1.05));
    return WIDTH - RIGHT - ((this.end - at) / span) * (WIDTH - LEFT - RIGHT);
  }

  /** The upper edge of each series; in a stacked chart the sum of the series up to it. */
  levels(values) {
    let below = 0;
    return values.map((value) => (this.stacked ? (below += value ?? 0) : value));
  }

  draw() {
    const highest = Math.max(0, ...this.samples.flatMap(({ values }) => this.levels(values)).filter((v) => v !== null));
    const top = this.top ?? roundUp(highest, this.base);
    const y = (value) => TOP + (1 - Math.min(value / top, 1)) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const at = y(share * top);
      parts.push(element("svg:line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }));
      parts.push(element("svg:text", { class: "tick", x: LEFT - 8, y: at + 4, "text-anchor": "end" }, this.format(share * top)));
    }
    this.drawTimeAxis(parts);
    const order = this.series.map((_, n) => n);
    for (const n of this.stacked ? order.reverse() : order) parts.push(...this.trace(n, y));
    if (this.cursor !== null && this.samples[this.cursor]) {
      const at = this.x(this.samples[this.cursor].at);
      parts.push(element("svg:line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    this.svg.replaceChildren(...parts);
    this.updateLegend();
  }

  drawTimeAxis(parts) {
    const begin = this.samples[0]?.at ?? this.end;
    const span = Math.min(SPAN_MS, Math.max(60_000, (this.end - begin) * 1.05));
    const step = span > 240_000 ? 120_000 : span > 120_000 ? 60_000 : 20_000;
    for (let ago = 0; ago < span; ago += step) {
      const at = this.x(this.end - ago);
      const text = ago === 0 ? "now" : ago < 60_000 ? `−${ago / 1000} s` : `−${ago / 60_000} min`;
      const anchor = ago === 0 ? "end" : "middle";
      parts.push(element("svg:text", { class: "tick", x: at, y: HEIGHT - 6, "text-anchor": anchor }, text));
    }
  }

  /** The area and line of one series, interrupted at missing values. */
  trace(n, y) {
    const runs = [[]];
    for (const { at, values } of this.samples) {
      const level = this.levels(values)[n];
      if (level === null) runs.push([]);
      else runs.at(-1).push(`${this.x(at).toFixed(1)},${y(level).toFixed(1)}`);
    }
    const color = `color-${this.series[n].color}`;
    return runs.filter((run) => run.length).flatMap((run) => {
      if (run.length === 1) {
        const [cx, cy] = run[0].split(",");
        return [element("svg:circle", { class: `dot ${color}`, cx, cy, r: 2.5 })];
      }
      const line = element("svg:polyline", { class: `line ${color}`, points: run.join(" ") });
      if (!this.stacked && this.series.length > 1) return [line];
      const [first, last] = [run[0].split(",")[0], run.at(-1).split(",")[0]];
      const points = `${first},${y(0)} ${run.join(" ")} ${last},${y(0)}`;
      return [element("svg:polygon", { class: `area ${color} ${this.stacked ? "stacked" : ""}`, points }), line];
    });
  }

  /** Updates the values in the legend and the accessible name of the chart. */
  updateLegend() {
    const sample = this.samples[this.cursor ?? this.samples.length - 1];
    const ago = sample ? Math.round((this.end - sample.at) / 1000) : 0;
    this.when.textContent = ago > 0 ? `${ago} s ago` : "now";
    const values = this.series.map(({ name }, n) => {
      const value = sample?.values[n] ?? null;
      this.valueNodes[n].textContent = value === null ? "–" : this.format(value);
      return `${name} ${this.valueNodes[n].textContent}`;
    });
    this.svg.setAttribute("aria-label", `${this.title}, ${this.when.textContent}: ${values.join(", ")}`);
  }
}

/** Rounds up to the next of 1, 2, 5, 10, 20 ..., or of 1, 1.5, 2, 3, 4 ... for powers of two. */
function roundUp(value, base) {
  if (value <= 0) return 1;
  const power = base ** Math.floor(Math.log(value) / Math.log(base));
  return power * (base === 2 ? [1, 1.5, 2] : [1, 2, 5, 10]).find((step) => step * power >= value * 0.999);
}
