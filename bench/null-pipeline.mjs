/** What the benchmarks of a null model share: a dataset of tiny pictures, its recipe, the worker's process, and what an item left in its history. */
import { createHash } from 'node:crypto';
import { fork } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { prepareRun } from '../dist/app/client/prepare-run.js';
import { loadRecipe } from '../dist/app/recipe/index.js';
import { openStore } from '../dist/engine/storage/index.js';

const MODELS = fileURLToPath(new URL('../models/packs/creatures', import.meta.url));

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

/** A run over a dataset with a store of its own, or the second one would find everything recorded. */
export async function prepare(folder, runId, dataset) {
  const recipe = join(folder, `${runId}.yaml`);
  await writeFile(
    recipe,
    `name: null-model
dataset: { uri: ${dataset}, columns: { id: id, caption: text, image: file_name, feedback: feedback } }
store: file:${join(folder, `store-${runId}`)}
generator: { model: ${join(MODELS, 'diffusion')} }
rounds: 1
arms:
  - { name: written, oracle: true, feedback: { source: dataset, column: feedback } }
scores: { select: clip_text, primary: image_similarity, report: [] }
`,
  );
  return prepareRun(await loadRecipe(recipe), runId);
}

/** A process of workers (null-worker.mjs) that poll when this resolves. */
export async function startWorkers(options) {
  const child = fork(fileURLToPath(new URL('./null-worker.mjs', import.meta.url)), [JSON.stringify(options)]);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the worker ended with code ${code}`)));
  });
  const stop = () => (child.send('stop'), ended);
  const kill = () => (child.kill('SIGKILL'), ended);
  return { pid: child.pid, stop, kill };
}

/** @throws where an item failed: a run that skips its work would look fast */
export async function recordsOf({ storeUri, manifest }) {
  const records = await (await openStore(storeUri)).run(manifest.runId).listItems();
  const bad = records.filter(({ state }) => state === 'failed');
  if (bad.length > 0) throw new Error(`${bad.length} items failed: ${JSON.stringify(bad[0].failure)}`);
  return records;
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
