/**
 * What the text-to-image pipeline costs beyond ONNX Runtime: tokenizing, noise, scheduler, guidance, checks, PNG.
 *
 *   node scripts/build.mjs && node bench/pipeline-against-onnx.mjs [--images 10] [--steps 20] [--threads N]
 *
 * Two ways. Instrumented: within each generation, the whole against the sum of its `session.run` calls, so that noise hits
 * both. Replayed: the calls of an image are kept and run again without the pipeline, interleaved (pipeline, replay,
 * pipeline, replay, ...). Medians over images; one image before them warms up.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { InferenceSession } from 'onnxruntime-node';
import { TextToImage } from '../dist/engine/inference/pipelines/text-to-image.js';
import { Sessions } from '../dist/engine/inference/sessions.js';
import { describeMachine, fixed, load, median, numberOptions } from './measure.mjs';

const GOAL = 1.03;
const { images, steps, threads } = numberOptions({ images: 10, steps: 20, threads: availableParallelism() });
const MODEL = fileURLToPath(new URL('../models/packs/creatures/diffusion', import.meta.url));
const PROMPTS = ['A round green creature with two big eyes.', 'A tall brown monster with butterfly wings. It should smile.'];

/** Calls of the image that is being made: which session, with what, and how long. */
let calls = [];
const { run } = InferenceSession.prototype;
InferenceSession.prototype.run = async function (...args) {
  const started = performance.now();
  const outputs = await run.apply(this, args);
  calls.push({ session: this, args, ms: performance.now() - started });
  return outputs;
};

console.log(`${describeMachine()}; ${images} images of ${steps} steps, ${threads} threads`);
const pipeline = await TextToImage.load(MODEL, new Sessions({ provider: 'cpu', device: 0, threads }));
const measured = [];
for (let n = 0; n <= images; n++) {
  const { wholeMs, seed } = await generate(n);
  const runsMs = calls.reduce((sum, { ms }) => sum + ms, 0);
  const replayMs = await replay(calls);
  if (n === 0) continue;
  measured.push({ instrumented: wholeMs / runsMs, replayed: wholeMs / replayMs, wholeMs, runsMs, replayMs });
  console.log(
    `seed ${seed}: pipeline ${fixed(wholeMs, 1)} ms, its ${calls.length} calls ${fixed(runsMs, 1)} ms (${fixed(wholeMs / runsMs, 3)}), ` +
      `replayed ${fixed(replayMs, 1)} ms (${fixed(wholeMs / replayMs, 3)})`,
  );
}
const of = (name) => median(measured.map((m) => m[name]));
console.log(
  `median: pipeline ${fixed(of('wholeMs'), 1)} ms, beyond its calls ${fixed(median(measured.map((m) => m.wholeMs - m.runsMs)), 1)} ms; ` +
    `ratio ${fixed(of('instrumented'), 3)} instrumented, ${fixed(of('replayed'), 3)} replayed; goal at most ${GOAL}; load ${load()}`,
);

async function generate(seed) {
  calls = [];
  const request = { prompt: PROMPTS[seed % 2], negativePrompt: '', scheduler: 'ddim', numInferenceSteps: steps, guidanceScale: 5 };
  const started = performance.now();
  await pipeline.generate({ ...request, seed, height: null, width: null });
  return { wholeMs: performance.now() - started, seed };
}

async function replay(kept) {
  const started = performance.now();
  for (const { session, args } of kept) await run.apply(session, args);
  return performance.now() - started;
}
