/** A world of another subject, shape and vocabulary than the bundled one: the example recipe as it stands, on a few items. */
import { jest } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { ResultsDocument } from '../../app/report/index.js';
import { cli, cliJson, ROOT, scratch } from '../support/cli.js';
import type { RunDocument } from '../support/runs.js';

jest.setTimeout(240_000);

test('landscapes run through the same loop, in their own shape and strata', async () => {
  const folder = scratch();
  const store = ['--store', join(folder, 'store')];
  const sets = ['dataset.sample.n=4', 'generator.num_inference_steps=2', 'rounds=1'].flatMap((set) => ['--set', set]);
  const recipe = join(ROOT, 'examples/recipes/scenes.yaml');
  expect(await cliJson<RunDocument>(['run', recipe, '--run', 'land', ...store, ...sets])).toMatchObject({
    state: 'completed',
    items: { total: 4, done: 4 },
  });

  const report = await cliJson<ResultsDocument>(['report', 'land', ...store]);
  expect(report.items.map(({ id }) => id.slice(0, 6))).toEqual(Array(4).fill('scene-'));
  expect(report.arms.map(({ name, n }) => [name, n])).toEqual(
    ['control', 'opt', 'opt-placebo', 'written', 'placebo'].map((name) => [name, 4]),
  );
  // Whoever sees the true landscape writes of it: none of its words is about a creature.
  const written = report.items.map(({ arms }) => arms.find(({ name }) => name === 'written')!.rounds[1]!.feedback!);
  for (const text of written) expect(text).toMatch(/should|Make|Move|wrong/);
  expect(written.join(' ')).not.toMatch(/creature|tail|wings|belly/);

  const pictures = join(folder, 'pictures');
  await cli(['export', 'land', pictures, ...store]);
  const files = readdirSync(pictures).filter((name) => name.endsWith('.png'));
  expect(files.length).toBeGreaterThan(0);
  const { width, height } = await sharp(join(pictures, files[0]!)).metadata();
  expect([width, height]).toEqual([96, 64]);
});
