/** Trainings whose workers are killed, stopped and gone, and which are cancelled: real processes, real signals. */
import { jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { findTemporalCli } from '#temporal-cli';
import type { TrainingStatus } from '../../app/client/training-status.js';
import { cellWorkflowId, isTrained, type TrainedCell } from '../../core/training.js';
import { openStore } from '../../engine/storage/index.js';
import { cliJson, scratch, startCli, type RunningCli } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { processesNaming, until } from '../support/processes.js';
import { PACK } from '../support/small-recipe.js';
import { TRAINER, writeTraining, type SmallTraining } from '../support/small-training.js';

jest.setTimeout(300_000);

/** Long enough to be struck in the middle. */
const SLOW = { env: { SMALL_TRAINER_STEP_SECONDS: '0.15' } };
let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.worker('orchestrator');
});
afterAll(() => cluster.stop());

const startTrainer = async (env: Record<string, string> = SLOW.env): Promise<RunningCli> => {
  const worker = startCli(['worker', '--queue', 'train', '--address', cluster.address, ...TRAINER], { env });
  await worker.saw('worker on queue train');
  return worker;
};

class Training {
  readonly folder = scratch();
  readonly store = join(this.folder, 'runs');
  private readonly recipe: string;

  constructor(
    private readonly id: string,
    what: SmallTraining,
  ) {
    this.recipe = writeTraining(this.folder, what);
  }

  private on = (...args: string[]) => [...args, '--store', this.store, '--address', cluster.address];
  start = () => cliJson<TrainingStatus>(this.on('train', this.recipe, '--id', this.id, '--detach', ...TRAINER));
  follow = (code = 0) => cliJson<TrainingStatus>(this.on('train', this.recipe, '--id', this.id, ...TRAINER), code);
  cancel = () => cliJson<TrainingStatus>(this.on('cancel', this.id));
  status = () => cliJson<TrainingStatus>(this.on('status', this.id));
  files = async () => (await openStore(this.store)).training(this.id);
  checkpoint = async () => {
    const record = (await (await openStore(this.store)).objects.get(`training/${this.id}/cells/0/checkpoint.json`)) ?? null;
    return record ? (JSON.parse(Buffer.from(record).toString()) as { step: number }).step : 0;
  };
  reached = (step: number) => until(`step ${step} is saved`, async () => (await this.checkpoint()) >= step, 120_000);
  async trained(): Promise<TrainedCell> {
    return (await (await this.files()).readResult())!.cells.filter(isTrained)[0]!;
  }
  async curve() {
    const { curve } = await this.trained();
    return Buffer.from(await (await openStore(this.store)).getArtifact(curve)).toString('utf8');
  }
}

const programs = () => processesNaming('small-trainer/train.py').map(({ pid }) => pid);

test('a training whose worker is killed three times makes as many steps, and has the curve and the adapter of one that nobody disturbed', async () => {
  const calm = new Training('calm', { maxSteps: 60 });
  const worker = await startTrainer({});
  await calm.follow();
  worker.signal('SIGTERM');
  await worker.ended;

  const struck = new Training('struck', { maxSteps: 60 });
  await struck.start();
  for (const step of [10, 25, 40]) {
    const victim = await startTrainer();
    await struck.reached(step);
    const running = programs();
    expect(running.length).toBeGreaterThan(0);
    victim.signal('SIGKILL');
    await victim.ended;
    // Nobody is left that could write into a folder in which the next attempt works.
    await until('the program has ended with its worker', () => !programs().some((pid) => running.includes(pid)), 10_000);
  }
  const last = await startTrainer({});
  const done = await struck.follow();
  expect(done).toMatchObject({ state: 'completed', cells: [{ step: 60 }] });
  expect((await (await struck.files()).readProgress(0))!.resumedFrom).toBeGreaterThanOrEqual(40);

  const steps = (await struck.curve()).split('\n').filter((line) => line.includes('"loss"')).map((line) => (JSON.parse(line) as { step: number }).step); // prettier-ignore
  expect(steps).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  expect(await struck.curve()).toBe(await calm.curve());
  expect((await struck.trained()).result.digest).toBe((await calm.trained()).result.digest);
  // What was needed to go on is gone with the need.
  expect(await struck.checkpoint()).toBe(0);
  last.signal('SIGTERM');
  await last.ended;
});

test('a cancelled training leaves a checkpoint, and a later start goes on from it', async () => {
  const training = new Training('cancelled', { maxSteps: 60, training: { checkpoint_steps: 1000 } });
  const worker = await startTrainer();
  await training.start();
  await until('it trains', async () => (await training.status()).cells[0]!.step > 3);
  await training.cancel();
  await until('it is cancelled', async () => (await training.status()).state === 'cancelled');
  expect(programs()).toEqual([]);
  const left = await training.checkpoint();
  expect(left).toBeGreaterThan(3);
  expect(left).toBeLessThan(60);
  const done = await training.follow();
  expect(done).toMatchObject({ state: 'completed', cells: [{ step: 60 }] });
  expect((await (await training.files()).readProgress(0))!.resumedFrom).toBe(left);
  worker.signal('SIGTERM');
  await worker.ended;
});

test('a worker that is stopped leaves a checkpoint, and the next one goes on from it', async () => {
  const training = new Training('stopped', { maxSteps: 50, training: { checkpoint_steps: 1000 } });
  const worker = await startTrainer();
  await training.start();
  await until('it trains', async () => (await training.status()).cells[0]!.step > 3);
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  const left = await training.checkpoint();
  expect(left).toBeGreaterThan(3);
  const next = await startTrainer({});
  expect(await training.follow()).toMatchObject({ state: 'completed', cells: [{ step: 50 }] });
  expect((await (await training.files()).readProgress(0))!.resumedFrom).toBe(left);
  next.signal('SIGTERM');
  await next.ended;
});

test('a worker with another model under the same name does not train on it', async () => {
  const base = join(scratch(), 'base');
  cpSync(join(PACK, 'opt-untuned'), base, { recursive: true });
  const training = new Training('another-base', { more: { model: { source: 'opt', base, image_encoder: join(PACK, 'vit-mae') } } });
  await training.start();
  appendFileSync(join(base, 'model.safetensors'), 'another');
  const worker = await startTrainer({});
  await until('it has failed', async () => (await training.status()).state === 'failed');
  expect((await training.status()).failure).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringMatching(/base of this worker \(sha256:.* is not the model/),
  });
  worker.signal('SIGTERM');
  await worker.ended;
});

test('of a grid the setting of the lowest validation loss is taken, each trained on the queue for it', async () => {
  const worker = await startTrainer({});
  const training = new Training('grid', { maxSteps: 12, more: { grid: { learning_rate: [0.5, 0.01], 'lora.r': [2, 6] } } });
  const done = await training.follow();
  // Each says so itself, before the grid is through.
  const told = await Promise.all(done.cells.map(async ({ cell }) => (await training.files()).readProgress(cell)));
  expect(told).toMatchObject([0, 1, 2, 3].map((cell) => ({ cell, state: 'trained', step: 12 })));
  const losses = done.cells.map(({ validationLoss }) => validationLoss!);
  expect(done.cells.map(({ label }) => label)).toEqual([
    'learning_rate=0.5 lora.r=2',
    'learning_rate=0.5 lora.r=6',
    'learning_rate=0.01 lora.r=2',
    'learning_rate=0.01 lora.r=6',
  ]);
  expect(new Set(losses).size).toBe(4);
  expect(done.chosen).toBe(losses.indexOf(Math.min(...losses)));
  const { events } = JSON.parse(show(cellWorkflowId('grid', done.chosen!))) as { events: Array<Record<string, unknown>> };
  const queues = events.map((event) => (event['activityTaskScheduledEventAttributes'] as { taskQueue: { name: string } } | undefined)?.taskQueue.name); // prettier-ignore
  expect(queues.filter(Boolean)).toEqual(['train']);
  worker.signal('SIGTERM');
  await worker.ended;
});

function show(workflowId: string): string {
  const args = ['workflow', 'show', '--workflow-id', workflowId, '--output', 'json', '--address', cluster.address];
  return execFileSync(findTemporalCli()!.path, args, { encoding: 'utf8' });
}
