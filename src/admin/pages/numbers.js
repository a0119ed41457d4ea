// Parses the Prometheus text format and compares two samples.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Parses a sample: a map from metric name to series, each with labels and a value. */
export function parse(text, at = performance.now()) {
  const series = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) labels[name] = value;
    const value = found[3] === "+Inf" ? Infinity : Number(found[3]);
    if (!series.has(found[1])) series.set(found[1], []);
    series.get(found[1]).push({ labels, value });
  }
  return { at, series };
}

/** The sum of the series of a metric whose labels match `filter`. */
export function sum(sample, name, filter = () => true) {
  return (sample.series.get(name) ?? []).reduce((total, { labels, value }) => (filter(labels) ? total + value : total), 0);
}

/** The increase of a counter from `before` to `now`. A lower value means that the process was restarted. */
export function growth(before, now, name, filter) {
  const [was, is] = [sum(before, name, filter), sum(now, name, filter)];
  return is < was ? is : is - was;
}

/** The increase per second. */
export const rate = (before, now, name, filter) =>
  growth(before, now, name, filter) / Math.max((now.at - before.at) / 1000, 0.001);

/** The values of one label of a metric. */
export const values = (sample, name, label) => [
  ...new Set((sample.series.get(name) ?? []).map(({ labels }) => labels[label])),
];

/** Quantiles, in seconds, of the values that a histogram recorded between two samples; null if it recorded none. */
export function quantiles(before, now, name, quantiles, filter = () => true) {
  const bounds = [...new Set((now.series.get(`${name}_bucket`) ?? []).map(({ labels }) => labels.le))]
    .map((le) => ({ le, bound: le === "+Inf" ? Infinity : Number(le) }))
    .sort((a, b) => a.bound - b.bound)
    .map(({ le, bound }) => ({
      bound,
      count: growth(before, now, `${name}_bucket`, (labels) => labels.le === le && filter(labels)),
    }));
  const total = bounds.at(-1)?.count ?? 0;
  return quantiles.map((quantile) => (total > 0 ? interpolate(bounds, quantile * total) : null));
}

// Assumes an even distribution of values within a bucket, as Prometheus does.
function interpolate(bounds, rank) {
  const index = bounds.findIndex(({ count }) => count >= rank);
  const [upper, lower] = [bounds[index], bounds[index - 1] ?? { bound: 0, count: 0 }];
  if (upper.bound === Infinity) return lower.bound;
  return lower.bound + ((upper.bound - lower.bound) * (rank - lower.count)) / Math.max(upper.count - lower.count, 1e-9);
}

const short = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)).replace(/\.0+$|(\.\d*?)0+$/, "$1");
const scaled = (n, units, step) => {
  let at = 0;
  while (Math.abs(n) >= step && at < units.length - 1) {
    n /= step;
    at += 1;
  }
  return `${short(n)}${units[at]}`;
};

export const bytes = (n) => scaled(n, [" B", " KiB", " MiB", " GiB"], 1024);
export const count = (n) => scaled(n, ["", " k", " M", " G"], 1000);
export const percent = (n) => `${(100 * n).toFixed(1).replace(/\.0$/, "")} %`;
export const seconds = (n) => (n === 0 ? "0" : n < 1e-3 ? `${short(n * 1e6)} µs` : n < 1 ? `${short(n * 1e3)} ms` : `${short(n)} s`);
