/** Clocks of workers that jump by hours, forth and back, in the middle of a run on a bucket, whose server refuses a clock that is off. */
import { jest } from '@jest/globals';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mergeLedger, openStore, type LedgerLine } from '../../engine/storage/index.js';
import { cli, cliJson, ROOT, scratch, startCli } from '../support/cli.js';
import { Cluster, POLLS } from '../support/cluster.js';
import { startMinio } from '../support/minio.js';
import { until } from '../support/processes.js';
import { completed, executedTwice, readLedger, type RunDocument, type StatusDocument } from '../support/runs.js';
import { CONTROL, WRITTEN, writeRecipe } from '../support/small-recipe.js';

// Building MinIO takes minutes, once on a machine.
jest.setTimeout(900_000);

test('the clocks of all workers jump: the run ends as it would have, and what is computed from clocks stays sane', async () => {
  const folder = scratch();
  const recipe = writeRecipe(folder, { limit: 8, steps: 4, arms: [CONTROL, WRITTEN] });
  const clock = join(folder, 'clock');
  const jump = (hours: number) => {
    writeFileSync(`${clock}.new`, String(hours * 3_600_000));
    renameSync(`${clock}.new`, clock);
  };
  jump(0);
  // The monotonic clock, by which timers run, does not jump on a real machine either.
  const env = { NODE_OPTIONS: `--import ${join(ROOT, 'test/support/jumping-clock.mjs')}`, CLOCK: clock };
  const minio = await startMinio();
  const cluster = await Cluster.start();
  try {
    const store = minio.uri('runs');
    const on = ['--store', store, '--address', cluster.address];
    const roles = ['orchestrator', 'cpu', 'gpu'] as const;
    const workers = roles.map((role) => ({ role, worker: startCli(['worker', '--queue', role, '--address', cluster.address], { env }) }));
    for (const { role, worker } of workers) await worker.saw(POLLS(role));
    await cliJson(['run', recipe, '--run', 'clocks', ...on, '--detach']);
    const opened = await openStore(store);
    const follower = opened.followLedger('clocks');
    const followed: LedgerLine[] = [];
    const images = (n: number) =>
      until(`${n} images`, async () => {
        followed.push(...(await follower.readOn()));
        return completed(mergeLedger(followed)).filter(({ step }) => step === 'generate').length >= n;
      });
    await images(4);
    jump(2);
    await images(10);
    jump(-2);
    expect(await cliJson<RunDocument>(['run', recipe, '--run', 'clocks', ...on])).toMatchObject({
      state: 'completed',
      items: { total: 8, done: 8, failed: 0 },
    });

    // Who follows the ledger has seen each line of it.
    followed.push(...(await follower.readOn()));
    expect(followed).toHaveLength((await opened.followLedger('clocks').readOn()).length);
    const ledger = await readLedger(store, 'clocks', true);
    expect(executedTwice(ledger)).toEqual([]);
    const seconds = completed(ledger).map((row) => row.seconds!);
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...seconds)).toBeLessThan(3_600);
    const { elapsedSeconds, etaSeconds } = await cliJson<StatusDocument>(['status', 'clocks', ...on]);
    expect(elapsedSeconds).toBeGreaterThanOrEqual(0);
    expect(etaSeconds).toBeNull();
    // Whatever clock wrote down when it ended: it is not yet a day ago.
    expect((await cli(['gc', ...on])).code).toBe(2);

    const calm = join(folder, 'calm');
    await cliJson(['run', recipe, '--run', 'clocks', '--store', calm]);
    const report = async (at: string[]) => (await cli(['report', 'clocks', '--json', ...at])).stdout;
    expect(await report(on)).toBe(await report(['--store', calm]));
  } finally {
    await cluster.stop();
    await minio.close();
  }
});
