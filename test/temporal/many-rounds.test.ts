/** An item of many rounds is recorded whole, though what it came to is too large to travel. */
import { jest } from '@jest/globals';
import { join } from 'node:path';
import type { ResultsDocument } from '../../app/report/index.js';
import { cliJson, scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { payloadsOf } from '../support/histories.js';
import { readItems, type RunDocument } from '../support/runs.js';
import { CONTROL, PACK, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

test('four repeats of twenty rounds', async () => {
  const folder = scratch();
  const store = join(folder, 'store');
  const generator = { model: join(PACK, 'diffusion'), num_inference_steps: 1, guidance_scale: 1 };
  const recipe = writeRecipe(folder, { limit: 1, rounds: 20, arms: [CONTROL, WRITTEN], more: { repeats: 4, generator } });
  const cluster = await Cluster.start();
  try {
    await Promise.all((['orchestrator', 'cpu', 'gpu'] as const).map((role) => cluster.worker(role)));
    const run = await cliJson<RunDocument>(['run', recipe, '--run', 'long', '--store', store, '--address', cluster.address]);
    // In each repeat: round 0, twenty draws, and the two rounds that have feedback.
    expect(run).toMatchObject({ state: 'completed', items: { done: 1 } });
    const [item] = await readItems(store, 'long');
    expect(item!.arms.map((arm) => [arm.name, arm.repeat, arm.rounds.length])).toEqual([
      ['control', 0, 21],
      ['written', 0, 3],
      ['control', 1, 21],
      ['written', 1, 3],
      ['control', 2, 21],
      ['written', 2, 3],
      ['control', 3, 21],
      ['written', 3, 3],
    ]);
    expect(JSON.stringify(item).length).toBeGreaterThan(64 * 1024);
    expect(item!.spent.images).toBe(4 * 23);
    expect(new Set(item!.arms.flatMap((arm) => arm.rounds.map((round) => round.seed))).size).toBe(4 * 21);
    const sizes = (await payloadsOf(cluster.client, `long/item/${item!.key}`)).map((payload) => payload.bytes);
    expect(Math.max(...sizes)).toBeLessThan(64 * 1024);
  } finally {
    await cluster.stop();
  }
  const report = await cliJson<ResultsDocument>(['report', 'long', '--store', store]);
  expect(report.arms.find((arm) => arm.name === 'control')!.n).toBe(1);
  expect(report.items[0]!.arms).toHaveLength(8);
});
