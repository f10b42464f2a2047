// What the Node peers share: settings from the environment, the one line they print,
// and the servers' first answers. It knows no queue.

import { createRequire } from "node:module";
import Redis from "ioredis";
import pg from "pg";

const require = createRequire(import.meta.url);

/** Runs the case named on the command line and prints its row, or one clear line and exit code 1. */
export async function report(peer, cases) {
  try {
    const name = process.argv[2] ?? "";
    const run = Object.hasOwn(cases, name) ? cases[name] : undefined;
    if (!run) throw new Error(`unknown case "${name}"; cases: ${Object.keys(cases).join(", ")}`);
    const row = { peer, version: require(`${peer}/package.json`).version, case: name, ...(await run()) };
    process.stdout.write(`${JSON.stringify(row)}\n`, () => process.exit(0));
  } catch (error) {
    fail(peer, error);
  }
}

/** Ends the process with one line and exit code 1. */
export function fail(peer, error) {
  process.stderr.write(`${peer}: ${error.message || error.code || error}\n`, () => process.exit(1));
}

/** A whole number from the environment. */
export function number(name, fallback) {
  const text = process.env[name];
  if (text === undefined) return fallback;
  if (!/^\d+$/.test(text)) throw new Error(`${name} is "${text}", which is not a whole number`);
  return Number(text);
}

/** One of `allowed` from the environment; the first is the default. */
export function oneOf(name, allowed) {
  const text = process.env[name] ?? allowed[0];
  if (!allowed.includes(text)) throw new Error(`${name} is "${text}"; allowed: ${allowed.join(", ")}`);
  return text;
}

export function url(name) {
  const text = process.env[name];
  if (!text) throw new Error(`${name} is not set`);
  return text;
}

const shown = (text) => text.replace(/\/\/[^@/]*@/, "//...@");

/** An answering connection to an empty Redis database: a peer empties it again afterwards. */
export async function emptyRedis() {
  const address = url("REDIS_URL");
  const redis = new Redis(address, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5000, maxRetriesPerRequest: null });
  let refusal;
  redis.on("error", (error) => (refusal = error));
  await redis.connect().catch((error) => {
    throw new Error(`cannot reach Redis at ${shown(address)}: ${(refusal ?? error).message}`);
  });
  const keys = await redis.dbsize();
  if (keys > 0) throw new Error(`the Redis database at ${shown(address)} holds ${keys} keys; peers want an empty one, which they empty again`);
  return redis;
}

/** An answering PostgreSQL connection to a database without `schema`: a peer drops it afterwards. */
export async function freshDatabase(schema) {
  const address = url("DATABASE_URL");
  const client = new pg.Client({ connectionString: address, connectionTimeoutMillis: 5000 });
  await client.connect().catch((error) => {
    throw new Error(`cannot reach PostgreSQL at ${shown(address)}: ${error.message || error.code}`);
  });
  const { rowCount } = await client.query("select from pg_namespace where nspname = $1", [schema]);
  if (rowCount > 0) throw new Error(`the database at ${shown(address)} has a schema ${schema}; peers want a database without it and drop it afterwards`);
  return client;
}

/** Redis time spent so far, in microseconds: on commands, and CPU of the main thread.
 *  A script's time holds the commands it calls, which are listed once more under their own
 *  names; so scripts and blocking pops count, and nothing else. */
export async function redisTime(redis) {
  const commands = [...(await redis.info("commandstats")).matchAll(/^cmdstat_(\S+?):.*?usec=(\d+)/gm)];
  const sentByClients = commands.filter(([, name]) => /^(eval|fcall|bzpop|blpop|brpop|blm)/.test(name));
  const cpu = [...(await redis.info("cpu")).matchAll(/^used_cpu_(?:user|sys)_main_thread:([\d.]+)/gm)];
  return {
    commands: sentByClients.reduce((sum, [, , usec]) => sum + Number(usec), 0),
    cpu: cpu.reduce((sum, [, seconds]) => sum + Number(seconds) * 1e6, 0),
  };
}

export const now = () => performance.now();
export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
export const rounded = (value, digits = 1) => Number(value.toFixed(digits));

/** Nearest-rank percentile. */
export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b);
  return rounded(sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)], 3);
}

/** The fields of every drain row. */
export function drained(jobs, finished, milliseconds) {
  return { jobs, finished, complete: finished === jobs, seconds: rounded(milliseconds / 1000, 3), per_second: rounded((finished * 1000) / milliseconds) };
}

/** Ends at `done`, or after MAX_SECONDS (120), which a row then shows as unfinished. */
export async function bounded(done) {
  let timer;
  const limit = new Promise((stop) => (timer = setTimeout(stop, number("MAX_SECONDS", 120) * 1000)));
  await Promise.race([done, limit]);
  clearTimeout(timer);
}
