// Tests the admin pages in Chromium: the metrics of the dashboard, and the playground with mouse, drag and drop, and keyboard. Starts the
// program with the sample pictures. Prints a line for each passed test and writes screenshots to target/clients.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { ROOT, PROGRAM } = process.env;
const here = join(ROOT, "target", "clients");
const folder = mkdtempSync(join(tmpdir(), "resized-pages-"));
const TOKEN = "the admin token";

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
const [port, adminPort] = [await freePort(), await freePort()];
const [base, admin] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${adminPort}`];
const settings = {
  SERVER__LISTEN: `127.0.0.1:${port}`, ADMIN__LISTEN: `127.0.0.1:${adminPort}`, ADMIN__TOKEN: TOKEN,
  ORIGINALS__STORE: `file:${join(ROOT, "samples")}`, VARIANTS__STORE: `file:${join(folder, "variants")}`, LOG__ACCESS: "false",
};
const environment = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`RESIZED_${name}`, value]));
const server = spawn(PROGRAM, [], { env: { ...process.env, ...environment }, cwd: folder, stdio: "ignore" });
const passed = (name) => console.log(`ok  ${name}`);

async function until(description, condition) {
  const end = Date.now() + 30_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert(Date.now() < end, `timed out: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const request = (path) => fetch(base + path).then(async (response) => ({ status: response.status, bytes: (await response.arrayBuffer()).byteLength }));

let browser;
const errors = [];
try {
  await until("resized responds", () => fetch(`${base}/nothing`).catch(() => null));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  await dashboard();
  await playground();
  assert.deepEqual(errors, []);
  passed("Chromium, pages: no errors, no Content-Security-Policy violations, no requests to other origins");
} finally {
  await browser?.close();
  server.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
}

/** Opens a page and records its errors and its requests to other origins. */
async function open(path, options = {}) {
  const context = await browser.newContext({ httpCredentials: { username: "any", password: TOKEN }, viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    // The page shows 4xx responses to the user; Chromium also logs them to the console.
    if (message.type() === "error" && !message.text().includes("the server responded with a status of 4")) errors.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(admin) && !request.url().startsWith("blob:")) errors.push(`request to ${request.url()}`);
  });
  await page.goto(admin + path);
  return page;
}

async function dashboard() {
  const page = await open("/");
  const text = (id) => page.locator(`#${id}`).textContent();
  await until("the dashboard is connected", async () => (await text("state")).startsWith("resized "));
  // The first response is made, and the other nine are hits.
  for (let n = 0; n < 10; n += 1) assert.equal((await request("/cat_320x240.jpg")).status, 200);
  await until("a hit ratio of 90 % is shown", async () => (await text("tile-hits")) === "90 %");
  await until("the legend shows the resize time", async () => /^\d/.test(await page.locator("#render .legend b").first().textContent()));
  const label = await until("the chart has its values as its label", async () => {
    const text = await page.locator("#requests svg").getAttribute("aria-label");
    return text.startsWith("Requests by outcome, now: hit ") && text;
  });
  assert.match(label, /made \S+/);
  passed("Chromium, dashboard: shows hit ratio, requests and resize times of ten requests");

  await page.locator("#requests svg").focus();
  await page.keyboard.press("Home");
  await until("the first sample is selected", async () => (await page.locator("#requests .when").textContent()).endsWith(" ago"));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Pause" }).click();
  assert.equal(await page.getByRole("button", { name: "Resume" }).getAttribute("aria-pressed"), "true");
  await page.getByRole("button", { name: "Resume" }).click();
  passed("Chromium, dashboard: the keyboard selects samples in charts, and updates can be paused");

  for (let n = 0; n < Number(process.env.PICTURES ?? 4); n += 1) {
    const paths = ["cat", "coffee", "rocket"].map((name) => `/${name}_${200 + n * 20}x.jpg`);
    await Promise.all([...paths, ...paths, ...Array(20).fill("/cat_320x240.jpg"), "/nothing.jpg", "/cat.jpg"].map(request));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  await page.screenshot({ path: join(here, "dashboard-light.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(here, "dashboard-dark.png"), fullPage: true });
  await page.context().close();
}

async function playground() {
  const page = await open("/playground");
  const text = (id) => page.locator(`#${id}`).textContent();
  const showsSize = (size) => until(`${size} is shown`, async () => (await text("variant-size")) === size);
  await until("the stored pictures are listed", async () => (await page.locator("#names option").count()) > 3);
  await page.getByLabel("or one of the store").fill("/cat.jpg");
  await page.keyboard.press("Tab");
  await until("the original is shown", async () => (await text("original-size")) === "451 × 300");
  await page.getByLabel("Width").fill("200");
  await page.getByLabel("Height").fill("200");
  await showsSize("200 × 133");
  await page.getByText("Crop", { exact: true }).click();
  await page.getByText("top left", { exact: true }).click();
  await showsSize("200 × 200");
  await page.getByLabel("Format").selectOption("webp");
  await page.getByText("2×", { exact: true }).click();
  await until("the URL is shown", async () => (await text("url")) === `${base}/cat_200x200_crop_top_left@2x.jpg.webp`);
  await showsSize("400 × 300");
  const direct = await request("/cat_200x200_crop_top_left@2x.jpg.webp");
  await until("its size in bytes is shown", async () => Number(await page.locator("#variant-bytes").getAttribute("data-bytes")) === direct.bytes);
  await until("the snippet is shown", async () => (await text("snippet")).includes(`${base}/cat_200x200_crop_top_left@3x.jpg.webp 3x`));
  assert.match(await text("variant-cache"), /made|memory|stored/);
  passed("Chromium, playground: shows a stored picture with its URL, bytes and srcset");

  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy the HTML" }).click();
  await until("the snippet is copied", async () => (await text("state")) === "copied");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await text("snippet"));
  passed("Chromium, playground: the snippet is copied");
  await page.screenshot({ path: join(here, "playground-light.png"), fullPage: true });

  const picture = readFileSync(join(ROOT, "samples", "astronaut.jpg")).toString("base64");
  const dropped = await page.evaluateHandle(([data]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], "an astronaut.jpg", { type: "image/jpeg" }));
    return transfer;
  }, [picture]);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
  await until("the URL of the dropped picture is shown", async () => (await text("url")) === `${base}/an%20astronaut_200x200_crop_top_left@2x.jpg.webp`);
  await showsSize("400 × 400");
  assert.match(await text("variant-render"), /^[\d.]+ ms$/);
  assert.equal((await request("/an%20astronaut_200x200.jpg")).status, 404, "the dropped picture was stored");
  passed("Chromium, playground: the server resizes a dropped picture without storing it");

  await page.locator("#quality").focus();
  await page.keyboard.press("End");
  await until("quality 100 is selected", async () => (await text("url")).includes("_q100@2x"));
  await page.keyboard.press("Home");
  await page.getByRole("radio", { name: "top left" }).focus();
  for (const _ of Array(9)) await page.keyboard.press("ArrowRight");
  await until("the arrow keys select smart", async () => (await text("url")).includes("_crop_smart@2x"));
  passed("Chromium, playground: the controls work by the keyboard");

  await page.getByLabel("Height").fill("");
  await page.locator("#problem", { hasText: "give both sides" }).waitFor();
  await page.getByLabel("Height").fill("200");
  await page.locator("#problem").waitFor({ state: "hidden" });
  await page.setInputFiles("#file", { name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture at all") });
  await page.locator("#problem", { hasText: "not an image" }).waitFor();
  passed("Chromium, playground: shows errors");

  await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
  await page.locator("#problem").waitFor({ state: "hidden" });
  await showsSize("400 × 400");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(here, "playground-dark.png"), fullPage: true });
  await page.setViewportSize({ width: 400, height: 800 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert(wide <= 400, `the page is ${wide} pixels wide on a phone`);
  await page.screenshot({ path: join(here, "playground-narrow.png"), fullPage: true });
  await page.context().close();
}
