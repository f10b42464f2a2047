// A person connects accounts in a real browser, and the connection lives on: consent, sync,
// a token that ends, a grant that is taken back, a new consent.
//
// Environment: PATCHBAY_URL, PATCHBAY_API_KEY, SANDBOX_URL, OPENER_PORT, CHROMIUM. Prints a
// line a step; ends with 0 when every step was seen.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const { PATCHBAY_URL: base, PATCHBAY_API_KEY: key, SANDBOX_URL: sandbox } = process.env;
const openerPort = Number(process.env.OPENER_PORT);
const step = (words) => console.log(`ok ${words}`);

async function call(method, address, body) {
  const answer = await fetch(address, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${address}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}
const api = (method, path, body) => call(method, `${base}/api/integrations/${path}`, body);
const control = (method, path, body) => call(method, `${sandbox}/_control/${path}`, body);

async function until(words, look) {
  const end = Date.now() + 30_000;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    assert.ok(Date.now() < end, `not within 30 s: ${words}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

// The page of the product that opened the consent: it hears how it ended.
const opener = createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end(`<!doctype html><title>Product</title><button id="connect">Connect</button><script>
    window.heard = [];
    addEventListener("message", (event) => heard.push({ origin: event.origin, data: event.data }));
    document.getElementById("connect").onclick = () => window.open(window.consent, "consent");
  </script>`);
});
await new Promise((ready) => opener.listen(openerPort, "127.0.0.1", ready));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

/** Opens the consent from the product's page; `decide` acts on the provider's page. */
async function consent(asked, decide) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${openerPort}/`);
  await page.evaluate((url) => { window.consent = url; }, asked.url);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.click("#connect")]);
  await popup.waitForSelector("#consent");
  await decide(popup);
  const heard = await until("the opener hears", () => page.evaluate(() => window.heard[0]));
  assert.equal(heard.origin, new URL(base).origin);
  assert.equal(heard.data.type, "patchbay:connect");
  return { heard: heard.data, popup, context };
}

const allow = (page) => page.click("#allow");

async function connect(provider, body = {}) {
  const asked = await api("POST", `authorize/${provider}`, body);
  const { heard, popup, context } = await consent(asked, allow);
  assert.equal(heard.status, "connected", JSON.stringify(heard));
  await until("the small page closes itself", () => popup.isClosed());
  await context.close();
  return heard.connection;
}

const connection = (id) => api("GET", `connections/${id}`);

/** What is told of a credential: fields by name and mask, and nothing that could be a token. */
function showsNoToken({ mask, ...told }) {
  assert.deepEqual(Object.keys(mask).sort(), ["access_token", "refresh_token"]);
  for (const masked of Object.values(mask)) assert.match(masked, /^•{4}.{4}$/);
  for (const [name, value] of Object.entries(told)) {
    assert.doesNotMatch(name, /token|secret/);
    // Tokens of the stand-ins have 43 characters and more; times, ids and scopes that many
    // letters, digits, dashes and underscores in a row never.
    for (const text of [value].flat()) assert.doesNotMatch(String(text), /[\w-]{40}/);
  }
}

async function sync(id, stream) {
  const { jobs } = await api("POST", `connections/${id}/sync?wait=30`, { streams: [stream] });
  return jobs[0];
}

try {
  const square = await connect("square");
  const drive = await connect("google_drive");
  step("Square and Google Drive were connected by their consent pages");

  for (const [id, stream] of [[square, "catalog"], [drive, "files"]]) {
    const job = await sync(id, stream);
    assert.equal(job.state, "succeeded", JSON.stringify(job));
    assert.ok(job.result.records > 0, JSON.stringify(job.result));
    step(`${stream}: ${job.result.records} records`);
  }

  const before = (await connection(square)).credential;
  assert.equal(before.status, "active");
  assert.equal(before.origin, "consent");
  showsNoToken(before);
  showsNoToken((await connection(drive)).credential);
  // Access tokens of Square live for 30 days, those of Google for an hour.
  await control("POST", "clock", { advance_ms: 31 * 24 * 3_600_000 });
  for (const [id, stream] of [[square, "catalog"], [drive, "files"]]) {
    const job = await sync(id, stream);
    assert.equal(job.state, "succeeded", JSON.stringify(job));
    const after = (await connection(id)).credential;
    assert.ok(after.refreshed_at, JSON.stringify(after));
    assert.equal(after.version, 2);
    showsNoToken(after);
  }
  step("a month later both tokens had ended and were refreshed while the syncs ran");

  await control("POST", "square/revoke", {});
  const parked = await sync(square, "customers");
  assert.equal(parked.state, "parked", JSON.stringify(parked));
  const broken = await connection(square);
  assert.equal(broken.status, "expired");
  assert.equal(broken.credential.status, "expired");
  assert.match(broken.last_error.action, /connect/i);
  step(`taken back at Square: expired, the job is parked, and a person reads: ${broken.last_error.action}`);

  const again = await connect("square", { connection_id: square });
  assert.equal(again, square);
  const done = await until("the parked job finishes", async () => {
    const job = await api("GET", `jobs/${parked.id}`);
    return job.state === "succeeded" && job;
  });
  assert.ok(done.result.records > 0);
  assert.equal((await connection(square)).status, "active");
  step("connected again: the parked job has finished");

  const asked = await api("POST", "authorize/google_drive", { connection_id: drive });
  const denied = await consent(asked, (page) => page.click("#deny"));
  assert.equal(denied.heard.status, "failed");
  assert.equal(await denied.popup.isClosed(), false, "what went wrong stays to be read");
  assert.match(await denied.popup.innerText("main"), /denied|refused|not connected/i);
  assert.equal((await connection(drive)).status, "active", "a refusal breaks nothing");
  await denied.context.close();
  step("a refusal says so and breaks nothing");
} finally {
  await browser.close();
  opener.close();
}
