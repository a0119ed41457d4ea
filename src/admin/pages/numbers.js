// The Prometheus text format, read; and what two readings of it tell.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A reading: series by name, each with its labels and value. */
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

/** The sum of a name's series whose labels pass `wanted`. */
export function sum(reading, name, wanted = () => true) {
  return (reading.series.get(name) ?? []).reduce((all, { labels, value }) => (wanted(labels) ? all + value : all), 0);
}

/** What `name` grew by from `before` to `now`. A counter that fell was begun anew: the process was. */
export function growth(before, now, name, wanted) {
  const [was, is] = [sum(before, name, wanted), sum(now, name, wanted)];
  return is < was ? is : is - was;
}

/** Growth a second. */
export const rate = (before, now, name, wanted) =>
  growth(before, now, name, wanted) / Math.max((now.at - before.at) / 1000, 0.001);

/** Values of one label of a name. */
export const values = (reading, name, label) => [
  ...new Set((reading.series.get(name) ?? []).map(({ labels }) => labels[label])),
];

/** Quantiles, in seconds, of what a histogram took in between two readings; null where it took in nothing. */
export function quantiles(before, now, name, wanted_quantiles, wanted = () => true) {
  const bounds = [...new Set((now.series.get(`${name}_bucket`) ?? []).map(({ labels }) => labels.le))]
    .map((le) => ({ le, bound: le === "+Inf" ? Infinity : Number(le) }))
    .sort((a, b) => a.bound - b.bound)
    .map(({ le, bound }) => ({
      bound,
      count: growth(before, now, `${name}_bucket`, (labels) => labels.le === le && wanted(labels)),
    }));
  const all = bounds.at(-1)?.count ?? 0;
  return wanted_quantiles.map((quantile) => (all > 0 ? within(bounds, quantile * all) : null));
}

// Between a bucket's bounds all values are taken to be spread evenly, as Prometheus takes them.
function within(bounds, rank) {
  const place = bounds.findIndex(({ count }) => count >= rank);
  const [upper, lower] = [bounds[place], bounds[place - 1] ?? { bound: 0, count: 0 }];
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
export const dollars = (n) => (n === 0 ? "$0" : n < 0.01 ? `$${n.toPrecision(2)}` : `$${n.toFixed(2)}`);
