// Uploads from a page of another origin in Chromium: a form, fetch, Uppy, Dropzone. Prints the name and response of each as a JSON line.

import { createServer } from "node:http";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { chromium } from "playwright-core";

const { BASE, PAGE_PORT, TOKEN, CAT } = process.env;
const require = createRequire(import.meta.url);
const packaged = (name, file) => readFileSync(join(dirname(require.resolve(`${name}/package.json`)), "dist", file));
const scripts = { "/uppy.js": packaged("uppy", "uppy.min.js"), "/dropzone.js": packaged("dropzone", "dropzone-min.js") };
const html = `<!doctype html><meta charset="utf-8"><title>uploads</title>
<script src="/uppy.js"></script><script src="/dropzone.js"></script>
<form id="form"><input name="title" value="A cat"><input id="file" name="file" type="file"></form>
<div id="zone"></div>`;

createServer((request, response) => {
  const script = scripts[request.url];
  response.setHeader("content-type", script ? "text/javascript" : "text/html");
  response.end(script ?? html);
}).listen(Number(PAGE_PORT), "127.0.0.1");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const page = await browser.newPage();
page.on("console", (message) => console.error("page:", message.text()));
page.on("pageerror", (error) => console.error("page:", error));
await page.goto(`http://127.0.0.1:${PAGE_PORT}/`);
await page.setInputFiles("#file", CAT);

const bytes = statSync(CAT).size;
const settings = { base: BASE, token: TOKEN, bytes };
const uploads = {
  "Chromium, form sent by fetch": async ({ base, token }) => {
    const body = new FormData(document.querySelector("#form"));
    const response = await fetch(`${base}/upload`, { method: "POST", body, headers: { authorization: `Bearer ${token}` } });
    return response.json();
  },
  "Chromium, fetch with a key": async ({ base, token }) => {
    const body = document.querySelector("#file").files[0];
    const headers = { authorization: `Bearer ${token}`, "if-none-match": "*" };
    const response = await fetch(`${base}/upload/from/a%20page.jpg`, { method: "PUT", body, headers });
    if (!response.headers.get("location")) throw new Error("the page cannot read Location");
    return response.json();
  },
  "Chromium, presigned upload by fetch": async ({ base, token, bytes }) => {
    const body = JSON.stringify({ content_type: "image/jpeg", bytes });
    const headers = { authorization: `Bearer ${token}` };
    const signed = await (await fetch(`${base}/upload/sign`, { method: "POST", body, headers })).json();
    const file = document.querySelector("#file").files[0];
    const put = await fetch(signed.url, { method: signed.method, headers: signed.headers, body: file });
    if (!put.ok) throw new Error(`the bucket responded with ${put.status}`);
    return (await fetch(signed.complete, { method: "POST" })).json();
  },
  "Uppy, XHRUpload": async ({ base, token }) => {
    const uppy = new Uppy.Uppy({ autoProceed: false });
    uppy.use(Uppy.XHRUpload, { endpoint: `${base}/upload`, fieldName: "file", headers: { authorization: `Bearer ${token}` } });
    const file = document.querySelector("#file").files[0];
    uppy.addFile({ name: file.name, type: file.type, data: file });
    const { successful, failed } = await uppy.upload();
    if (failed.length) throw new Error(String(failed[0].error));
    return successful[0].response.body;
  },
  "Dropzone": ({ base, token }) =>
    new Promise((resolve, reject) => {
      Dropzone.autoDiscover = false;
      const zone = new Dropzone("#zone", { url: `${base}/upload`, headers: { authorization: `Bearer ${token}` } });
      zone.on("success", (_, response) => resolve(response));
      zone.on("error", (_, error) => reject(new Error(JSON.stringify(error))));
      const file = document.querySelector("#file").files[0];
      zone.addFile(new File([file], file.name, { type: file.type }));
    }),
};
for (const [name, upload] of Object.entries(uploads)) {
  console.log(JSON.stringify([name, await page.evaluate(upload, settings)]));
}
await browser.close();
process.exit(0);
