/**
 * Does a worker stay awake while its device works? One image whose denoising steps are calls into ONNX Runtime of seconds each, in a worker as it
 * ships (models in the inference host, a process of their own) and in one that runs them itself: the longest delay of the worker's event loop, and the
 * oldest heartbeat that the server had of the step, looked at five times a second.
 *
 *   node scripts/build.mjs && node bench/event-loop.mjs [--size 512] [--steps 4]
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { prepareRun } from '../dist/app/client/prepare-run.js';
import { startRun } from '../dist/app/client/start-run.js';
import { loadRecipe } from '../dist/app/recipe/index.js';
import { itemWorkflowId } from '../dist/core/ids.js';
import { openStore } from '../dist/engine/storage/index.js';
import { describeMachine, fixed, numberOptions } from './measure.mjs';
import { startNullServer } from './null-runs.mjs';

const CREATURES = fileURLToPath(new URL('../examples/datasets/creatures', import.meta.url));
const MODELS = fileURLToPath(new URL('../models/packs/creatures', import.meta.url));
const asked = numberOptions({ size: 512, steps: 4 });

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
const server = await startNullServer(folder);
const others = await startWorker('others');
try {
  for (const kind of ['host', 'inline']) {
    const worker = await startWorker(kind);
    const { seconds, oldest } = await watchedRun(kind);
    const { delayMs } = await worker.stop();
    const where = kind === 'host' ? 'in the inference host' : 'in the worker itself ';
    console.log(
      `models ${where}: longest delay of the worker's event loop ${fixed(delayMs, 0)} ms, oldest heartbeat ${fixed(oldest, 1)} s ` +
        `(timeout 10 s); run ${fixed(seconds, 1)} s`,
    );
  }
} finally {
  await others.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}

/** One item, one arm, one round: two images, one after the other. */
async function watchedRun(runId) {
  const recipe = join(folder, `${runId}.yaml`);
  await writeFile(
    recipe,
    `name: event-loop
dataset: { uri: ${CREATURES}, split: test, limit: 1 }
store: file:${join(folder, `store-${runId}`)}
generator: { model: ${join(MODELS, 'diffusion')}, num_inference_steps: ${asked.steps}, height: ${asked.size}, width: ${asked.size} }
rounds: 1
arms: [{ name: control }]
scores: { select: clip_text, primary: image_similarity, report: [] }
`,
  );
  const prepared = await prepareRun(await loadRecipe(recipe), runId);
  const began = performance.now();
  await startRun(server.client, prepared, {});
  const root = server.client.workflow.getHandle(runId);
  let [oldest, item] = [0];
  while ((await root.describe()).status.name === 'RUNNING') {
    item ??= await firstItem(prepared);
    if (item) oldest = Math.max(oldest, await heartbeatAge(item));
    await sleep(200);
  }
  return { seconds: (performance.now() - began) / 1000, oldest };
}

async function firstItem({ storeUri, manifest }) {
  const files = (await openStore(storeUri)).run(manifest.runId);
  if (!(await files.readIndexSummary())) return undefined;
  const [{ key }] = await files.readIndexRange(0, 1);
  return itemWorkflowId(manifest.runId, key);
}

/** Seconds since the server heard of an image that is being made; 0 where none is. */
async function heartbeatAge(workflowId) {
  const described = await server.client.workflow
    .getHandle(workflowId)
    .describe()
    .catch(() => null);
  const ages = (described?.raw.pendingActivities ?? [])
    .filter(({ activityType, lastStartedTime }) => activityType.name === 'generateImage' && lastStartedTime)
    .map(({ lastHeartbeatTime, lastStartedTime }) => Date.now() / 1000 - Number((lastHeartbeatTime ?? lastStartedTime).seconds));
  return Math.max(0, ...ages);
}

async function startWorker(kind) {
  const child = fork(fileURLToPath(new URL('./event-loop-worker.mjs', import.meta.url)), [kind, server.address]);
  const next = () =>
    new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', (code) => reject(new Error(`the worker ended with code ${code}`)));
    });
  await next();
  return { stop: () => (child.send('stop'), next()) };
}
