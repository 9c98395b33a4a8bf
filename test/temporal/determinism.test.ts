/** The same recipe gives the same report whatever the order of its steps, and what is recorded is never done again. */
import { jest } from '@jest/globals';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliJson, scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { readLedger, type RunDocument } from '../support/runs.js';
import { writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(240_000);

const folder = scratch();
const recipe = writeRecipe(folder);
const store = (name: string) => join(folder, name);

beforeAll(async () => {
  // Side by side, so that each also disturbs the other's order.
  await Promise.all(
    [1, 6].map((n) => cliJson(['run', recipe, '--run', 'same', '--store', store(`with-${n}`), '--concurrency', String(n)])),
  );
}, 240_000);

test('one item after the other and six at once end in reports that are equal to the byte', () => {
  const report = (n: number) => readFileSync(join(store(`with-${n}`), 'runs/same/report/report.json'));
  expect(JSON.parse(report(1).toString())).toEqual(JSON.parse(report(6).toString()));
  expect(report(1).equals(report(6))).toBe(true);
});

test('a copy of the store somewhere else still counts: another run there needs neither a gpu nor a cpu worker', async () => {
  cpSync(store('with-1'), store('moved'), { recursive: true });
  const cluster = await Cluster.start();
  try {
    await cluster.worker('orchestrator');
    const run = await cliJson<RunDocument>(['run', recipe, '--run', 'again', '--store', store('moved'), '--address', cluster.address]);
    expect(run).toMatchObject({ state: 'completed', items: { done: 3 }, steps: { executed: 0, cached: 60, retried: 0 } });
    const statuses = (await readLedger(store('moved'), 'again')).map((row) => row.status);
    expect(new Set(statuses)).toEqual(new Set(['recorded']));
    const { runId: _, ...first } = report('same');
    const { runId: __, ...second } = report('again');
    expect(second).toEqual(first);
  } finally {
    await cluster.stop();
  }

  function report(run: string): Record<string, unknown> {
    return JSON.parse(readFileSync(join(store('moved'), `runs/${run}/report/report.json`), 'utf8')) as Record<string, unknown>;
  }
});
