/** Real kills in the middle of a run: nothing is left behind, and what was finished is not done again. */
import { jest } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openStore, type Store } from '../../engine/storage/index.js';
import { cliJson, scratch, startCli, type RunningCli } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { descendants, isAlive, kill, processesNaming, until, type ProcessInfo } from '../support/processes.js';
import { completed, executedTwice, readLedger, type RunDocument } from '../support/runs.js';
import { CONTROL, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

/** An image takes long enough to be caught in it. */
function slowRun() {
  const folder = scratch();
  const store = join(folder, 'store');
  const command = ['run', writeRecipe(folder, { steps: 20, arms: [CONTROL, WRITTEN] }), '--run', 'r', '--store', store];
  return {
    store,
    start: () => startCli([...command, '--json']),
    again: () => cliJson<RunDocument>(command),
    ledger: (closed = false) => readLedger(store, 'r', closed),
  };
}

type SlowRun = ReturnType<typeof slowRun>;

async function untilImages(run: SlowRun, running: RunningCli, n: number): Promise<void> {
  await until(`${n} images are recorded`, async () => {
    if (!isAlive(running.pid)) throw new Error(`the run ended too early:\n${running.output().stderr}`);
    return completed(await run.ledger()).filter((row) => row.step === 'generate').length >= n;
  });
}

const isServer = ({ command }: ProcessInfo) => command.includes('start-dev');
const gone = (processes: ProcessInfo[]) => until('what the command started is gone', () => processes.every(({ pid }) => !isAlive(pid)));

/** Completes by the same command, without doing again what was completed before. */
async function completes(run: SlowRun): Promise<void> {
  const before = completed(await run.ledger());
  expect(await run.again()).toMatchObject({ state: 'completed', items: { total: 3, done: 3, failed: 0 } });
  const ledger = await run.ledger(true);
  expect(executedTwice(ledger)).toEqual([]);
  expect(completed(ledger).length).toBeGreaterThan(before.length);
  expect(ledger.filter((row) => row.step === 'generate' && row.status === 'completed')).toHaveLength(9);
  expect(processesNaming(run.store)).toEqual([]);
}

test('SIGKILL of the command: server and hosts end, and the same command goes on where it was', async () => {
  const run = slowRun();
  const running = run.start();
  await untilImages(run, running, 3);
  const started = descendants(running.pid);
  expect(started.filter(isServer).length).toBeGreaterThan(0);
  running.signal('SIGKILL');
  await running.ended;
  await gone(started);
  expect(processesNaming(run.store)).toEqual([]);
  // What was in the host when it was killed has a start and no end.
  expect((await run.ledger(true)).filter((row) => row.status === 'lost').length).toBeGreaterThan(0);
  await completes(run);
});

test('Ctrl-C: exit code 130 and how to go on, nothing left running, and the same command goes on', async () => {
  const run = slowRun();
  const running = run.start();
  await untilImages(run, running, 3);
  const started = descendants(running.pid);
  running.signal('SIGINT');
  const { code, stderr } = await running.ended;
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringMatching(/run r is suspended.*The same command goes on/) });
  await gone(started);
  expect(processesNaming(run.store)).toEqual([]);
  expect(existsSync(join(run.store, '.refineloop/server.json'))).toBe(false);
  expect(await cliJson<RunDocument>(['status', 'r', '--store', run.store])).toMatchObject({
    state: 'running',
    source: 'store',
    items: { total: 3 },
  });
  await completes(run);
});

test('SIGKILL of the inference hosts in the middle of an image: the step fails, is tried again, and the run completes', async () => {
  const run = slowRun();
  const running = run.start();
  await untilImages(run, running, 2);
  await until('an image is being made', async () =>
    (await run.ledger(true)).some((row) => row.step === 'generate' && row.status === 'lost'),
  );
  const hosts = descendants(running.pid).filter(({ command }) => command.includes('host-process'));
  expect(hosts.length).toBeGreaterThan(0);
  hosts.forEach(({ pid }) => kill(pid, 'SIGKILL'));

  const { code, stdout, stderr } = await running.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  const document = JSON.parse(stdout) as RunDocument;
  expect(document).toMatchObject({ state: 'completed', items: { done: 3, failed: 0 } });
  expect(document.steps.retried).toBeGreaterThan(0);
  const ledger = await run.ledger(true);
  const crashed = ledger.filter((row) => row.status === 'failed');
  expect(crashed.length).toBeGreaterThan(0);
  for (const row of crashed) {
    expect(row.error).toMatch(/^HostCrashed: /);
    const after = ledger.filter(
      (other) => other.key === row.key && other.item === row.item && other.arm === row.arm && other.attempt > row.attempt,
    );
    expect(after.map((other) => other.status)).toContain('completed');
  }
  expect(executedTwice(ledger)).toEqual([]);
});

test('SIGKILL of a gpu worker in the middle of an image: another worker goes on with it, and the picture is the same', async () => {
  const cluster = await Cluster.start();
  try {
    await Promise.all([cluster.worker('orchestrator'), cluster.worker('cpu')]);
    const large = { height: 256, width: 256 };
    const start = async (name: string) => {
      const folder = scratch();
      const recipe = writeRecipe(folder, { limit: 1, steps: 20, arms: [CONTROL], generator: large });
      const on = ['--run', name, '--store', join(folder, 'store'), '--address', cluster.address];
      await cliJson(['run', recipe, ...on, '--detach']);
      return { store: await openStore(join(folder, 'store')), end: () => cliJson<RunDocument>(['run', recipe, ...on]) };
    };
    const pictures = async ({ store }: { store: Store }, name: string) =>
      (await store.run(name).listItems()).flatMap(({ arms }) => arms.flatMap(({ rounds }) => rounds.map(({ image }) => image.digest)));
    const left = async ({ store }: { store: Store }) => {
      for await (const key of store.objects.list('checkpoints/')) return key.slice('checkpoints/'.length);
      return null;
    };
    const first = await cluster.worker('gpu');
    const disturbed = await start('disturbed');
    const key = await until('an image is half made', () => left(disturbed));
    first.signal('SIGKILL');
    await first.ended;
    await cluster.worker('gpu');
    expect(await disturbed.end()).toMatchObject({ state: 'completed', items: { done: 1 } });
    const { values } = (await disturbed.store.findStep(key))!;
    expect(values['resumedAfter']).toBeGreaterThanOrEqual(5);
    expect(await left(disturbed)).toBeNull();
    const undisturbed = await start('undisturbed');
    await undisturbed.end();
    expect(await pictures(disturbed, 'disturbed')).toEqual(await pictures(undisturbed, 'undisturbed'));
  } finally {
    await cluster.stop();
  }
});
