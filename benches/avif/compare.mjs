// Compares AVIF made by sharp and by resized from the same pixels. run.sh installs, builds and runs this.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import sharp from "sharp";

sharp.concurrency(1);
sharp.cache(false);

const [ours, work, ...photos] = process.argv.slice(2);
const side = Number(process.env.SIDE ?? 800);
const run = (...args) => execFileSync(ours, args, { encoding: "utf8" }).trim();
const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const file = (name) => path.join(work, name);

async function measured(name, reference, make) {
    const { bytes, ms } = await make();
    fs.writeFileSync(file(`${name}.avif`), bytes);
    await sharp(bytes).png().toFile(file(`${name}.png`));
    return { ms, bytes: bytes.length, score: Number(run("score", reference, file(`${name}.png`))) };
}

const bySharp = (reference, options) => async () => {
    const times = [];
    let bytes;
    for (let n = 0; n < 3; n++) {
        const start = cpu();
        bytes = await sharp(reference).avif(options).toBuffer();
        times.push(cpu() - start);
    }
    return { bytes, ms: median(times) };
};
const byOurs = (reference, quality) => async () => {
    const ms = Number(run("encode", reference, file("ours.avif"), String(quality)));
    return { bytes: fs.readFileSync(file("ours.avif")), ms };
};

const encoders = [
    ...[0, 4].flatMap((effort) => [40, 50, 65].map((quality) => [`sharp effort ${effort} q${quality}`,
        (r) => bySharp(r, { effort, quality, chromaSubsampling: "4:2:0" })])),
    ...[50, 60, 70, 80].map((quality) => [`ours q${quality}`, (r) => byOurs(r, quality)]),
];
const sums = new Map();
for (const photo of photos) {
    const reference = file(`${path.basename(photo)}.reference.png`);
    await sharp(photo).rotate().resize(side, side, { fit: "inside" }).removeAlpha().png().toFile(reference);
    for (const [name, make] of encoders) {
        const one = await measured("picture", reference, make(reference));
        const all = sums.get(name) ?? [];
        sums.set(name, [...all, one]);
    }
}
console.log(`${photos.length} pictures, ${side} pixels on the longer side, means\n`);
console.log("| encoder | CPU ms | KB | ssimulacra2 |\n|---|---|---|---|");
for (const [name, all] of sums) {
    const mean = (key) => all.reduce((sum, one) => sum + one[key], 0) / all.length;
    console.log(`| ${name} | ${mean("ms").toFixed(0)} | ${(mean("bytes") / 1000).toFixed(1)} | ${mean("score").toFixed(1)} |`);
}
