/**
 * Records the histories that `replay.test.ts` replays, into `histories/`. Run it when a workflow has a new shape, and keep
 * the old files, under other names, as long as runs of their version may be open:
 *
 *     npm run build
 *     node --experimental-vm-modules node_modules/jest/bin/jest.js --testMatch '<rootDir>/test/replay/record.ts'
 *
 * A file is `<workflow>-<what happened>.json`, as `temporal workflow show --output json` prints it, less the machine's name and folders.
 */
import { jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { findTemporalCli } from '#temporal-cli';
import { itemKey, itemWorkflowId, partitionWorkflowId } from '../../core/ids.js';
import type { TrainingStatus } from '../../app/client/training-status.js';
import { cellWorkflowId, trainingWorkflowId } from '../../core/training.js';
import { openStore } from '../../engine/storage/index.js';
import { cliJson, ROOT, scratch, type RunningCli } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { descendants, kill, until } from '../support/processes.js';
import { completed, readLedger, type RunDocument, type StatusDocument } from '../support/runs.js';
import { TRAINER, writeTraining, type SmallTraining } from '../support/small-training.js';
import { CONTROL, OPT, PLACEBO, WRITTEN, writeRecipe, type SmallRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

const FOLDER = join(ROOT, 'test/replay/histories');
let cluster: Cluster;
/** A device for everything. */
let device: RunningCli;

beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  cluster = await Cluster.start();
  [, device] = await Promise.all([cluster.worker('orchestrator'), cluster.worker('gpu')]);
});
afterAll(() => cluster.stop());

function save(workflowId: string, file: string): void {
  const args = ['workflow', 'show', '--workflow-id', workflowId, '--output', 'json', '--address', cluster.address];
  const text = execFileSync(findTemporalCli()!.path, args, { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  const history = JSON.parse(text.replaceAll(hostname(), 'recorded').replaceAll(ROOT, '/refineloop/')) as unknown;
  writeFileSync(join(FOLDER, `${file}.json`), `${JSON.stringify(history)}\n`);
}

function saveAll(run: string, item: string, what: string): void {
  save(run, `refine-dataset-${what}`);
  save(partitionWorkflowId(run, 0), `refine-partition-${what}`);
  save(itemWorkflowId(run, itemKey(item)), `refine-item-${what}`);
}

function begin(run: string, recipe: SmallRecipe, folder = scratch()) {
  const store = join(folder, 'store');
  const file = writeRecipe(folder, recipe);
  const on = (...args: string[]) => [...args, '--store', store, '--address', cluster.address];
  return {
    folder,
    store,
    start: (...args: string[]) => cliJson<RunDocument>(on('run', file, '--run', run, '--detach', ...args)),
    follow: (code: number) => cliJson<RunDocument>(on('run', file, '--run', run), code),
    command: (name: string) => cliJson<StatusDocument>(on(name, run)),
    pictures: (n: number) =>
      until(`${n} images`, async () => completed(await readLedger(store, run)).filter((row) => row.step === 'generate').length >= n),
  };
}

test('a run that is paused, resumed and cancelled', async () => {
  const run = begin('cancelled', { arms: [CONTROL] });
  await run.start('--concurrency', '2');
  await run.pictures(2); // Nobody scores yet, so both items wait at their score.
  await run.command('pause');
  await run.command('resume');
  await run.command('cancel');
  await until('it is cancelled', async () => (await run.command('status')).state === 'cancelled');
  saveAll('cancelled', 'creature-0601', 'cancelled');
});

test('a run in which an item fails in a step, and its retry', async () => {
  const run = begin('failed', { arms: [CONTROL, WRITTEN] });
  await run.start();
  await run.pictures(3);
  // The true image is gone when the score wants it.
  const store = await openStore(run.store);
  const { trueImage, id } = (await store.run('failed').readIndexRange(0, 1))[0]!;
  const hex = trueImage!.digest.slice('sha256:'.length);
  const blob = join(run.store, 'blobs/sha256', hex.slice(0, 2), hex);
  const kept = readFileSync(blob);
  rmSync(blob);
  const scorer = await cluster.worker('cpu');
  await run.follow(3);
  saveAll('failed', id, 'failed');
  writeFileSync(blob, kept);
  await run.command('retry');
  saveAll('failed', id, 'retried');
  scorer.signal('SIGTERM');
  await scorer.ended;
});

test('a run whose steps are pinned to a worker that is not there', async () => {
  const scorer = await cluster.worker('cpu');
  const run = begin('elsewhere', { limit: 1, arms: [CONTROL], generator: { worker: 'nobody' } });
  await run.start('--worker-wait', '1');
  await run.follow(0);
  saveAll('elsewhere', 'creature-0601', 'elsewhere');
  scorer.signal('SIGTERM');
  await scorer.ended;
});

test('a run that is done, and one over its records', async () => {
  const scorer = await cluster.worker('cpu');
  const recipe = { arms: [CONTROL, WRITTEN, PLACEBO] };
  const run = begin('done', recipe);
  await run.follow(0);
  saveAll('done', 'creature-0602', 'done');
  scorer.signal('SIGTERM');
  await scorer.ended;
  await begin('recorded', recipe, run.folder).follow(0);
  saveAll('recorded', 'creature-0602', 'recorded');
});

test('a run on devices with roles, in which one loses a picture half-way and goes on with it', async () => {
  const end = async (...workers: RunningCli[]) => {
    for (const worker of workers) worker.signal('SIGTERM');
    await Promise.all(workers.map(({ ended }) => ended));
  };
  await end(device);
  const others = await Promise.all([cluster.worker('cpu'), cluster.worker('gpu', '--device', '1', '--roles', 'feedback,score')]);
  const run = begin('leased', { limit: 1, steps: 40, arms: [CONTROL, OPT], generator: { height: 256, width: 256 } });
  await run.start();
  // Nobody draws yet, so it is given back.
  await until('it waits for a device that draws', async () => {
    const described = await cluster.client.workflow
      .getHandle(itemWorkflowId('leased', itemKey('creature-0601')))
      .describe()
      .catch(() => undefined); // It is yet to begin.
    return described?.raw.pendingActivities?.some(({ activityType }) => activityType?.name === 'generateImage');
  });
  const drawer = await cluster.worker('gpu', '--name', 'drawer', '--roles', 'generate');
  const { objects } = await openStore(run.store);
  await until('an image is half made', async () => {
    for await (const _ of objects.list('checkpoints/')) return true;
    return false;
  });
  for (const { pid, command } of descendants(drawer.pid)) if (command.includes('host-process')) kill(pid, 'SIGKILL');
  await run.follow(0);
  saveAll('leased', 'creature-0601', 'leased');
  await end(drawer, ...others);
});

test('a training of two settings that is done, one that is cancelled, and one that comes to nothing', async () => {
  const worker = await cluster.worker('train', ...TRAINER);
  const train = (id: string, what: SmallTraining, code = 0) => {
    const folder = scratch();
    const file = writeTraining(folder, what);
    const on = (...args: string[]) => [...args, '--store', join(folder, 'runs'), '--address', cluster.address];
    const start = (...args: string[]) =>
      cliJson<TrainingStatus>(on('train', file, '--id', id, ...TRAINER, ...args), args.length > 0 ? 0 : code);
    return { folder, start, command: (name: string) => cliJson<TrainingStatus>(on(name, id)) };
  };
  const saveTraining = (id: string, what: string) => {
    save(trainingWorkflowId(id), `train-model-${what}`);
    save(cellWorkflowId(id, 0), `train-cell-${what}`);
  };
  await train('trained', { maxSteps: 4, more: { grid: { 'lora.r': [2, 4] } } }).start();
  saveTraining('trained', 'done');

  const long = train('stopped', { maxSteps: 100_000 });
  await long.start('--detach');
  await until('it trains', async () => (await long.command('status')).cells[0]!.step > 0);
  await long.command('cancel');
  await until('it is cancelled', async () => (await long.command('status')).state === 'cancelled');
  saveTraining('stopped', 'cancelled');

  const spoilt = train('spoilt', { maxSteps: 4 }, 2);
  rmSync(join(spoilt.folder, 'feedback/train/creature-0001.png'));
  await spoilt.start();
  saveTraining('spoilt', 'failed');
  worker.signal('SIGTERM');
  await worker.ended;
});
