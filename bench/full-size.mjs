/**
 * Models of true size with random weights (Stable Diffusion 1.5, OPT-1.3b) through the inference host (full-size-recipe.mjs: through a recipe), beside ONNX Runtime's Python API on the
 * same graphs and diffusers and transformers on torch: time, CPU time and peak memory, a process each, interleaved.
 *
 *   node scripts/build.mjs && node bench/full-size.mjs [--only sd,opt,sd-fp16] [--rounds 3] [--threads N] [--steps 2] [--tokens 16]
 *
 * The models are made by bench/make_full_size.py into ~/.cache/refineloop/full-size where they are not there (24 GB of disk, 12 of memory).
 * Every subject loads its model, answers a small request (64 x 64 pixels and one step; one token after a short prompt), and is measured on the next two:
 * the first takes memory that the process never had, the second finds it there, as all later ones of a dataset do.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InferenceHost } from '../dist/engine/inference/index.js';
import { CACHE, makeModels, python } from './full-size-models.mjs';
import { cpuSeconds, describeMachine, fixed, load, median, peakOf } from './measure.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'sd,sd-fp16,opt' },
    subjects: { type: 'string', default: 'ours,ort,torch' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    steps: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '16' },
  },
});
const [rounds, threads, steps, tokens] = [values.rounds, values.threads, values.steps, values.tokens].map(Number);
const GOALS = { time: 1.03, memory: 1.2 };
const PROMPT = 'a green and white stuffed animal wearing a green hat';
/** As many tokens as the paper's prompt has with its 768 of the picture; their values do not matter. */
const FEATURES = 768;

const diffusion = (folder) => ({
  make: 'sd',
  folder,
  ours: (host, small) =>
    host.generate({
      model: join(CACHE, folder),
      prompt: PROMPT,
      negativePrompt: '',
      scheduler: 'ddim',
      numInferenceSteps: small ? 1 : steps,
      guidanceScale: 7.5,
      seed: 0,
      height: small ? 64 : null,
      width: small ? 64 : null,
    }),
  ort: ['ort-sd', folder, { prompt: PROMPT, steps, guidance: 7.5 }],
  torch: ['torch-sd', 'sd', { prompt: PROMPT, steps, guidance: 7.5 }],
});
const MODELS = {
  sd: diffusion('sd-onnx'),
  'sd-fp16': diffusion('sd-onnx-fp16'),
  opt: {
    make: 'opt',
    folder: 'opt-onnx',
    ours: (host, small) =>
      host.writeFeedback({
        model: join(CACHE, 'opt-onnx'),
        caption: PROMPT,
        features: Float32Array.from({ length: small ? 0 : FEATURES }, (_, i) => (i + 5) / 1000),
        maxNewTokens: small ? 1 : tokens,
        sampleSeed: 1, // Greedy answers of random weights go in circles, and are refused.
      }),
    ort: ['ort-opt', 'opt-onnx', null],
    torch: ['torch-opt', 'opt', null],
  },
};

console.log(`${describeMachine()}; ${rounds} rounds, ${threads} threads; ${steps} steps at 512 x 512, ${tokens} tokens`);
for (const name of values.only.split(',')) await measure(name, MODELS[name]);
process.exit(0);

async function measure(name, model) {
  makeModels(model);
  const results = { ours: [], ort: [], torch: [] };
  // The prompt's length is ours to say; both counterparts get as many ids.
  let promptTokens = null;
  const whatOf = (what) => what ?? { ids: Array.from({ length: promptTokens }, (_, i) => 5 + (i % 600)), tokens };
  for (let round = 0; round < rounds; round++) {
    for (const subject of values.subjects.split(',')) {
      const one = subject === 'ours' ? await ours(model) : counterpart(...model[subject].slice(0, 2), whatOf(model[subject][2]));
      if (one.tokens) promptTokens = one.tokens.used - (tokens - 1);
      results[subject].push(one);
      const { seconds, cpuSeconds: cpu, loadSeconds, peakMiB } = one;
      const both = (pair) => pair.map((value) => fixed(value, 1)).join(', then ');
      console.log(
        `${name} ${subject}: ${both(seconds)} s, ${both(cpu)} s of CPU, loaded in ${fixed(loadSeconds, 1)} s, peak ${fixed(peakMiB, 0)} MiB; load ${load()}`,
      );
    }
  }
  const of = (subject, key, nth) => median(results[subject].map((one) => (nth === undefined ? one[key] : one[key][nth])));
  for (const other of ['ort', 'torch'].filter((subject) => results[subject].length > 0 && results.ours.length > 0)) {
    const ratio = (key, nth) => fixed(of('ours', key, nth) / of(other, key, nth), 3);
    const both = (key) => `${ratio(key, 0)}, then ${ratio(key, 1)}`;
    console.log(`${name}, ours / ${other}: time ${both('seconds')}; CPU time ${both('cpuSeconds')}; peak memory ${ratio('peakMiB')}`);
  }
  console.log(`goals: time at most ${GOALS.time} of ort and below torch, memory at most ${GOALS.memory} of ort`);
}

/** In a fresh host. */
async function ours(model) {
  const host = new InferenceHost({ provider: 'cpu', device: 0, threads, hangTimeoutMs: 900_000 });
  try {
    const started = performance.now();
    await model.ours(host, true);
    const loadSeconds = (performance.now() - started) / 1000;
    const { pid } = host;
    const [seconds, cpu] = [[], []];
    let counted;
    for (let nth = 0; nth < 2; nth++) {
      const [begun, cpuBefore] = [performance.now(), cpuSeconds(pid)];
      ({ tokens: counted } = await model.ours(host, false));
      seconds.push((performance.now() - begun) / 1000);
      cpu.push(cpuSeconds(pid) - cpuBefore);
    }
    return { seconds, cpuSeconds: cpu, loadSeconds, peakMiB: peakOf(pid), tokens: counted };
  } finally {
    await host.close();
  }
}

function counterpart(what, folder, arguments_) {
  const run = spawnSync(
    python([]),
    [join(ROOT, 'bench/full_size.py'), what, join(CACHE, folder), String(threads), JSON.stringify(arguments_)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, OMP_NUM_THREADS: String(threads) } },
  );
  if (run.status !== 0) throw new Error(`${what} ended with ${run.status ?? run.signal}`);
  return JSON.parse(run.stdout.trim().split('\n').at(-1));
}
