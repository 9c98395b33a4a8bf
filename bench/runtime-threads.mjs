/**
 * ONNX Runtime's threads on the bundled generator: one, as many as cores with spinning (the default), and without.
 *
 *   node scripts/build.mjs && node bench/runtime-threads.mjs [--images 9]
 *
 * Interleaved, image by image; one image before them warms up. Says whether all gave the same pictures, to the byte.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { InferenceSession } from 'onnxruntime-node';
import { TextToImage } from '../dist/engine/inference/pipelines/text-to-image.js';
import { Sessions } from '../dist/engine/inference/sessions.js';
import { describeMachine, fixed, load, median, numberOptions } from './measure.mjs';

const { images } = numberOptions({ images: 9 });
const MODEL = fileURLToPath(new URL('../models/packs/creatures/diffusion', import.meta.url));
const all = availableParallelism();
const variants = {
  '1 thread': { intraOpNumThreads: 1 },
  [`${all} threads, spinning`]: { intraOpNumThreads: all, extra: { session: { intra_op: { allow_spinning: '1' } } } },
  [`${all} threads, not spinning`]: { intraOpNumThreads: all, extra: { session: { intra_op: { allow_spinning: '0' } } } },
};

console.log(`${describeMachine()}; ${images} images`);
const { create } = InferenceSession;
const sides = [];
for (const [name, settings] of Object.entries(variants)) {
  InferenceSession.create = (file, options) => create.call(InferenceSession, file, { ...options, ...settings });
  sides.push({ name, pipeline: await TextToImage.load(MODEL, new Sessions({ provider: 'cpu', device: 0 })), wall: [], cpu: [] });
}
let same = true;
for (let seed = 0; seed <= images; seed++) {
  const pictures = [];
  for (const { pipeline, wall, cpu } of sides) {
    const [started, before] = [performance.now(), process.cpuUsage()];
    const request = { prompt: 'A round green creature with two big eyes.', negativePrompt: '', scheduler: 'ddim', numInferenceSteps: 20 };
    const { png } = await pipeline.generate({ ...request, guidanceScale: 5, seed, height: null, width: null });
    const { user, system } = process.cpuUsage(before);
    pictures.push(Buffer.from(png));
    if (seed === 0) continue;
    wall.push(performance.now() - started);
    cpu.push((user + system) / 1000);
  }
  same &&= pictures.every((png) => png.equals(pictures[0]));
}
for (const { name, wall, cpu } of sides) console.log(`${name}: median ${fixed(median(wall), 0)} ms, CPU ${fixed(median(cpu), 0)} ms`);
console.log(`pictures ${same ? 'equal' : 'DIFFER'}; load ${load()}`);
