/**
 * What batches are worth: images a second by an inference host that takes up to 1, 2, 4 and 8 alike requests at once, with twice as many asking, as a
 * worker does. On the bundled generator, and on a UNet that costs the same whatever the batch, as a device does that is far from full.
 *
 *   node scripts/build.mjs && node bench/micro-batching.mjs [--images 48] [--rounds 3] [--steps 10] [--cost 8000] [--threads 2]
 *
 * Interleaved: in each round every size makes all images once; medians. `cost`: rounds of a small matrix product in the fixed-cost UNet.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';
import { InferenceHost } from '../dist/engine/inference/index.js';
import { faultyModel } from '../test/support/onnx-graphs.mjs';
import { describeMachine, fixed, load, median, numberOptions } from './measure.mjs';

const SIZES = [1, 2, 4, 8];
const asked = numberOptions({ images: 48, rounds: 3, steps: 10, cost: 8_000, threads: 2 });

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
try {
  const bundled = fileURLToPath(new URL('../models/packs/creatures/diffusion', import.meta.url));
  await compare('bundled generator, exact', bundled, 'exact');
  await compare('bundled generator, fast', bundled, 'fast');
  await compare('fixed cost, exact', await faultyModel(folder, { kind: 'cost', rounds: asked.cost }), 'exact');
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function compare(name, model, batching) {
  const hosts = SIZES.map((batch) => new InferenceHost({ provider: 'cpu', device: 0, threads: asked.threads, batch }));
  const rates = SIZES.map(() => []);
  const before = load();
  try {
    for (const [i, host] of hosts.entries()) await makeAll(host, SIZES[i], model, batching, 4 * SIZES[i]); // Loaded, and checked.
    for (let round = 0; round < asked.rounds; round++)
      for (const [i, host] of hosts.entries()) rates[i].push(await makeAll(host, SIZES[i], model, batching, asked.images));
  } finally {
    await Promise.all(hosts.map((host) => host.close()));
  }
  const one = median(rates[0]);
  const columns = SIZES.map((size, i) => `batch ${size}: ${fixed(median(rates[i]), 2)} images/s (${fixed(median(rates[i]) / one, 2)})`);
  console.log(`${name}: ${columns.join(', ')}; load ${before} -> ${load()}`);
}

/** @returns images a second */
async function makeAll(host, batch, model, batching, images) {
  const limit = pLimit(2 * batch);
  const request = { model, batching, negativePrompt: '', scheduler: null, numInferenceSteps: asked.steps, guidanceScale: 5 };
  const began = performance.now();
  const all = Array.from({ length: images }, (_, seed) =>
    limit(() => host.generate({ ...request, prompt: `a creature, number ${seed}`, seed, height: null, width: null })),
  );
  await Promise.all(all);
  return images / ((performance.now() - began) / 1000);
}
