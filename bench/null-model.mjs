/**
 * What the harness itself costs: a refine run whose steps cost nothing, through the real workflows, step records, ledger and
 * file store, beside plain workflows that call the same activities, with the same writes, on the same server (bare-workflows.mjs).
 *
 *   node scripts/build.mjs && node bench/null-model.mjs [--items N] [--window N] [--pairs 2]
 *
 * Default: 200 and 1,000 items, windows 8 and 100. Interleaved on one server: refine, bare, refine, bare, ... Each run has a
 * worker process of its own; time is from the start of the run's workflow to its end, CPU is user + system of the worker
 * process and of the server process over that time. An item has one arm of one round: 11 steps, those of a model in 5 activities on the gpu
 * queue, the rest as local ones.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { claimRun, startRun, waitForRun } from '../dist/app/client/start-run.js';
import { startTemporalServer } from '../dist/app/embedded/temporal-server.js';
import { itemWorkflowId } from '../dist/core/ids.js';
import { TASK_QUEUES } from '../dist/core/queues.js';
import { cpuSeconds, describeMachine, descendants, fixed, load, median, numberOptions } from './measure.mjs';
import { historyOf, prepare, recordsOf, startWorkers, writeDataset } from './null-pipeline.mjs';

const BARE_QUEUE = 'bare';
const asked = numberOptions({ items: null, window: null, pairs: 2 });

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
const server = await startTemporalServer({ database: join(folder, 'temporal.sqlite'), logFile: join(folder, 'temporal.log') });
const serverPid = descendants(process.pid, 'start-dev').find((pid) => !descendants(pid, 'start-dev').length);
const connection = await Connection.connect({ address: server.address });
const client = new Client({ connection });
try {
  for (const items of asked.items ? [asked.items] : [200, 1000]) {
    const dataset = await writeDataset(folder, items);
    for (const window of asked.window ? [asked.window] : [8, 100]) await compare(dataset, items, window);
  }
} finally {
  await connection.close();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}

async function compare(dataset, items, window) {
  const ratios = [];
  for (let pair = 1; pair <= asked.pairs; pair++) {
    const name = `null-${items}-${window}-${pair}`;
    const loadBefore = load();
    const refine = await refineRun(name, dataset, window);
    const bare = await bareRun(`bare-${name}`, dataset, window);
    for (const [kind, run] of [
      ['refine', refine],
      ['bare', bare],
    ]) {
      const { seconds, workerCpu, serverCpu, activities, events, bytes } = run;
      console.log(
        `${items} items, window ${window}, pair ${pair}, ${kind.padEnd(6)}: ${fixed(items / seconds, 1)} items/s, CPU an item ` +
          `${fixed((workerCpu / items) * 1000, 1)} ms worker + ${fixed((serverCpu / items) * 1000, 1)} ms server; ` +
          `${activities} activities, ${events} events, ${bytes} bytes of history an item`,
      );
    }
    const cpu = (run) => run.workerCpu + run.serverCpu;
    ratios.push({ rate: bare.seconds / refine.seconds, cpu: cpu(refine) / cpu(bare) });
    const { rate, cpu: c } = ratios.at(-1);
    console.log(`  refine / bare: items/s ${fixed(rate)}, CPU ${fixed(c)}; load ${loadBefore} -> ${load()}`);
  }
  const of = (key) => fixed(median(ratios.map((r) => r[key])));
  console.log(`${items} items, window ${window}: median of ${asked.pairs}: items/s ${of('rate')}, CPU ${of('cpu')}\n`);
}

async function refineRun(runId, dataset, window) {
  const prepared = await prepare(folder, runId, dataset);
  const measured = await measure({ kind: 'refine', taskQueues: Object.values(TASK_QUEUES) }, async () => {
    await startRun(client, prepared, { concurrency: window });
    await waitForRun(client, runId);
  });
  const records = await recordsOf(prepared);
  return { ...measured, ...(await historyOf(client, itemWorkflowId(runId, records[0].key))) };
}

async function bareRun(runId, dataset, window) {
  const prepared = await prepare(folder, runId, dataset);
  await claimRun(prepared);
  const args = [{ run: { runId, store: prepared.storeUri }, window }];
  const queues = { ...TASK_QUEUES, orchestrator: BARE_QUEUE };
  const measured = await measure({ kind: 'bare', taskQueues: Object.values(queues) }, () =>
    client.workflow.execute('bareParent', { workflowId: runId, taskQueue: BARE_QUEUE, args }),
  );
  await recordsOf(prepared);
  return { ...measured, ...(await historyOf(client, await firstChild(runId))) };
}

/** Wall, and CPU of worker and server, of what `work` waits for. */
async function measure(worker, work) {
  const child = await startWorkers({ ...worker, address: server.address });
  const before = { worker: cpuSeconds(child.pid), server: cpuSeconds(serverPid), at: performance.now() };
  await work();
  const seconds = (performance.now() - before.at) / 1000;
  const measured = { seconds, workerCpu: cpuSeconds(child.pid) - before.worker, serverCpu: cpuSeconds(serverPid) - before.server };
  await child.stop();
  return measured;
}

async function firstChild(workflowId) {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  return events.map((e) => e.childWorkflowExecutionStartedEventAttributes?.workflowExecution.workflowId).find(Boolean);
}
