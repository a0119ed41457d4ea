// The operator's pages in Chromium: the dashboard's numbers, and the playground by mouse, drop and keyboard. Starts the program on
// the sample pictures. Prints a line for each thing that works, and leaves screenshots in target/clients.

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
const TOKEN = "the token of the operator";

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
const works = (what) => console.log(`ok  ${what}`);

async function until(what, condition) {
  const end = Date.now() + 30_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert(Date.now() < end, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const asked = (path) => fetch(base + path).then(async (answer) => ({ status: answer.status, bytes: (await answer.arrayBuffer()).byteLength }));

let browser;
const faults = [];
try {
  await until("resized answers", () => fetch(`${base}/nothing`).catch(() => null));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  await dashboard();
  await playground();
  assert.deepEqual(faults, []);
  works("Chromium, pages: no error, nothing refused by their Content-Security-Policy, nothing asked of another origin");
} finally {
  await browser?.close();
  server.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
}

/** A page that notes what goes wrong, and what is asked of others than the listener. */
async function open(path, more = {}) {
  const context = await browser.newContext({ httpCredentials: { username: "any", password: TOKEN }, viewport: { width: 1360, height: 900 }, ...more });
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    // What is answered to be wrong is shown on the page; Chromium notes it besides.
    if (message.type() === "error" && !message.text().includes("the server responded with a status of 4")) faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(admin) && !request.url().startsWith("blob:")) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(admin + path);
  return page;
}

async function dashboard() {
  const page = await open("/");
  const text = (id) => page.locator(`#${id}`).textContent();
  await until("the dashboard is connected", async () => (await text("state")).startsWith("resized "));
  // Of these, one is made and nine are hits.
  for (let n = 0; n < 10; n += 1) assert.equal((await asked("/cat_320x240.jpg")).status, 200);
  await until("90 % hits are shown", async () => (await text("tile-hits")) === "90 %");
  await until("the legend tells the resize", async () => /^\d/.test(await page.locator("#render .legend b").first().textContent()));
  const label = await until("the picture has its numbers for its name", async () => {
    const told = await page.locator("#requests svg").getAttribute("aria-label");
    return told.startsWith("Requests by outcome, now: hit ") && told;
  });
  assert.match(label, /made \S+/);
  works("Chromium, dashboard: hit ratio, requests and resize times are those of ten requests");

  await page.locator("#requests svg").focus();
  await page.keyboard.press("Home");
  await until("the first moment", async () => (await page.locator("#requests .when").textContent()).endsWith(" ago"));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Pause" }).click();
  assert.equal(await page.getByRole("button", { name: "Resume" }).getAttribute("aria-pressed"), "true");
  await page.getByRole("button", { name: "Resume" }).click();
  works("Chromium, dashboard: its charts are read by the keyboard, and it pauses");

  for (let n = 0; n < Number(process.env.PICTURES ?? 4); n += 1) {
    const paths = ["cat", "coffee", "rocket"].map((name) => `/${name}_${200 + n * 20}x.jpg`);
    await Promise.all([...paths, ...paths, ...Array(20).fill("/cat_320x240.jpg"), "/nothing.jpg", "/cat.jpg"].map(asked));
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
  const shown = (wanted) => until(`${wanted} is shown`, async () => (await text("variant-size")) === wanted);
  await until("pictures of the store are offered", async () => (await page.locator("#names option").count()) > 3);
  await page.getByLabel("or one of the store").fill("/cat.jpg");
  await page.keyboard.press("Tab");
  await until("the original", async () => (await text("original-size")) === "451 × 300");
  await page.getByLabel("Width").fill("200");
  await page.getByLabel("Height").fill("200");
  await shown("200 × 133");
  await page.getByText("Crop", { exact: true }).click();
  await page.getByText("top left", { exact: true }).click();
  await shown("200 × 200");
  await page.getByLabel("Format").selectOption("webp");
  await page.getByText("2×", { exact: true }).click();
  await until("the URL", async () => (await text("url")) === `${base}/cat_200x200_crop_top_left@2x.jpg.webp`);
  await shown("400 × 300");
  const direct = await asked("/cat_200x200_crop_top_left@2x.jpg.webp");
  await until("its bytes", async () => Number(await page.locator("#variant-bytes").getAttribute("data-bytes")) === direct.bytes);
  await until("the snippet", async () => (await text("snippet")).includes(`${base}/cat_200x200_crop_top_left@3x.jpg.webp 3x`));
  assert.match(await text("variant-cache"), /made|memory|stored/);
  works("Chromium, playground: a picture of the store, its URL, bytes and srcset");

  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy the HTML" }).click();
  await until("it is copied", async () => (await text("state")) === "copied");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await text("snippet"));
  works("Chromium, playground: the snippet is copied");
  await page.screenshot({ path: join(here, "playground-light.png"), fullPage: true });

  const picture = readFileSync(join(ROOT, "samples", "astronaut.jpg")).toString("base64");
  const dropped = await page.evaluateHandle(([data]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], "an astronaut.jpg", { type: "image/jpeg" }));
    return transfer;
  }, [picture]);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
  await until("the dropped one's URL", async () => (await text("url")) === `${base}/an%20astronaut_200x200_crop_top_left@2x.jpg.webp`);
  await shown("400 × 400");
  assert.match(await text("variant-render"), /^[\d.]+ ms$/);
  assert.equal((await asked("/an%20astronaut_200x200.jpg")).status, 404, "it is not stored");
  works("Chromium, playground: a dropped picture is made by the server and not stored");

  await page.locator("#quality").focus();
  await page.keyboard.press("End");
  await until("lossless", async () => (await text("url")).includes("_q100@2x"));
  await page.keyboard.press("Home");
  await page.getByRole("radio", { name: "top left" }).focus();
  for (const _ of Array(9)) await page.keyboard.press("ArrowRight");
  await until("smart by the arrow keys", async () => (await text("url")).includes("_crop_smart@2x"));
  works("Chromium, playground: the controls work by the keyboard");

  await page.getByLabel("Height").fill("");
  await page.locator("#problem", { hasText: "give both sides" }).waitFor();
  await page.getByLabel("Height").fill("200");
  await page.locator("#problem").waitFor({ state: "hidden" });
  await page.setInputFiles("#file", { name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture at all") });
  await page.locator("#problem", { hasText: "not a picture" }).waitFor();
  works("Chromium, playground: what is wrong is said");

  await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
  await page.locator("#problem").waitFor({ state: "hidden" });
  await shown("400 × 400");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(here, "playground-dark.png"), fullPage: true });
  await page.setViewportSize({ width: 400, height: 800 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert(wide <= 400, `${wide} pixels on a telephone`);
  await page.screenshot({ path: join(here, "playground-narrow.png"), fullPage: true });
  await page.context().close();
}
