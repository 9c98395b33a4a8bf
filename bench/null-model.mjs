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
import { fork } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import sharp from 'sharp';
import { prepareRun } from '../dist/app/client/prepare-run.js';
import { claimRun, startRun, waitForRun } from '../dist/app/client/start-run.js';
import { startTemporalServer } from '../dist/app/embedded/temporal-server.js';
import { loadRecipe } from '../dist/app/recipe/index.js';
import { itemWorkflowId } from '../dist/core/ids.js';
import { TASK_QUEUES } from '../dist/core/queues.js';
import { openStore } from '../dist/engine/storage/index.js';
import { cpuSeconds, describeMachine, descendants, fixed, load, median, numberOptions } from './measure.mjs';

const BARE_QUEUE = 'bare';
const MODELS = fileURLToPath(new URL('../models/packs/creatures', import.meta.url));
const asked = numberOptions({ items: null, window: null, pairs: 2 });

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
const server = await startTemporalServer({ database: join(folder, 'temporal.sqlite'), logFile: join(folder, 'temporal.log') });
const serverPid = descendants(process.pid, 'start-dev').find((pid) => !descendants(pid, 'start-dev').length);
const connection = await Connection.connect({ address: server.address });
const client = new Client({ connection });
try {
  for (const items of asked.items ? [asked.items] : [200, 1000]) {
    const dataset = await writeDataset(items);
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
  const prepared = await prepare(runId, dataset);
  const measured = await measure({ kind: 'refine', taskQueues: Object.values(TASK_QUEUES) }, async () => {
    await startRun(client, prepared, { concurrency: window });
    await waitForRun(client, runId);
  });
  const records = await recordsOf(prepared);
  return { ...measured, ...(await historyOf(itemWorkflowId(runId, records[0].key))) };
}

async function bareRun(runId, dataset, window) {
  const prepared = await prepare(runId, dataset);
  await claimRun(prepared);
  const args = [{ run: { runId, store: prepared.storeUri }, window }];
  const queues = { ...TASK_QUEUES, orchestrator: BARE_QUEUE };
  const measured = await measure({ kind: 'bare', taskQueues: Object.values(queues) }, () =>
    client.workflow.execute('bareParent', { workflowId: runId, taskQueue: BARE_QUEUE, args }),
  );
  await recordsOf(prepared);
  return { ...measured, ...(await historyOf(await firstChild(runId))) };
}

async function prepare(runId, dataset) {
  const recipe = join(folder, `${runId}.yaml`);
  await writeFile(recipe, recipeText(dataset, runId));
  return prepareRun(await loadRecipe(recipe), runId);
}

/** @throws where an item failed: a run that skips its work would look fast */
async function recordsOf({ storeUri, manifest }) {
  const records = await (await openStore(storeUri)).run(manifest.runId).listItems();
  const bad = records.filter(({ state }) => state === 'failed');
  if (bad.length > 0) throw new Error(`${bad.length} items failed: ${JSON.stringify(bad[0].failure)}`);
  return records;
}

/** Wall, and CPU of worker and server, of what `work` waits for. */
async function measure(worker, work) {
  const child = fork(fileURLToPath(new URL('./null-worker.mjs', import.meta.url)), [
    JSON.stringify({ ...worker, address: server.address }),
  ]);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the worker ended with code ${code}`)));
  });
  const before = { worker: cpuSeconds(child.pid), server: cpuSeconds(serverPid), at: performance.now() };
  await work();
  const seconds = (performance.now() - before.at) / 1000;
  const measured = { seconds, workerCpu: cpuSeconds(child.pid) - before.worker, serverCpu: cpuSeconds(serverPid) - before.server };
  child.send('stop');
  await ended;
  return measured;
}

async function historyOf(workflowId) {
  const handle = client.workflow.getHandle(workflowId);
  const { events } = await handle.fetchHistory();
  const { raw } = await handle.describe();
  const activities = events.filter((event) => event.activityTaskScheduledEventAttributes).length;
  return { activities, events: events.length, bytes: Number(raw.workflowExecutionInfo.historySizeBytes) };
}

async function firstChild(workflowId) {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  return events.map((e) => e.childWorkflowExecutionStartedEventAttributes?.workflowExecution.workflowId).find(Boolean);
}

/** An image folder of tiny pictures, each different. */
async function writeDataset(items) {
  const dataset = join(folder, `dataset-${items}`);
  await mkdir(dataset);
  const rows = [];
  for (let n = 0; n < items; n++) {
    const pixels = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (i * 7 + n * (i % 3 === 0 ? 1 : 31)) % 256);
    await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
      .png()
      .toFile(join(dataset, `${n}.png`));
    rows.push(JSON.stringify({ file_name: `${n}.png`, id: `item-${n}`, text: `caption ${n}`, feedback: [`feedback ${n}`] }));
  }
  await writeFile(join(dataset, 'metadata.jsonl'), `${rows.join('\n')}\n`);
  return dataset;
}

/** A store of its own for each run, or the second one would find everything recorded. */
function recipeText(dataset, runId) {
  return `name: null-model
dataset: { uri: ${dataset}, columns: { id: id, caption: text, image: file_name, feedback: feedback } }
store: file:${join(folder, `store-${runId}`)}
generator: { model: ${join(MODELS, 'diffusion')} }
rounds: 1
arms:
  - { name: written, oracle: true, feedback: { source: dataset, column: feedback } }
scores: { select: clip_text, primary: image_similarity, report: [] }
`;
}
