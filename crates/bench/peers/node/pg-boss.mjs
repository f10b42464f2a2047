// pg-boss on PostgreSQL: drain by fetching and completing in large batches (its own polling
// workers wait at least half a second between fetches, which would measure the wait).
//   node pg-boss.mjs drain      BATCH = jobs a fetch, 5000

import PgBoss from "pg-boss";
import { drained, fail, freshDatabase, now, number, report, url } from "./measure.mjs";

const SCHEMA = "pgboss";
const QUEUE = "bench";
const INSERT_BATCH = 1000;

async function drain() {
  const jobs = number("JOBS", 100_000);
  const batch = number("BATCH", 5000);
  const deadline = number("MAX_SECONDS", 120) * 1000;
  const client = await freshDatabase(SCHEMA);
  const boss = new PgBoss({ connectionString: url("DATABASE_URL"), supervise: false, schedule: false });
  boss.on("error", (error) => fail("pg-boss", new Error(`failed in the middle: ${error.message}`)));
  try {
    await boss.start();
    await boss.createQueue(QUEUE);
    for (let first = 0; first < jobs; first += INSERT_BATCH) {
      const size = Math.min(INSERT_BATCH, jobs - first);
      await boss.insert(Array.from({ length: size }, () => ({ name: QUEUE, data: {} })));
    }
    const body = async (job) => void job;
    let finished = 0;
    const start = now();
    while (finished < jobs && now() - start < deadline) {
      const fetched = await boss.fetch(QUEUE, { batchSize: batch });
      if (fetched.length === 0) throw new Error(`nothing to fetch after ${finished} of ${jobs} jobs`);
      await Promise.all(fetched.map(body));
      await boss.complete(QUEUE, fetched.map((job) => job.id));
      finished += fetched.length;
    }
    return { ...drained(jobs, finished, now() - start), batch: `insert ${INSERT_BATCH}, fetch and complete ${batch}, one loop`, concurrency: 1, finished_jobs: "kept" };
  } finally {
    await boss.stop({ graceful: false });
    await client.query(`drop schema if exists ${SCHEMA} cascade`);
    await client.end();
  }
}

await report("pg-boss", { drain });
