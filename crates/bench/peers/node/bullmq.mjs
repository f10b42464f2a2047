// BullMQ on Redis: drain, idle pick-up, fairness between tenants.
//   node bullmq.mjs drain|pickup|fairness

import { Queue, Worker } from "bullmq";
import { bounded, drained, emptyRedis, fail, now, number, oneOf, percentile, redisTime, report, rounded, sleep, url } from "./measure.mjs";

const QUEUE = "bench";
const ADD_BATCH = 1000;
const connection = () => ({ url: url("REDIS_URL"), maxRetriesPerRequest: null });

/** Runs `body` with a queue on an empty Redis and empties it again. */
async function withQueue(body) {
  const redis = await emptyRedis();
  const finished = oneOf("FINISHED", ["kept", "removed"]);
  const queue = new Queue(QUEUE, { connection: connection(), defaultJobOptions: { removeOnComplete: finished === "removed" } });
  // Without this the clients would try again for ever, and a row would measure the outage.
  let measuring = true;
  const lost = (error) => measuring && fail("bullmq", new Error(`failed in the middle: ${error.message}`));
  queue.on("error", lost);
  const workers = [];
  const startWorker = async (concurrency, work) => {
    const worker = new Worker(QUEUE, work, { connection: connection(), concurrency, autorun: false });
    worker.on("error", lost);
    workers.push(worker);
    await worker.waitUntilReady();
    return worker;
  };
  try {
    const row = await body({ redis, queue, startWorker });
    const [, sync] = await redis.config("GET", "appendfsync");
    const [, aof] = await redis.config("GET", "appendonly");
    return { ...row, finished_jobs: finished, appendfsync: aof === "yes" ? sync : "no append-only file" };
  } finally {
    measuring = false;
    await Promise.all(workers.map((worker) => worker.close(true)));
    await queue.close();
    await redis.flushdb();
    redis.disconnect();
  }
}

async function enqueue(queue, count, data) {
  for (let first = 0; first < count; first += ADD_BATCH) {
    const size = Math.min(ADD_BATCH, count - first);
    await queue.addBulk(Array.from({ length: size }, () => ({ name: "job", data })));
  }
}

const drain = () =>
  withQueue(async ({ redis, queue, startWorker }) => {
    const jobs = number("JOBS", 100_000);
    const concurrency = number("CONCURRENCY", 100);
    await enqueue(queue, jobs, {});
    const worker = await startWorker(concurrency, async () => {});
    let finished = 0;
    const done = new Promise((resolve) => worker.on("completed", () => ++finished === jobs && resolve()));
    const before = await redisTime(redis);
    const start = now();
    worker.run();
    await bounded(done);
    const row = drained(jobs, finished, now() - start);
    const after = await redisTime(redis);
    return {
      ...row,
      batch: `addBulk ${ADD_BATCH}, concurrency ${concurrency}`,
      concurrency,
      redis_us_per_job: rounded((after.commands - before.commands) / finished),
      redis_cpu_us_per_job: rounded((after.cpu - before.cpu) / finished),
    };
  });

const pickup = () =>
  withQueue(async ({ queue, startWorker }) => {
    const samples = number("SAMPLES", 200);
    const concurrency = number("CONCURRENCY", 100);
    let bodyStarted;
    const worker = await startWorker(concurrency, async () => bodyStarted(now()));
    worker.run();
    const waits = [];
    // The first pick-ups load scripts and compile code: thrown away.
    for (let round = -10; round < samples; round++) {
      await sleep(25);
      const started = new Promise((resolve) => (bodyStarted = resolve));
      const called = now();
      const [at] = await Promise.all([started, queue.add("job", {})]);
      if (round >= 0) waits.push(at - called);
    }
    return { samples, p50_ms: percentile(waits, 50), p99_ms: percentile(waits, 99), batch: `add, concurrency ${concurrency}`, concurrency };
  });

const TENANTS = 10;
const JOBS_EACH = 5;

/** One round: `flood` jobs of one tenant first, then the small tenants' jobs. Returns how long
 *  each small job waited for its start; what had not started in time counts with the time it had. */
async function smallWaits(queue, startWorker, concurrency, flood, body_ms) {
  const waits = [];
  let added = 0;
  let floodStarted = 0;
  let small = () => {};
  let flowing = () => {};
  const isFlowing = new Promise((resolve) => (flowing = resolve));
  const allStarted = new Promise((resolve) => (small = resolve));
  if (flood > 0) await enqueue(queue, flood, { tenant: "large" });
  const worker = await startWorker(concurrency, async (job) => {
    if (job.data.tenant === "large") {
      if (++floodStarted === 5 * concurrency) flowing();
    } else {
      waits.push(now() - added);
      if (waits.length === TENANTS * JOBS_EACH) small();
    }
    await sleep(body_ms);
  });
  worker.run();
  await (flood > 5 * concurrency ? isFlowing : sleep(100));
  added = now();
  await queue.addBulk(
    Array.from({ length: TENANTS * JOBS_EACH }, (_, index) => ({ name: "job", data: { tenant: `small-${index % TENANTS}` } })),
  );
  await bounded(allStarted);
  const started = waits.length;
  while (waits.length < TENANTS * JOBS_EACH) waits.push(now() - added);
  await worker.close(started < TENANTS * JOBS_EACH);
  return { started, p50: percentile(waits, 50), p99: percentile(waits, 99) };
}

const fairness = () =>
  withQueue(async ({ queue, startWorker }) => {
    const jobs = number("JOBS", 100_000);
    const concurrency = number("CONCURRENCY", 20);
    const body_ms = number("BODY_MS", 5);
    await smallWaits(queue, startWorker, concurrency, 0, body_ms); // loads scripts, compiles code
    const unloaded = await smallWaits(queue, startWorker, concurrency, 0, body_ms);
    const loaded = await smallWaits(queue, startWorker, concurrency, jobs, body_ms);
    return {
      jobs, body_ms, concurrency, small_tenants: TENANTS, small_jobs_each: JOBS_EACH,
      unloaded_p50_ms: unloaded.p50, unloaded_p99_ms: unloaded.p99,
      loaded_p50_ms: loaded.p50, loaded_p99_ms: loaded.p99,
      ratio: rounded(loaded.p99 / unloaded.p99, 2),
      started: loaded.started, complete: loaded.started === TENANTS * JOBS_EACH,
      batch: `addBulk ${ADD_BATCH}, concurrency ${concurrency}`,
    };
  });

await report("bullmq", { drain, pickup, fairness });
