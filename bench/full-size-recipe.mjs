/**
 * Models of true size with random weights through a recipe: a caption, Stable Diffusion 1.5's picture at 512 x 512, ViT-MAE base, OPT-1.3b's feedback on the
 * 768 tokens of its mean, the next picture, the scores. Seconds by step from the run's ledger, memory of its inference host at the peak.
 *
 *   node scripts/build.mjs && node bench/full-size-recipe.mjs [--fp16] [--steps 2] [--tokens 16]
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CACHE, makeModels } from './full-size-models.mjs';
import { descendants, describeMachine, fixed, load, peakOf } from './measure.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    fp16: { type: 'boolean', default: false },
    steps: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '16' },
  },
});
const sd = values.fp16 ? 'sd-onnx-fp16' : 'sd-onnx';
for (const [make, folder] of [['sd', sd], ['opt', 'opt-onnx'], ['vit-mae', 'vit-mae-onnx']]) makeModels({ make, folder }); // prettier-ignore

const folder = mkdtempSync(join(tmpdir(), 'refineloop-full-size-'));
try {
  console.log(`${describeMachine()}; ${sd}, ${values.steps} steps at 512 x 512, ${values.tokens} tokens; load ${load()}`);
  const peaks = await run();
  const rows = JSON.parse(refineloop(['ledger', 'full-size', '--store', join(folder, 'runs'), '--json']).stdout);
  for (const { step, arm, round, status, seconds } of rows)
    console.log(`${step} (arm ${arm ?? 'all'}, round ${round}): ${status}, ${fixed(seconds ?? 0, 1)} s`);
  console.log(`peak of the inference host: ${fixed(Math.max(...peaks.values()), 0)} MiB; load ${load()}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs the recipe and gives the peak memory, in MiB, of each inference host by its id. */
async function run() {
  const [row] = readFileSync(join(ROOT, 'examples/datasets/creatures/test/metadata.jsonl'), 'utf8').split('\n');
  const { file_name: name, text } = JSON.parse(row);
  mkdirSync(join(folder, 'data'));
  cpSync(join(ROOT, 'examples/datasets/creatures/test', name), join(folder, 'data', name));
  writeFileSync(join(folder, 'data/metadata.jsonl'), `${JSON.stringify({ file_name: name, text })}\n`);
  const feedback = {
    source: 'opt',
    model: join(CACHE, 'opt-onnx'),
    image_encoder: join(CACHE, 'vit-mae-onnx'),
    max_new_tokens: Number(values.tokens),
    do_sample: true, // greedy answers of random weights go in circles, and are refused
  };
  const clip = join(ROOT, 'models/reference/goldens/paper-models/clip');
  const recipe = {
    name: 'full-size',
    dataset: { uri: './data', columns: { caption: 'text' } },
    store: 'file:./runs',
    generator: { model: join(CACHE, sd), num_inference_steps: Number(values.steps) },
    rounds: 1,
    arms: [{ name: 'control' }, { name: 'opt', feedback }],
    scores: { select: { metric: 'clip_text', model: clip }, primary: 'ssim' },
  };
  writeFileSync(join(folder, 'recipe.yaml'), JSON.stringify(recipe));
  const child = spawn(
    process.execPath,
    [join(ROOT, 'bin/refineloop.js'), 'run', join(folder, 'recipe.yaml'), '--run', 'full-size', '--devices', '1'],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  const peaks = new Map();
  const timer = setInterval(
    () => descendants(child.pid, 'host-process').forEach((pid) => peaks.set(pid, peakOf(pid) ?? peaks.get(pid))),
    500,
  );
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`the run ended with ${code}`);
  return peaks;
}

function refineloop(args) {
  return spawnSync(process.execPath, [join(ROOT, 'bin/refineloop.js'), ...args], { encoding: 'utf8' });
}
