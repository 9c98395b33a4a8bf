/**
 * How soon does the work of a dead device move? Two gpu workers; one is killed (SIGKILL) with pictures in hand and more on its queue, and the ledger says
 * when each of these began on the other: where nothing is pinned, where all are pinned to the victim, and where a half-made picture whose inference host
 * had just crashed waited for the victim, which has its models. The goal is schedule-to-start (`--wait`) + 10 s.
 *
 *   node scripts/build.mjs && node bench/failover.mjs [--rounds 3] [--items 6] [--wait 10] [--steps 20]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { prepareRun } from '../dist/app/client/prepare-run.js';
import { startRun, waitForRun } from '../dist/app/client/start-run.js';
import { loadRecipe } from '../dist/app/recipe/index.js';
import { openStore } from '../dist/engine/storage/index.js';
import { descendants, describeMachine, fixed, load, median, numberOptions } from './measure.mjs';
import { startNullServer } from './null-runs.mjs';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const HEARTBEAT_SECONDS = 10;
const [VICTIM, OTHER] = ['cpu:0', 'cpu:1'];
const SLOTS = 2;
const asked = numberOptions({ rounds: 3, items: 6, wait: 10, steps: 20 });

/** `moving`: which items' pictures have to, of what was seen of the run by the kill. */
const KINDS = {
  shared: { items: asked.items, generator: 'height: 128, width: 128', moving: ({ open }) => itemsOf(open()) },
  pinned: {
    items: asked.items,
    generator: 'height: 128, width: 128, worker: victim',
    moving: ({ ids, open, through }) => ids.filter((id) => itemsOf(open()).includes(id) || !itemsOf(through()).includes(id)),
  },
  leased: { items: 1, generator: 'height: 256, width: 256', crash: true, moving: ({ ids }) => ids },
};

console.log(describeMachine());
const folder = await mkdtemp(join(tmpdir(), 'refineloop-bench-'));
const server = await startNullServer(folder);
const standing = [startWorker('orchestrator'), startWorker('cpu')];
try {
  for (const [name, kind] of Object.entries(KINDS)) {
    const before = load();
    const moves = [];
    for (let n = 0; n < asked.rounds; n++) moves.push(...(await round(`${name}-${n}`, kind)));
    console.log(
      `${name}: ${moves.length} steps moved, after ${fixed(Math.min(...moves), 1)} to ${fixed(Math.max(...moves), 1)} s, median ` +
        `${fixed(median(moves), 1)} (goal ${asked.wait} + ${HEARTBEAT_SECONDS} s); load ${before} -> ${load()}`,
    );
  }
} finally {
  await Promise.all(standing.map((worker) => worker.kill()));
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}

/** @returns for each picture that had to move, the seconds from the kill to its start on the other device */
async function round(runId, { items, generator, crash = false, moving }) {
  const victim = startWorker('gpu', '--device', '0', '--name', 'victim');
  const startOther = () => startWorker('gpu', '--device', '1', '--name', 'other');
  await victim.polls;
  // The one picture that is to be lost half-way must be the victim's.
  let other = crash ? undefined : startOther();
  try {
    await other?.polls;
    const prepared = await prepare(runId, items, generator);
    await startRun(server.client, prepared, { concurrency: items, placement: { waitSeconds: asked.wait } });
    const seen = await watch(prepared);
    if (crash) {
      await seen.until(() => seen.isHalfMade());
      other = startOther();
      await other.polls;
      for (const pid of descendants(victim.pid, 'host-process')) process.kill(pid, 'SIGKILL');
      await seen.until(() => seen.ends('failed').length > 0);
    } else await seen.until(() => seen.through().length > 0 && seen.open().length === SLOTS); // All items are at their first picture by then.
    const killed = Date.now();
    await victim.kill();
    await seen.look();
    const moved = moving(seen);
    await waitForRun(server.client, runId);
    await seen.look();
    return moved.map((item) => {
      const starts = seen.pictures(OTHER).filter((line) => line.item === item);
      return (Math.min(...starts.map(({ at }) => Date.parse(at)).filter((at) => at >= killed)) - killed) / 1000;
    });
  } finally {
    await Promise.all([victim.kill(), other?.kill()]);
  }
}

/** What a run's ledger says, as it grows. */
async function watch({ storeUri, manifest }) {
  const store = await openStore(storeUri);
  const ledger = store.followLedger(manifest.runId);
  const lines = [];
  const look = async () => lines.push(...(await ledger.readOn()));
  const until = async (found) => {
    for (await look(); !(await found()); await look()) await sleep(20);
  };
  const ends = (...statuses) => lines.flatMap((line) => (line.row === 'end' && statuses.includes(line.status) ? [line.id] : []));
  const pictures = (device) => lines.filter((line) => line.row === 'start' && line.step === 'generate' && line.device === device);
  const files = store.run(manifest.runId);
  await until(() => files.readIndexSummary());
  const ids = (await files.readIndexRange(0, asked.items)).map(({ id }) => id);
  return {
    ids,
    look,
    until,
    ends,
    pictures,
    /** Of the victim. */
    through: () => pictures(VICTIM).filter(({ id }) => ends('completed').includes(id)),
    open: () => pictures(VICTIM).filter(({ id }) => !ends('completed', 'failed', 'cancelled').includes(id)),
    async isHalfMade() {
      for await (const _ of store.objects.list('checkpoints/')) return true;
      return false;
    },
  };
}

function itemsOf(lines) {
  return [...new Set(lines.map(({ item }) => item))];
}

async function prepare(runId, items, generator) {
  const recipe = join(folder, `${runId}.yaml`);
  await writeFile(
    recipe,
    `name: failover
dataset: { uri: ${path('examples/datasets/creatures')}, split: test, limit: ${items} }
store: file:${join(folder, `store-${runId}`)}
generator: { model: ${path('models/packs/creatures/diffusion')}, num_inference_steps: ${asked.steps}, ${generator} }
rounds: 1
arms: [{ name: control }]
scores: { select: clip_text, primary: image_similarity, report: [] }
`,
  );
  return prepareRun(await loadRecipe(recipe), runId);
}

/** The product's worker as a process. */
function startWorker(queue, ...args) {
  const command = [path('bin/refineloop.js'), 'worker', '--queue', queue, '--address', server.address, ...args];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  const polls = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => String(text).includes('worker on queue') && resolve());
    child.once('exit', (code) => reject(new Error(`the worker on ${queue} ended with code ${code}`)));
  });
  polls.catch(() => {});
  return { pid: child.pid, polls, kill: () => (child.kill('SIGKILL'), ended) };
}
