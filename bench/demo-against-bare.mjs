/**
 * The demo from an empty store (embedded server, workers, records, report) against the same model calls without any of it.
 *
 *   node scripts/build.mjs && node bench/demo-against-bare.mjs [--pairs 5] [--items 24]
 *
 * Interleaved: demo, bare, demo, bare, ... The calls of each bare run are those that the demo before it recorded, in the
 * order in which it made them, and its pictures must come out with the same digests. Both are started as commands, so
 * both pay for starting Node and loading models. `--items` takes fewer items than the recipe, for a quick look.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openStore, artifactKey } from '../dist/engine/storage/index.js';
import { describeMachine, endedChildrenCpuSeconds, fixed, load, median, numberOptions } from './measure.mjs';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const GOAL = 1.15;
const { pairs, items } = numberOptions({ pairs: 5, items: null });

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
try {
  const ratios = [];
  for (let n = 1; n <= pairs; n++) {
    const store = join(folder, `store-${n}`);
    const loadBefore = load();
    const demo = await timed([join(ROOT, 'bin', 'refineloop.js'), ...demoArguments(store)]);
    const plan = await writePlan(store);
    const bare = await timed([fileURLToPath(new URL('./bare-calls.mjs', import.meta.url)), plan.file]);
    const { calls, differing } = JSON.parse(bare.stdout);
    if (differing > 0) throw new Error(`${differing} pictures of the bare run differ from the demo's`);
    ratios.push({ wall: demo.seconds / bare.seconds, cpu: demo.cpu / bare.cpu });
    console.log(
      `pair ${n}: demo ${fixed(demo.seconds, 1)} s (CPU ${fixed(demo.cpu, 1)} s), bare ${fixed(bare.seconds, 1)} s (CPU ${fixed(bare.cpu, 1)} s), ` +
        `ratio ${fixed(demo.seconds / bare.seconds)} (CPU ${fixed(demo.cpu / bare.cpu)}); ${calls} calls, load ${loadBefore} -> ${load()}`,
    );
    console.log(`  of the demo: ${plan.phases}`);
    await rm(store, { recursive: true });
  }
  const wall = median(ratios.map((r) => r.wall));
  console.log(`median of ${pairs}: ${fixed(wall)} wall, ${fixed(median(ratios.map((r) => r.cpu)))} CPU; goal at most ${GOAL} wall`);
} finally {
  await rm(folder, { recursive: true, force: true });
}

function demoArguments(store) {
  if (items === null) return ['demo', '--store', store, '--json'];
  const recipe = join(ROOT, 'examples', 'recipes', 'creatures.yaml');
  return ['run', recipe, '--run', 'demo-1', '--store', store, '--json', '--set', `dataset.sample.n=${items}`];
}

/** Wall and CPU seconds of a command; CPU with all that it started, since it waits for them to end. */
async function timed(args) {
  const cpuBefore = endedChildrenCpuSeconds();
  const started = performance.now();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TEMPORAL_ADDRESS: '' } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const seconds = (performance.now() - started) / 1000;
  if (code !== 0) throw new Error(`${args.join(' ')} exited with code ${code}\n${stderr.slice(-2000)}`);
  return { seconds, cpu: endedChildrenCpuSeconds() - cpuBefore, stdout };
}

/** The model calls that a run recorded, in the order in which they were begun, and how the run's time was spent. */
async function writePlan(storeFolder) {
  const store = await openStore(pathToFileURL(storeFolder).href);
  const manifest = await store.run('demo-1').readManifest();
  const folderOf = new Map(Object.values(manifest.models).map(({ path, digest }) => [digest, path]));
  const ledger = (await store.readLedger('demo-1')).filter((row) => row.status === 'completed');
  ledger.sort((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt));
  const calls = [];
  const made = new Set();
  const seconds = {};
  for (const row of ledger) {
    seconds[row.step] = (seconds[row.step] ?? 0) + row.seconds;
    const { params, model, outputs, inputs } = await store.steps.readStep(row.key);
    if (row.step === 'generate') {
      const { digest } = outputs.image;
      made.add(digest);
      calls.push({ kind: 'generate', request: params, digest });
    } else if (row.step === 'embed') {
      if (params.noiseSeed !== undefined) {
        const features = outputs.embedding.digest;
        calls.push({ kind: 'imageFeatures', model: folderOf.get(model), image: params.image, noiseSeed: params.noiseSeed, features });
      } else if (params.text !== undefined) calls.push({ kind: 'text', model: folderOf.get(model), text: params.text });
      else calls.push({ kind: 'image', model: folderOf.get(model), image: params.image });
    } else if (row.step === 'feedback' && params.source === 'opt') {
      calls.push({ kind: 'feedback', model: folderOf.get(model), request: params, features: inputs[0] });
    }
  }
  for (const call of calls) if (call.image && !made.has(call.image)) call.file = join(storeFolder, artifactKey(call.image));
  const generator = manifest.models[manifest.recipe.generator.model].path;
  const file = join(folder, 'plan.json');
  await writeFile(file, JSON.stringify({ generator, calls }));
  const steps = Object.entries(seconds).map(([step, sum]) => `${step} ${fixed(sum, 1)} s`);
  return { file, phases: `${ledger.length} steps; seconds as their records say, without the wait for the device: ${steps.join(', ')}` };
}
