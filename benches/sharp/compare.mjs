// Compares sharp and resized in alternating measurements. benches/sharp.sh installs, builds and runs this.
//
//   node compare.mjs OURS PHOTOS WORK PART...
//
// OURS is the program that runs resized's pipeline (src/main.rs), PHOTOS a folder of pictures, WORK a folder for derived files, and PART
// one or more of speed, quality, memory and light.
import { spawn, execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import sharp from "sharp";

sharp.concurrency(1);
sharp.cache(false);

const [ours, photos, work, ...parts] = process.argv.slice(2);
const rounds = Number(process.env.ROUNDS ?? 9);
const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./;
const quality = 80;

// ---- resized and Pillow, in processes that answer each line with one line

class Program {
    constructor(command, ...args) {
        this.child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
        this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    }
    async ask(job) {
        this.child.stdin.write(JSON.stringify(job) + "\n");
        const { value, done } = await this.lines.next();
        if (done) throw new Error(`${this.child.spawnfile} exited at ${JSON.stringify(job)}`);
        return JSON.parse(value);
    }
    end() {
        this.child.stdin.end();
    }
}

const startOurs = () => new Program(ours);

// ---- sharp, in this process

function pipeline(input, width, format, option) {
    let resized = sharp(input, { limitInputPixels: false });
    if (option === "linear light") resized = resized.pipelineColourspace("scrgb");
    resized = resized.rotate().resize({ width });
    if (option === "P3 kept") resized = resized.withIccProfile("p3");
    if (format === "jpg") return resized.jpeg({ quality });
    if (format === "webp") return resized.webp({ quality });
    if (format === "avif") return resized.avif({ quality: 50 });
    return resized.png();
}

async function withSharp(input, { widths, format, option }) {
    const cpu = process.cpuUsage();
    const start = process.hrtime.bigint();
    let made;
    for (const width of widths) made = await pipeline(input, width, format, option).toBuffer();
    const wall_ms = Number(process.hrtime.bigint() - start) / 1e6;
    const used = process.cpuUsage(cpu);
    return { cpu_ms: (used.user + used.system) / 1e3, wall_ms, made };
}

// ---- pictures

// Makes a HEIC file as phones do, in 8 bits and 4:2:0.
const HEIC =
    "import sys, pillow_heif; from PIL import Image; pillow_heif.register_heif_opener(); " +
    "Image.open(sys.argv[1]).convert('RGB').save(sys.argv[2], quality=80)";

// Derives inputs from the pictures in PHOTOS once: lossless progressive copies, and the same photograph in other formats.
async function prepare() {
    const found = [];
    for (const name of fs.readdirSync(photos).sort()) {
        const file = path.join(photos, name);
        const meta = await sharp(file).metadata().catch(() => null);
        if (!meta || (meta.pages ?? 1) > 1 || meta.space === "cmyk") continue;
        found.push({ name, file, megapixels: (meta.width * meta.height) / 1e6, ...meta });
    }
    const jpegs = found.filter((p) => p.format === "jpeg");
    const large = jpegs.filter((p) => p.megapixels > 11.5 && p.megapixels < 25 && !p.isProgressive);
    if (large.length === 0) throw new Error(`${photos} has no baseline JPEG of 12 to 24 megapixels`);
    const derive = (from, suffix, command) => {
        const file = path.join(work, path.parse(from.name).name + suffix);
        if (!fs.existsSync(file)) command(file);
        return { name: path.basename(file), file };
    };
    const jpegtran = (args, input, file) => execFileSync("jpegtran", ["-copy", "all", ...args, "-outfile", file, input]);
    // Two copies side by side are 24 megapixels of the same detail, made losslessly.
    const first = large.find((p) => (p.orientation ?? 1) === 1) ?? large[0];
    const wide = derive(first, "_twice.jpg", (file) => {
        const half = `${file}.half`;
        jpegtran(["-crop", `${2 * first.width}fx${first.height}+0+0`], first.file, half);
        jpegtran(["-drop", `+${first.width}+0`, first.file], half, file);
        fs.rmSync(half);
    });
    const progressive = large.map((p) => derive(p, "_progressive.jpg", (file) => jpegtran(["-progressive"], p.file, file)));
    const copies = {};
    for (const [kind, make] of Object.entries({
        png: (input) => sharp(input).rotate().resize({ width: 3000 }).png(),
        webp: (input) => sharp(input).rotate().webp({ quality: 85 }),
    })) {
        const file = path.join(work, `${path.parse(first.name).name}.${kind}`);
        if (!fs.existsSync(file)) await make(first.file).toFile(file);
        copies[kind] = { name: path.basename(file), file };
    }
    // The same photograph in formats that are decoded in a sandboxed process, and in Display P3.
    const other = {};
    for (const [kind, make] of Object.entries({
        tif: (from, to) => sharp(from).tiff({ compression: "lzw" }).toFile(to),
        avif: (from, to) => sharp(from).avif({ quality: 60, effort: 2 }).toFile(to),
        jxl: (from, to) => execFileSync("cjxl", [from, to, "-q", "85"], { stdio: "ignore" }),
        heic: (from, to) => execFileSync("python3", ["-c", HEIC, from, to]),
        "p3.jpg": (from, to) => sharp(from).withIccProfile("p3").jpeg({ quality: 90 }).toFile(to),
    })) {
        const file = path.join(work, `${path.parse(first.name).name}.${kind}`);
        if (!fs.existsSync(file)) await make(copies.png.file, file);
        other[kind] = { name: path.basename(file), file };
    }
    const gainMaps = jpegs.filter((p) => p.gainMap);
    const alpha = found.filter((p) => p.format === "png" && p.hasAlpha && p.megapixels > 0.5);
    const webps = found.filter((p) => p.format === "webp" && p.megapixels > 0.5);
    return { first, large: [...large, wide], progressive, pngs: [copies.png, ...alpha], webps: [copies.webp, ...webps], other, gainMaps };
}

function cells({ first, large, progressive, pngs, webps, other, gainMaps }) {
    const cells = [];
    const add = (row, pictures, widths, format, more = {}) => {
        for (const picture of pictures) cells.push({ row, picture, widths, format, ...more });
    };
    for (const width of [300, 800, 1600]) add(`JPEG -> ${width} JPEG`, large, [width], "jpg");
    for (const width of [300, 800]) add(`JPEG -> ${width} WebP`, large, [width], "webp");
    for (const width of [300, 800]) add(`progressive -> ${width} JPEG`, progressive, [width], "jpg");
    add("PNG -> 800 PNG", pngs, [800], "png");
    add("PNG -> 800 WebP", pngs, [800], "webp");
    add("WebP -> 800 WebP", webps, [800], "webp");
    add("six sizes, JPEG", [first], [320, 480, 640, 960, 1280, 1600], "jpg");
    add("TIFF -> 800 JPEG", [other.tif], [800], "jpg");
    add("AVIF -> 800 JPEG", [other.avif], [800], "jpg");
    add("JPEG XL -> 800 JPEG", [other.jxl], [800], "jpg", { peer: "Pillow" });
    add("HEIC -> 800 JPEG", [other.heic], [800], "jpg", { peer: "Pillow" });
    add("P3 kept, 800 JPEG", [other["p3.jpg"]], [800], "jpg", { option: "P3 kept" });
    // sharp drops the gain map.
    add("gain map kept, 800 JPEG", gainMaps, [800], "jpg", { option: "gain map" });
    add("linear light, 512 JPEG", large, [512], "jpg", { option: "linear light" });
    if (process.env.AVIF) add("JPEG -> 800 AVIF", large, [800], "avif");
    return cells.filter((cell) => only.test(`${cell.row} ${cell.picture.name}`));
}

// Returns the variants of a table cell in the format of a job.
function variants({ widths, format }) {
    return widths.map((width) => ({ width, format, quality: format === "avif" ? 60 : quality }));
}

// Returns the job that renders a table cell.
function job(cell) {
    const options = { linear_light: cell.option === "linear light", gain_maps: cell.option === "gain map" };
    return { job: "render", file: cell.picture.file, variants: variants(cell), ...options };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

// ---- parts

async function speed(all) {
    const half = startOurs();
    const pillow = all.some((cell) => cell.peer) && new Program("python3", path.join(import.meta.dirname, "pillow.py"));
    console.log("\n| cell | picture | peer | CPU ms | ours | ratio | wall ms | ours | ratio |");
    console.log("|---|---|---|---|---|---|---|---|---|");
    for (const cell of all) {
        const input = fs.readFileSync(cell.picture.file);
        const output = path.join(work, "made");
        const times = { peer: [], ours: [] };
        for (let round = 0; round <= rounds; round++) {
            const theirs = cell.peer
                ? await pillow.ask({ file: cell.picture.file, width: cell.widths[0], quality, output })
                : await withSharp(input, cell);
            const own = await half.ask(job(cell));
            // The first round is a warm-up.
            if (round > 0) times.peer.push(theirs) && times.ours.push(own);
        }
        const of = (side, what) => median(times[side].map((time) => time[what]));
        const numbers = ["cpu_ms", "wall_ms"].flatMap((what) => {
            const ratio = median(times.peer.map((time, n) => time[what] / times.ours[n][what]));
            return [of("peer", what).toFixed(1), of("ours", what).toFixed(1), ratio.toFixed(2)];
        });
        console.log(`| ${cell.row} | ${cell.picture.name} | ${cell.peer ?? "sharp"} | ${numbers.join(" | ")} |`);
    }
    half.end();
    if (pillow) pillow.end();
}

async function qualities(all) {
    const half = startOurs();
    console.log("\n| cell | picture | sharp bytes | ours | ours / sharp | sharp ssimulacra2 | ours | ours - sharp |");
    console.log("|---|---|---|---|---|---|---|---|");
    for (const cell of all) {
        const input = fs.readFileSync(cell.picture.file);
        const [output, plain] = [path.join(work, "made"), path.join(work, "plain.png")];
        const own = await half.ask({ ...job(cell), output });
        const theirs = await withSharp(input, cell);
        const score = async (made) => {
            await sharp(made).png({ compressionLevel: 1 }).toFile(plain);
            return (await half.ask({ job: "score", file: cell.picture.file, made: plain })).score;
        };
        const scores = [await score(theirs.made), await score(fs.readFileSync(output))];
        const [a, b] = [theirs.made.length, own.bytes];
        console.log(
            `| ${cell.row} | ${cell.picture.name} | ${a} | ${b} | ${(b / a).toFixed(3)} ` +
                `| ${scores[0].toFixed(2)} | ${scores[1].toFixed(2)} | ${(scores[1] - scores[0]).toFixed(2)} |`,
        );
    }
    half.end();
}

// Our scaling in linear light compared with our gamma-encoded scaling, in alternating measurements. Each method is scored against
// references of both kinds.
async function light() {
    const half = startOurs();
    const methods = [false, true];
    console.log("\n| 512 JPEG of | gamma CPU ms | linear light | ratio | gamma bytes | linear light | gamma in gamma reference | in linear | linear light in gamma reference | in linear |");
    console.log("|---|---|---|---|---|---|---|---|---|---|");
    for (const name of fs.readdirSync(photos).sort().filter((name) => name.endsWith(".jpg") && only.test(name))) {
        const file = path.join(photos, name);
        const { format, space, width } = await sharp(file).metadata();
        if (format !== "jpeg" || space === "cmyk" || width < 1024) continue;
        const variant = [{ width: 512, format: "jpg", quality }];
        const times = [[], []];
        for (let round = 0; round < rounds; round++) {
            for (const linear_light of methods) {
                const made = await half.ask({ job: "render", file, variants: variant, linear_light });
                times[Number(linear_light)].push(made.cpu_ms);
            }
        }
        const [output, plain] = [path.join(work, "made"), path.join(work, "plain.png")];
        const [bytes, scores] = [[], []];
        for (const linear_light of methods) {
            bytes.push((await half.ask({ job: "render", file, variants: variant, output, linear_light })).bytes);
            await sharp(output).png({ compressionLevel: 1 }).toFile(plain);
            for (const reference of methods) {
                const { score } = await half.ask({ job: "score", file, made: plain, linear_light: reference });
                scores.push(score.toFixed(1));
            }
        }
        const ratio = median(times[1].map((time, n) => time / times[0][n]));
        const cells = [median(times[0]).toFixed(1), median(times[1]).toFixed(1), ratio.toFixed(2), ...bytes, ...scores];
        console.log(`| ${name} | ${cells.join(" | ")} |`);
    }
    half.end();
}

// Each measurement is a separate process, and includes the bytes of the original.
async function memory(all) {
    console.log("\n| cell | picture | sharp peak MB | ours |");
    console.log("|---|---|---|---|");
    for (const cell of all) {
        const script =
            `import fs from "node:fs"; import sharp from "sharp"; sharp.concurrency(1); sharp.cache(false);` +
            `const quality = ${quality}; const input = fs.readFileSync(process.env.FILE);` +
            `for (const width of [${cell.widths}]) await (${pipeline})(input, width, "${cell.format}", "${cell.option}").toBuffer();` +
            `console.log(Math.round(/VmHWM:\\s*(\\d+)/.exec(fs.readFileSync("/proc/self/status"))[1] / 1024));`;
        const env = { ...process.env, FILE: path.resolve(cell.picture.file) };
        const theirs = execFileSync(process.execPath, ["--input-type=module", "-e", script], { env, cwd: import.meta.dirname });
        const half = startOurs();
        const own = await half.ask(job(cell));
        half.end();
        console.log(`| ${cell.row} | ${cell.picture.name} | ${Number(theirs)} | ${own.peak_mb} |`);
    }
}

const all = cells(await prepare());
const readBySharp = all.filter((cell) => !cell.peer);
console.log(`sharp ${sharp.versions.sharp} (libvips ${sharp.versions.vips}), quality ${quality}, ${rounds} rounds`);
if (parts.includes("light")) await light();
if (parts.includes("speed")) await speed(all);
if (parts.includes("quality")) await qualities(readBySharp);
if (parts.includes("memory")) await memory(readBySharp);
