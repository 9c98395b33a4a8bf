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
import { itemWorkflowId } from '../dist/core/ids.js';
import { cpuSeconds, describeMachine, fixed, load, median, numberOptions } from './measure.mjs';
import { historyOf, prepareNullRun, recordsOf, SIDES, startNullServer, startNullWorker, writeDataset } from './null-runs.mjs';

const asked = numberOptions({ items: null, window: null, pairs: 2 });

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
const server = await startNullServer(folder);
const { client } = server;
try {
  for (const items of asked.items ? [asked.items] : [200, 1000]) {
    const dataset = await writeDataset(folder, items);
    for (const window of asked.window ? [asked.window] : [8, 100]) await compare(dataset, items, window);
  }
} finally {
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
  const { records, ...measured } = await measuredRun('refine', runId, dataset, window);
  return { ...measured, ...(await historyOf(client, itemWorkflowId(runId, records[0].key))) };
}

async function bareRun(runId, dataset, window) {
  const measured = await measuredRun('bare', runId, dataset, window);
  return { ...measured, ...(await historyOf(client, await firstChild(runId))) };
}

/** Wall, and CPU of worker and server, from the start of a run to its end. */
async function measuredRun(kind, runId, dataset, window) {
  const prepared = await prepareNullRun(folder, runId, dataset);
  const worker = await startNullWorker(server.address, kind);
  const before = { worker: cpuSeconds(worker.pid), server: cpuSeconds(server.pid), at: performance.now() };
  const ended = await SIDES[kind].start(client, prepared, window);
  await ended();
  const seconds = (performance.now() - before.at) / 1000;
  const workerCpu = cpuSeconds(worker.pid) - before.worker;
  const serverCpu = cpuSeconds(server.pid) - before.server;
  await worker.stop();
  return { seconds, workerCpu, serverCpu, records: await recordsOf(prepared) };
}

async function firstChild(workflowId) {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  return events.map((e) => e.childWorkflowExecutionStartedEventAttributes?.workflowExecution.workflowId).find(Boolean);
}
