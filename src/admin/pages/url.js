// The URLs of variants, as the README's table tells them.

/** Splits a path before the last dot of its last segment. */
function split(path) {
  const dot = path.lastIndexOf(".");
  return dot > path.lastIndexOf("/") + 1 ? [path.slice(0, dot), path.slice(dot + 1)] : [path, ""];
}

const same = { jpeg: "jpg" };

/** The suffix alone: what comes between the picture's name and its extension. */
export function suffix({ way, width, height, region, quality, density }) {
  const crop = way === "crop" ? (region === "center" ? "_crop" : `_crop_${region}`) : "";
  const [q, at] = [quality ? `_q${quality}` : "", density > 1 ? `@${density}x` : ""];
  return `_${width ?? ""}x${height ?? ""}${crop}${q}${at}`;
}

/** The variant's path in three parts, so that the middle can be shown as what it is. */
export function parts(path, wanted) {
  const [stem, extension] = split(path);
  const own = (same[extension.toLowerCase()] ?? extension).toLowerCase();
  const ending = extension ? `.${extension}` : "";
  const convert = wanted.format && wanted.format !== own && extension ? `.${wanted.format}` : "";
  return [stem, suffix(wanted), `${ending}${convert}`];
}

/** What a picture's format is that keeps its own, or "jpg" where its extension is none that is written. */
export function ownFormat(path, written) {
  const extension = split(path)[1].toLowerCase();
  const own = same[extension] ?? extension;
  return written.includes(own) ? own : "jpg";
}

/** A file's name as a path: percent-encoded, and with an extension. */
export function pathOf(file) {
  const kind = file.type.split("/")[1] ?? "jpg";
  const name = split(file.name)[1] ? file.name : `${file.name || "picture"}.${same[kind] ?? kind}`;
  return `/${encodeURIComponent(name)}`;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");

/** HTML with the picture in three densities. */
export function snippet(base, path, wanted, size) {
  const at = (density) => escaped(base + parts(path, { ...wanted, density }).join(""));
  const sides = size ? ` width="${size.width}" height="${size.height}"` : "";
  return `<img src="${at(1)}"\n     srcset="${at(1)} 1x,\n             ${at(2)} 2x,\n             ${at(3)} 3x"\n    ${sides} alt="" loading="lazy">`;
}
