// graphile-worker on PostgreSQL: drain and idle pick-up.
//   node graphile-worker.mjs drain|pickup      BATCH = size of its localQueue, 0 for none

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { bounded, drained, freshDatabase, now, number, percentile, report, sleep, url } from "./measure.mjs";

const SCHEMA = "graphile_worker";
const ADD_BATCH = 1000;

const quiet = new Logger(() => (level, message) => {
  if (level === "error") process.stderr.write(`graphile-worker: ${message}\n`);
});

/** Runs `body` on a fresh schema and drops it again. */
async function withSchema(body) {
  const client = await freshDatabase(SCHEMA);
  const batch = number("BATCH", 0);
  const concurrency = number("CONCURRENCY", 24);
  const settings = { connectionString: url("DATABASE_URL"), maxPoolSize: concurrency + 1, concurrentJobs: concurrency, logger: quiet };
  // Batched fetches without batched completions would leave half of the batching out.
  if (batch > 0) Object.assign(settings, { localQueue: { size: batch }, completeJobBatchDelay: 0, failJobBatchDelay: 0 });
  const utils = await makeWorkerUtils({ connectionString: url("DATABASE_URL"), logger: quiet });
  let runner;
  const startWorker = async (task) =>
    (runner = await run({ preset: { worker: settings }, logger: quiet, noHandleSignals: true, parsedCronItems: [], taskList: { job: task } }));
  try {
    await utils.migrate();
    const row = await body({ client, utils, startWorker });
    const fetch = batch > 0 ? `localQueue ${batch}, completions batched` : "none";
    return { ...row, batch: `${row.add}, ${fetch}`, add: undefined, concurrency, finished_jobs: "removed" };
  } finally {
    await runner?.stop();
    await utils.release();
    await client.query(`drop schema ${SCHEMA} cascade`);
    await client.end();
  }
}

const drain = () =>
  withSchema(async ({ client, utils, startWorker }) => {
    const jobs = number("JOBS", 100_000);
    for (let first = 0; first < jobs; first += ADD_BATCH) {
      const size = Math.min(ADD_BATCH, jobs - first);
      await utils.addJobs(Array.from({ length: size }, () => ({ identifier: "job", payload: {} })));
    }
    await client.query("vacuum analyze");
    let started = 0;
    let allStarted;
    const done = new Promise((resolve) => (allStarted = resolve));
    const start = now();
    await startWorker(async () => void (++started === jobs && allStarted()));
    await bounded(done);
    // A job is finished when its row is gone.
    const left = async () => (await client.query(`select count(*)::int as left from ${SCHEMA}._private_jobs`)).rows[0].left;
    let remaining = await left();
    while (started === jobs && remaining > 0) {
      await sleep(1);
      remaining = await left();
    }
    return { ...drained(jobs, jobs - remaining, now() - start), add: `addJobs ${ADD_BATCH}` };
  });

const pickup = () =>
  withSchema(async ({ utils, startWorker }) => {
    const samples = number("SAMPLES", 200);
    let bodyStarted;
    await startWorker(async () => bodyStarted(now()));
    const waits = [];
    // The first pick-ups prepare statements and compile code: thrown away.
    for (let round = -10; round < samples; round++) {
      await sleep(25);
      const started = new Promise((resolve) => (bodyStarted = resolve));
      const called = now();
      const [at] = await Promise.all([started, utils.addJob("job", {})]);
      if (round >= 0) waits.push(at - called);
    }
    return { samples, p50_ms: percentile(waits, 50), p99_ms: percentile(waits, 99), add: "addJob" };
  });

await report("graphile-worker", { drain, pickup });
