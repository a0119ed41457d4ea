// URLs of variants. The README documents the format.

/** Splits a path before the last dot of its last segment. */
function split(path) {
  const dot = path.lastIndexOf(".");
  return dot > path.lastIndexOf("/") + 1 ? [path.slice(0, dot), path.slice(dot + 1)] : [path, ""];
}

const aliases = { jpeg: "jpg" };

/** The part of the URL between the name of the picture and its extension. */
export function suffix({ way, width, height, region, quality, density }) {
  const crop = way === "crop" ? (region === "center" ? "_crop" : `_crop_${region}`) : "";
  const [q, at] = [quality ? `_q${quality}` : "", density > 1 ? `@${density}x` : ""];
  return `_${width ?? ""}x${height ?? ""}${crop}${q}${at}`;
}

/** The path of a variant in three parts, so that the page can highlight the suffix. */
export function parts(path, options) {
  const [stem, extension] = split(path);
  const own = (aliases[extension.toLowerCase()] ?? extension).toLowerCase();
  const ending = extension ? `.${extension}` : "";
  const convert = options.format && options.format !== own && extension ? `.${options.format}` : "";
  return [stem, suffix(options), `${ending}${convert}`];
}

/** The output format for a picture without an explicit format, or "jpg" if the server cannot write the picture's format. */
export function ownFormat(path, written) {
  const extension = split(path)[1].toLowerCase();
  const own = aliases[extension] ?? extension;
  return written.includes(own) ? own : "jpg";
}

/** The path for a local file: its percent-encoded name, with an extension. */
export function pathOf(file) {
  const kind = file.type.split("/")[1] ?? "jpg";
  const name = split(file.name)[1] ? file.name : `${file.name || "picture"}.${aliases[kind] ?? kind}`;
  return `/${encodeURIComponent(name)}`;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");

/** HTML that offers the picture in three densities. */
export function snippet(base, path, options, size) {
  const at = (density) => escaped(base + parts(path, { ...options, density }).join(""));
  const sides = size ? ` width="${size.width}" height="${size.height}"` : "";
  return `<img src="${at(1)}"\n     srcset="${at(1)} 1x,\n             ${at(2)} 2x,\n             ${at(3)} 3x"\n    ${sides} alt="" loading="lazy">`;
}
