/** What the benchmarks of the null item share: its dataset and recipe, a server, workers in a process of their own, and how runs start. */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import sharp from 'sharp';
import { prepareRun } from '../dist/app/client/prepare-run.js';
import { claimRun, startRun, waitForRun } from '../dist/app/client/start-run.js';
import { startTemporalServer } from '../dist/app/embedded/temporal-server.js';
import { loadRecipe } from '../dist/app/recipe/index.js';
import { TASK_QUEUES } from '../dist/core/queues.js';
import { openStore } from '../dist/engine/storage/index.js';
import { descendants } from './measure.mjs';

const BARE_QUEUE = 'bare';
const MODELS = fileURLToPath(new URL('../models/packs/creatures', import.meta.url));

/** The two that run on Temporal: the queues of their workers (workflows first), and a start that gives what waits for the end. */
export const SIDES = {
  refine: {
    taskQueues: Object.values(TASK_QUEUES),
    async start(client, prepared, window) {
      await startRun(client, prepared, { concurrency: window });
      return () => waitForRun(client, prepared.manifest.runId);
    },
  },
  bare: {
    taskQueues: Object.values({ ...TASK_QUEUES, orchestrator: BARE_QUEUE }),
    async start(client, prepared, window) {
      const { runId } = prepared.manifest;
      await claimRun(prepared);
      const args = [{ run: { runId, store: prepared.storeUri }, window }];
      const handle = await client.workflow.start('bareParent', { workflowId: runId, taskQueue: BARE_QUEUE, args });
      return () => handle.result();
    },
  },
};

/** A server of its own on a database in the folder. */
export async function startNullServer(folder) {
  const server = await startTemporalServer({ database: join(folder, 'temporal.sqlite'), logFile: join(folder, 'temporal.log') });
  const pid = descendants(process.pid, 'start-dev').find((one) => !descendants(one, 'start-dev').length);
  const connection = await Connection.connect({ address: server.address });
  const stop = () => connection.close().then(() => server.stop());
  return { address: server.address, pid, client: new Client({ connection }), stop };
}

/** A side's workers in one process; resolves when they poll. */
export async function startNullWorker(address, kind) {
  const { taskQueues } = SIDES[kind];
  const child = fork(fileURLToPath(new URL('./null-worker.mjs', import.meta.url)), [JSON.stringify({ kind, taskQueues, address })]);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the worker ended with code ${code}`)));
  });
  const kill = () => (child.kill('SIGKILL'), ended);
  const stop = () => (child.connected && child.send('stop'), ended);
  return { pid: child.pid, kill, stop };
}

export async function prepareNullRun(folder, runId, dataset, store = `file:${storeOf(folder, runId)}`) {
  const recipe = join(folder, `${runId}.yaml`);
  await writeFile(recipe, recipeText(dataset, store));
  return prepareRun(await loadRecipe(recipe), runId);
}

/** A store of its own for each run, or the second one would find everything recorded. */
export function storeOf(folder, runId) {
  return join(folder, `store-${runId}`);
}

/** @throws where an item failed: a run that skips its work would look fast */
export async function recordsOf({ storeUri, manifest }) {
  const records = await (await openStore(storeUri)).run(manifest.runId).listItems();
  const bad = records.filter(({ state }) => state === 'failed');
  if (bad.length > 0) throw new Error(`${bad.length} items failed: ${JSON.stringify(bad[0].failure)}`);
  return records;
}

/** An image folder of tiny pictures, each different: equal ones would be one artifact, and their steps recorded. */
export async function writeDataset(folder, items) {
  const dataset = join(folder, `dataset-${items}`);
  await mkdir(dataset);
  const rows = [];
  for (let n = 0; n < items; n++) {
    const bytes = createHash('sha256').update(String(n)).digest();
    const pixels = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => bytes[i % bytes.length]);
    await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
      .png()
      .toFile(join(dataset, `${n}.png`));
    rows.push(JSON.stringify({ file_name: `${n}.png`, id: `item-${n}`, text: `caption ${n}`, feedback: [`feedback ${n}`] }));
  }
  await writeFile(join(dataset, 'metadata.jsonl'), `${rows.join('\n')}\n`);
  return dataset;
}

function recipeText(dataset, store) {
  return `name: null-model
dataset: { uri: ${dataset}, columns: { id: id, caption: text, image: file_name, feedback: feedback } }
store: ${store}
generator: { model: ${join(MODELS, 'diffusion')} }
rounds: 1
arms:
  - { name: written, oracle: true, feedback: { source: dataset, column: feedback } }
scores: { select: clip_text, primary: image_similarity, report: [] }
`;
}

/** Activities, events, bytes and the largest payload of a workflow's history. */
export async function historyOf(client, workflowId, runId) {
  const handle = client.workflow.getHandle(workflowId, runId);
  const [{ events }, { raw }] = await Promise.all([handle.fetchHistory(), handle.describe()]);
  const activities = events.filter((event) => event.activityTaskScheduledEventAttributes).length;
  const bytes = Number(raw.workflowExecutionInfo.historySizeBytes);
  return { activities, events: events.length, bytes, payload: Math.max(0, ...events.flatMap(payloadSizes)) };
}

/** Wherever it stands, a payload is an object with `metadata` and `data`. */
function payloadSizes(value) {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  if (value.data instanceof Uint8Array && value.metadata !== undefined) return [value.data.byteLength];
  return Object.values(value).flatMap(payloadSizes);
}
