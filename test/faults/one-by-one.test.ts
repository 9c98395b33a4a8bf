/** Faults that end a step for good, or that a schedule could not time: each by itself, on one cluster. */
import { jest } from '@jest/globals';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceHost, type GenerateRequest } from '../../engine/inference/index.js';
import { openStore } from '../../engine/storage/index.js';
import { itemWorkflowId } from '../../core/ids.js';
import { cliJson, scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { ClusterRun } from '../support/cluster-run.js';
import { faultyModel, type UnetFault } from '../support/onnx-graphs.mjs';
import { until } from '../support/processes.js';
import { executedTwice, readItems } from '../support/runs.js';
import { mountDisk, unmountDisk } from '../support/small-disk.js';
import { CONTROL, PACK_SCORES, WRITTEN } from '../support/small-recipe.js';

jest.setTimeout(300_000);

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start();
  await Promise.all([cluster.worker('orchestrator'), cluster.worker('cpu')]);
});
afterAll(() => cluster.stop());

/** Makes images slow enough to be caught in the middle. */
const SLOW = { limit: 1, steps: 20, arms: [CONTROL, WRITTEN], generator: { height: 256, width: 256 } };

describe('a model', () => {
  const run = async (id: string, fault: UnetFault, limit: number) =>
    new ClusterRun(() => cluster, id, {
      limit,
      arms: [CONTROL],
      generator: { model: await faultyModel(scratch(), fault) },
      more: { scores: PACK_SCORES },
    });
  const request = (model: string): GenerateRequest => ({
    model,
    prompt: 'a round green creature',
    negativePrompt: '',
    scheduler: null,
    numInferenceSteps: 2,
    guidanceScale: 5,
    seed: 1,
    height: null,
    width: null,
  });

  test('that returns NaN: each item is given two more samples, fails by name, and the run ends', async () => {
    const gpu = await cluster.worker('gpu');
    const nan = await run('nan', { kind: 'nan' }, 3);
    await nan.start();
    expect(await nan.follow(3)).toMatchObject({ state: 'completed_with_failures', items: { total: 3, failed: 3, done: 0 } });
    for (const { failure } of await readItems(nan.store, 'nan'))
      expect(failure).toMatchObject({
        type: 'ModelOutputInvalid',
        reason: 'not_finite',
        step: 'generate',
        message: expect.stringContaining('NaN'),
      });
    const tried = (await nan.ledger()).filter(({ step }) => step === 'generate');
    expect(tried.map(({ item, draw, attempt, status }) => `${item} ${draw} ${attempt} ${status}`)).toHaveLength(9);
    expect(new Set(tried.map(({ item, draw }) => `${item} ${draw}`)).size).toBe(9);
    expect(tried.every(({ status, attempt, reason }) => status === 'failed' && attempt === 1 && reason === 'not_finite')).toBe(true);
    gpu.signal('SIGTERM');
    await gpu.ended;
  });

  test('that wants more memory than there is: tried once more, then it fails by name, and the host lives', async () => {
    const gpu = await cluster.worker('gpu');
    const greedy = await run('greedy', { kind: 'allocate', bytes: 2 ** 50 }, 1);
    await greedy.start();
    expect(await greedy.follow(3)).toMatchObject({ state: 'completed_with_failures', items: { total: 1, failed: 1 } });
    const [item] = await readItems(greedy.store, 'greedy');
    expect(item!.failure).toMatchObject({ type: 'OutOfMemory', step: 'generate', attempt: 2, message: expect.stringMatching(/allocate/) });
    gpu.signal('SIGTERM');
    await gpu.ended;
  });

  test('whose native call does not come back: the host is ended, and the next one answers', async () => {
    const host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1, hangTimeoutMs: 8_000 });
    try {
      const hanging = await faultyModel(scratch(), { kind: 'hang' });
      await expect(host.generate(request(hanging))).rejects.toMatchObject({
        code: 'HostCrashed',
        message: expect.stringContaining('no sign of life for 8 s'),
      });
      const cheap = await faultyModel(scratch(), { kind: 'cost', rounds: 10 });
      await expect(host.generate(request(cheap))).resolves.toMatchObject({ width: 64 });
    } finally {
      await host.close();
    }
  });

  test('whose native call ends the process: said so, and the next one answers', async () => {
    const host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
    try {
      const crashing = await faultyModel(scratch(), { kind: 'crash' });
      await expect(host.generate(request(crashing))).rejects.toMatchObject({
        code: 'HostCrashed',
        message: expect.stringContaining('was ended by SIGFPE'),
      });
      const cheap = await faultyModel(scratch(), { kind: 'cost', rounds: 10 });
      await expect(host.generate(request(cheap))).resolves.toMatchObject({ width: 64 });
    } finally {
      await host.close();
    }
  });
});

test('a step is given to two workers: the first result stands, and what the late one brings is dropped', async () => {
  const run = new ClusterRun(() => cluster, 'late', { ...SLOW, arms: [CONTROL] });
  const late = await cluster.worker('gpu');
  await run.start();
  const store = await openStore(run.store);
  const key = await until('an image is half made', async () => {
    for await (const name of store.objects.list('checkpoints/')) return name.slice('checkpoints/'.length);
    return null;
  });
  // Its host goes on to the end of the image; the worker itself hears of nothing, and beats no heart.
  late.signal('SIGSTOP');
  const other = await cluster.worker('gpu', '--device', '1');
  const recorded = () => store.objects.get(`steps/${key}.json`);
  const first = await until('another worker has made it', recorded, 120_000);
  late.signal('SIGCONT');
  // It comes to its end late, or hears first that nobody waits for it any more.
  const ended = async () => (await run.ledger()).find((row) => row.key === key && row.device === 'cpu:0' && row.status !== 'lost');
  expect(['completed', 'cancelled']).toContain((await until('the late one has ended', ended, 120_000)).status);
  expect(Buffer.compare((await recorded())!, first)).toBe(0);
  expect(await run.follow()).toMatchObject({ state: 'completed', items: { done: 1, failed: 0 } });
  expect(await cliJson(['verify', 'late', '--store', run.store])).toMatchObject({ corrupt: [], missing: [] });
  for (const worker of [late, other]) worker.signal('SIGTERM');
  await Promise.all([late.ended, other.ended]);
});

test('what a step reads is spoilt in mid-run: the item fails and names it, and retry makes it again', async () => {
  const gpu = await cluster.worker('gpu');
  const run = new ClusterRun(() => cluster, 'spoilt', SLOW);
  await run.start();
  const store = await openStore(run.store);
  const rows = () => run.ledger();
  await until('round 0 is scored', async () => (await rows()).some(({ step, status }) => step === 'score' && status === 'completed'));
  const keys = (await rows()).filter(({ step, status }) => step === 'embed' && status === 'completed').map(({ key }) => key);
  const records = await Promise.all(keys.map((key) => store.steps.readStep(key)));
  const digests = records.map((record) => record!.outputs['embedding']!.digest);
  for (const digest of digests) {
    const file = join(run.store, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    rmSync(file);
    writeFileSync(file, bytes);
  }
  expect(await run.follow(3)).toMatchObject({ state: 'completed_with_failures', items: { failed: 1 } });
  const [item] = await readItems(run.store, 'spoilt');
  const failures = [item!.failure, ...item!.arms.map(({ failure }) => failure)].filter((failure) => failure !== undefined);
  expect(failures.length).toBeGreaterThan(0);
  for (const failure of failures) {
    expect(failure).toMatchObject({ type: 'StorageUnavailable', step: 'score', attempt: 3 });
    expect(digests.some((digest) => failure.message.includes(digest))).toBe(true);
  }
  expect(await run.command('retry')).toMatchObject({ state: 'completed', items: { done: 1, failed: 0 } });
  expect(await cliJson(['verify', 'spoilt', '--store', run.store])).toMatchObject({ corrupt: [], missing: [] });
  gpu.signal('SIGTERM');
  await gpu.ended;
});

test('the disk of the store is full in mid-run: the run waits, and goes on when there is room', async () => {
  const run = new ClusterRun(() => cluster, 'full', { limit: 4, steps: 4, arms: [CONTROL, WRITTEN] });
  if (!mountDisk(run.store, 'size=24m')) {
    console.warn('no small file system can be mounted here: a disk that fills in mid-run was not tried; test/storage has a full device');
    return;
  }
  const gpu = await cluster.worker('gpu');
  try {
    await run.start();
    await run.pictures(2);
    fill(join(run.store, 'filler'));
    const store = await openStore(run.store);
    const { client } = cluster;
    const failures = async () => {
      const ids = (await store.run('full').readIndexRange(0, 4)).map(({ key }) => itemWorkflowId('full', key));
      const all = await Promise.all(
        ids.map((id) =>
          client.workflow
            .getHandle(id)
            .describe()
            .catch(() => null),
        ),
      );
      return all.flatMap((description) => (description?.raw.pendingActivities ?? []).map(({ lastFailure }) => lastFailure?.message ?? ''));
    };
    await until('a step says that the disk is full', async () =>
      (await failures()).some((message) => message.includes('the disk is full')),
    );
    rmSync(join(run.store, 'filler'));
    expect(await run.follow()).toMatchObject({ state: 'completed', items: { total: 4, done: 4, failed: 0 } });
    expect(executedTwice(await run.ledger())).toEqual([]);
    expect(await cliJson(['verify', 'full', '--store', run.store])).toMatchObject({ corrupt: [], missing: [] });
  } finally {
    gpu.signal('SIGTERM');
    await gpu.ended;
    unmountDisk(run.store);
  }
});

/** Writes until nothing more goes in. */
function fill(file: string): void {
  const filler = openSync(file, 'w');
  try {
    for (let size = 2 ** 20; size >= 1; size /= 4) {
      const block = Buffer.alloc(size);
      try {
        for (;;) writeSync(filler, block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(filler);
  }
}
