/** Several devices: how steps are spread over them, pinned to them, given back by them, and taken up when one is stopped or dies. */
import { jest } from '@jest/globals';
import { itemKey, itemWorkflowId } from '../../core/ids.js';
import { decodeCheckpoint } from '../../engine/inference/index.js';
import { openStore, type Store } from '../../engine/storage/index.js';
import { LedgerFollower } from '../../engine/storage/ledger.js';
import { cliJson, type RunningCli } from '../support/cli.js';
import { ClusterRun } from '../support/cluster-run.js';
import { Cluster } from '../support/cluster.js';
import { descendants, kill, until } from '../support/processes.js';
import { completed, executedTwice, readItems, type LedgerRow, type RunDocument } from '../support/runs.js';
import { CONTROL, OPT, type SmallRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

/** Of a device, with one request at a time. */
const SLOTS = 2;
const ITEM = 'creature-0601';
/** A picture that takes several seconds. */
const SLOW: SmallRecipe = { limit: 1, steps: 40, arms: [CONTROL], generator: { height: 256, width: 256 } };

let cluster: Cluster;
let gpus: RunningCli[] = [];

beforeAll(async () => {
  cluster = await Cluster.start();
  await Promise.all([cluster.worker('orchestrator'), cluster.worker('cpu')]);
});
afterEach(async () => {
  gpus.forEach((worker) => worker.signal('SIGKILL'));
  await Promise.all(gpus.map(({ ended }) => ended));
  gpus = [];
});
afterAll(() => cluster.stop());

async function gpu(...args: string[]): Promise<RunningCli> {
  const worker = await cluster.worker('gpu', ...args);
  gpus.push(worker);
  return worker;
}

const stepsOn = (ledger: LedgerRow[], device: string) => completed(ledger).filter((row) => row.device === device);
const failedOn = (ledger: LedgerRow[]) => ledger.filter(({ status }) => status === 'failed');

/** Most attempts that a device had at once, by the ledger's start and end lines of all runs in the stores. */
async function mostAtOnce(runs: ClusterRun[], device: string): Promise<number> {
  const lines = (
    await Promise.all(runs.map(async ({ store, id }) => new LedgerFollower((await openStore(store)).objects, id).readOn()))
  ).flat();
  const ids = new Set(lines.flatMap((line) => (line.row === 'start' && line.device === device ? [line.id] : [])));
  // Of one moment the ends first: a slot that is given back is taken at once.
  const changes = lines.flatMap(({ row, id, at }) => (row === 'recorded' || !ids.has(id) ? [] : [{ at, by: row === 'start' ? 1 : -1 }]));
  changes.sort((a, b) => (a.at === b.at ? a.by - b.by : a.at < b.at ? -1 : 1));
  let [now, most] = [0, 0];
  for (const { by } of changes) most = Math.max(most, (now += by));
  return most;
}

/** What became of an item's activities: the queues that they were scheduled on, and their summaries. */
async function scheduled(run: ClusterRun, id = ITEM) {
  const { events } = await cluster.client.workflow.getHandle(itemWorkflowId(run.id, itemKey(id))).fetchHistory();
  const types = (events ?? []).map(({ eventType }) => Number(eventType));
  const activities = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled, userMetadata }) =>
    scheduled
      ? [
          {
            queue: scheduled.taskQueue?.name ?? '',
            summary: JSON.parse(Buffer.from(userMetadata?.summary?.data ?? '""').toString()) as string,
          },
        ]
      : [],
  );
  // Of activities: failed, timed out.
  return {
    activities,
    queues: activities.map(({ queue }) => queue),
    failed: types.filter((type) => type === 13).length,
    timedOut: types.filter((type) => type === 14).length,
  };
}

const keptCheckpoint = async (store: Store) => {
  for await (const name of store.objects.list('checkpoints/')) {
    const key = name.slice('checkpoints/'.length);
    const bytes = await store.checkpoints.find(key);
    const done = bytes && decodeCheckpoint(bytes)?.done;
    if (done !== undefined) return { key, done };
  }
  return null;
};

test('two devices share the work evenly, and neither ever has more steps than slots, whatever queues they come from', async () => {
  await Promise.all([gpu('--device', '0'), gpu('--device', '1', '--name', 'one')]);
  const warm = new ClusterRun(() => cluster, 'warm', { limit: 4, arms: [CONTROL] });
  await warm.start();
  await warm.follow();

  const even = new ClusterRun(() => cluster, 'even', { limit: 50, steps: 6, arms: [CONTROL], more: { seed: 8 } });
  await even.start('--concurrency', '16');
  expect(await even.follow()).toMatchObject({ state: 'completed', items: { done: 50 } });
  const images = (device: string) => stepsOn(ledger, device).filter(({ step }) => step === 'generate').length;
  const ledger = await even.ledger();
  const [zero, one] = [images('cpu:0'), images('cpu:1')];
  expect(zero + one).toBe(100);
  expect(Math.abs(zero - one)).toBeLessThanOrEqual(10);

  const shared = new ClusterRun(() => cluster, 'shared', { limit: 8, steps: 4, arms: [CONTROL], more: { seed: 9 } });
  const pinned = new ClusterRun(() => cluster, 'pinned', {
    limit: 8,
    steps: 4,
    arms: [CONTROL],
    generator: { worker: 'one' },
    more: { seed: 10 },
  });
  await Promise.all([shared.start('--concurrency', '12'), pinned.start('--concurrency', '12')]);
  await Promise.all([shared.follow(), pinned.follow()]);
  const pictures = completed(await pinned.ledger()).filter(({ step }) => step === 'generate');
  expect(pictures.map(({ device }) => device)).toEqual(pictures.map(() => 'cpu:1'));
  expect(stepsOn(await shared.ledger(), 'cpu:0').length).toBeGreaterThan(0);
  for (const device of ['cpu:0', 'cpu:1']) {
    expect(await mostAtOnce([even], device)).toBe(SLOTS);
    expect(await mostAtOnce([shared, pinned], device)).toBe(SLOTS);
  }
});

test('a device dies and another joins: what it had is done by the others, and nothing twice', async () => {
  const [victim] = await Promise.all([gpu('--device', '0'), gpu('--device', '1')]);
  const run = new ClusterRun(() => cluster, 'dies', { limit: 20, steps: 8, arms: [CONTROL] });
  await run.start('--concurrency', '8');
  await until('the first device has made pictures', async () => stepsOn(await run.ledger(), 'cpu:0').length >= 3);
  victim.signal('SIGKILL');
  await gpu('--device', '2');
  expect(await run.follow()).toMatchObject({ state: 'completed', items: { total: 20, done: 20, failed: 0 } });
  const ledger = await run.ledger();
  expect(executedTwice(ledger)).toEqual([]);
  expect(failedOn(ledger)).toEqual([]);
  expect(stepsOn(ledger, 'cpu:2').length).toBeGreaterThan(0);
  expect(completed(ledger).filter(({ step }) => step === 'generate')).toHaveLength(40);
});

describe('devices with roles', () => {
  const run = new ClusterRun(() => cluster, 'roles', { limit: 2, arms: [CONTROL, OPT] });

  test('while nobody has a role its steps wait, and say for whom', async () => {
    await gpu('--device', '1', '--roles', 'feedback,score');
    await run.start('--worker-wait', '1');
    await until('a step has waited, and was offered to all again', async () => {
      const { queues } = await scheduled(run).catch(() => ({ queues: [] as string[] })); // It is yet to begin.
      return queues.filter((queue) => queue === 'gpu-generate-cpu').length >= 2;
    });
    const { activities, failed } = await scheduled(run);
    const waiting = activities.find(({ queue }) => queue === 'gpu-generate-cpu')!;
    expect(waiting.summary).toBe('generate image, waits for a worker with role generate on cpu');
    expect(failed).toBe(0);
    expect((await run.ledger()).filter(({ step }) => step === 'generate')).toEqual([]);
    expect(await run.command('status')).toMatchObject({ state: 'running', items: { running: 2, failed: 0 } });

    await gpu('--device', '0', '--roles', 'generate');
    expect(await run.follow()).toMatchObject({ state: 'completed', items: { done: 2 } });
  });

  test('each does what it is for, without a failed attempt, and later steps of an item go straight to its queue', async () => {
    const ledger = await run.ledger();
    expect(failedOn(ledger)).toEqual([]);
    const places = completed(ledger).map(({ step, device }) => `${step} ${device}`);
    expect(new Set(places)).toEqual(new Set(['generate cpu:0', 'embed cpu:1', 'feedback cpu:1', 'score cpu']));
    const { activities } = await scheduled(run);
    const later = activities.filter(({ summary }) => summary.startsWith('generate image control round 1'));
    expect(later.map(({ queue }) => queue)).toEqual(['gpu-generate-cpu']);
  });

  test('the devices of an item are a search attribute, and stand in timings.json and on the report’s page', async () => {
    const ids = async (query: string) => {
      const found: string[] = [];
      for await (const { workflowId } of cluster.client.workflow.list({ query })) found.push(workflowId);
      return found;
    };
    for (const device of ['cpu:0', 'cpu:1'])
      await until(
        'items are found by device',
        async () => (await ids(`RefineRun = "${run.id}" AND RefineDevice = "${device}"`)).length === 2,
      );
    const { objects } = await openStore(run.store);
    const read = async (file: string) => Buffer.from((await objects.get(`runs/${run.id}/report/${file}`))!).toString();
    const { devices } = JSON.parse(await read('timings.json')) as { devices: Record<string, { statuses: object; seconds: number }> };
    expect(devices).toMatchObject({ 'cpu:0': { statuses: { completed: 6 }, seconds: expect.any(Number) }, 'cpu:1': {}, cpu: {} });
    expect(await read('index.html')).toContain('3 devices: cpu, cpu:0, cpu:1');
  });
});

test('a device of another execution provider gives steps back as often as they come, at no cost: they wait for one that has it', async () => {
  await gpu();
  const run = new ClusterRun(() => cluster, 'elsewhere', { limit: 1, arms: [CONTROL], more: { execution_provider: 'cuda' } });
  await run.start('--worker-wait', '1');
  await until('it was offered to all more often than a lost device has attempts', async () => {
    const { queues } = await scheduled(run).catch(() => ({ queues: [] as string[] })); // It is yet to begin.
    return queues.filter((queue) => queue === 'gpu').length > 3;
  });
  const { activities, failed } = await scheduled(run);
  const summary = 'generate image, waits for a worker with role generate on cuda';
  expect(activities).toContainEqual({ queue: 'gpu-generate-cuda', summary });
  expect(failed).toBe(0);
  expect((await run.ledger()).filter(({ step }) => step === 'generate')).toEqual([]);
  expect(await run.command('status')).toMatchObject({ state: 'running', items: { running: 1, failed: 0 } });
  await run.command('cancel');
});

test('with devices for everything, an item goes the short way: each step is scheduled once, on the shared queue', async () => {
  await gpu();
  const run = new ClusterRun(() => cluster, 'plain', { limit: 1, arms: [CONTROL] });
  await run.start();
  await run.follow();
  const { queues } = await scheduled(run);
  expect(queues.filter((queue) => queue.startsWith('gpu'))).toEqual(['gpu', 'gpu', 'gpu', 'gpu', 'gpu']);
});

test('steps that are pinned to a worker which is not there go to any other after the wait, once an item', async () => {
  await gpu();
  const run = new ClusterRun(() => cluster, 'pinned-to-nobody', { limit: 1, arms: [CONTROL], generator: { worker: 'nobody' } });
  await run.start('--worker-wait', '1');
  expect(await run.follow()).toMatchObject({ state: 'completed', items: { done: 1, failed: 0 } });
  const { activities, timedOut } = await scheduled(run);
  const pictures = activities.filter(({ summary }) => summary.startsWith('generate'));
  expect(pictures).toEqual([
    { queue: 'gpu-nobody', summary: 'generate image' },
    { queue: 'gpu', summary: 'generate image, gpu-nobody did not take it' },
    { queue: 'gpu', summary: 'generate image control round 1' },
  ]);
  expect(timedOut).toBe(1);
  const { recipe } = await cliJson<{ recipe: object }>(['report', run.id, '--store', run.store, '--format', 'json']);
  expect(JSON.stringify(recipe)).not.toContain('nobody');
});

describe('a picture that is half made', () => {
  test('when its device alone crashes, is finished by the same worker, and attempts are counted on', async () => {
    const first = await gpu('--device', '0', '--name', 'first');
    const run = new ClusterRun(() => cluster, 'leased', SLOW);
    const store = await openStore(run.store);
    await run.start();
    const { key } = await until('an image is half made', () => keptCheckpoint(store));
    await gpu('--device', '1');
    descendants(first.pid)
      .filter(({ command }) => command.includes('host-process'))
      .forEach(({ pid }) => kill(pid, 'SIGKILL'));
    expect(await run.follow()).toMatchObject({ state: 'completed', items: { done: 1 } });
    const attempts = (await run.ledger()).filter((row) => row.key === key && row.step === 'generate');
    expect(attempts).toMatchObject([
      { attempt: 1, status: 'failed', device: 'cpu:0', error: expect.stringMatching(/^HostCrashed/) },
      { attempt: 2, status: 'completed', device: 'cpu:0' },
    ]);
    expect((await store.findStep(key))!.values['resumedAfter']).toBeGreaterThanOrEqual(5);
    const { activities } = await scheduled(run);
    expect(activities).toContainEqual({ queue: 'gpu-first', summary: 'generate image, goes on where it was, attempt 2' });
  });

  const whole = new ClusterRun(() => cluster, 'drained', SLOW);
  // Pinned, so that its worker's own queue is waited at in vain once it is gone.
  const cut = new ClusterRun(() => cluster, 'cut-short', { ...SLOW, generator: { ...SLOW.generator, worker: 'leaver' } });

  test('is finished by its worker when that is stopped and has the time', async () => {
    const worker = await gpu('--device', '0', '--grace', '120');
    await whole.start();
    await until('an image is half made', async () => keptCheckpoint(await openStore(whole.store)));
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
    const ledger = await whole.ledger();
    expect(ledger.filter(({ status }) => status !== 'completed')).toEqual([]);
    expect(completed(ledger).filter(({ step }) => step === 'generate').length).toBeGreaterThan(0);
    await gpu('--device', '1');
    expect(await whole.follow()).toMatchObject({ state: 'completed', items: { done: 1 }, steps: { retried: 0 } });
  });

  test('is left to the next worker where it was, not at the last fifth step, when there is no time', async () => {
    const worker = await gpu('--device', '0', '--grace', '0', '--name', 'leaver');
    const store = await openStore(cut.store);
    await cut.start('--worker-wait', '1');
    // What Temporal heard last; a multiple of five would be in the store anyway.
    const heard = await until('an image is half made', async () => {
      const described = await cluster.client.workflow
        .getHandle(itemWorkflowId(cut.id, itemKey(ITEM)))
        .describe()
        .catch(() => undefined); // It is yet to begin.
      const details = described?.raw.pendingActivities?.flatMap(({ heartbeatDetails }) => heartbeatDetails?.payloads ?? []) ?? [];
      // A heartbeat of the wait has no details.
      const done = details.map(({ data }) => (data?.length ? (JSON.parse(Buffer.from(data).toString()) as { done: number }).done : 0));
      return done.find((n) => n > 1 && n % 5 !== 0 && n < 37);
    });
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
    const left = (await keptCheckpoint(store))!;
    expect(left.done).toBeGreaterThanOrEqual(heard);
    const stopped = (await cut.ledger()).filter((row) => row.key === left.key);
    expect(stopped).toMatchObject([{ attempt: 1, status: 'cancelled', device: 'cpu:0' }]);
    await gpu('--device', '1');
    expect(await cut.follow()).toMatchObject({ state: 'completed', items: { done: 1, failed: 0 } });
    const ledger = await cut.ledger();
    expect(failedOn(ledger)).toEqual([]);
    expect(ledger.filter((row) => row.key === left.key)).toMatchObject([{}, { attempt: 2, status: 'completed', device: 'cpu:1' }]);
    expect((await store.findStep(left.key))!.values['resumedAfter']).toBe(left.done);
  });

  test('is the same picture as one that was left in peace', async () => {
    const pictures = async ({ store, id }: ClusterRun) =>
      (await readItems(store, id)).flatMap(({ arms }) => arms.flatMap(({ rounds }) => rounds.map(({ image }) => image.digest)));
    expect(await pictures(cut)).toEqual(await pictures(whole));
    expect(await pictures(cut)).toHaveLength(2);
  });
});

test('doctor names the devices of this machine, and the workers that serve the server', async () => {
  await gpu('--device', '0', '--name', 'drawer', '--roles', 'generate');
  const look = async () => {
    const { findings } = await cliJson<{ findings: Array<{ check: string; found: string }> }>(['doctor', '--address', cluster.address]);
    return (check: string) => findings.find((finding) => finding.check === check)?.found;
  };
  const found = await until('the worker has polled', async () => {
    const of = await look();
    return of('gpu workers')?.includes('drawer') ? of : null;
  });
  expect(found('devices')).toMatch(/cpu:0 \(\d+ cores\)/);
  expect(found('gpu workers')).toMatch(/drawer \d+@\S+ \(generate\)/);
});

test.each([
  [['--name', 'score'], /worker name "score": use letters/],
  [['--roles', 'draw'], /roles \["draw"\]: name one or more of generate, feedback, score/],
])('worker refuses %j', async (args, message) => {
  await expect(cliJson<RunDocument>(['worker', '--queue', 'gpu', '--address', cluster.address, ...args], 0)).rejects.toThrow(message);
});
