/** An arm that edits its pictures, on the bundled models. */
import { jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Digest } from '../../core/types.js';
import { openStore } from '../../engine/storage/index.js';
import { cliJson, scratch } from '../support/cli.js';
import { readItems, type RunDocument } from '../support/runs.js';
import { CONTROL, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(180_000);

const folder = scratch();
const store = join(folder, 'store');
const EDITED = { ...WRITTEN, name: 'edited', strength: 0.6 };
const PLACEBO = { name: 'placebo', feedback: { source: 'shuffled', from: 'edited' } };
const recipe = writeRecipe(folder, { limit: 2, steps: 8, rounds: 2, arms: [CONTROL, WRITTEN, EDITED, PLACEBO] });

async function pixels(digest: Digest): Promise<Buffer> {
  const bytes = await (await openStore(store)).getArtifact(digest);
  return sharp(bytes).removeAlpha().raw().toBuffer();
}

/** Mean difference of two pictures' values. */
async function distance(a: Digest, b: Digest): Promise<number> {
  const [from, to] = await Promise.all([pixels(a), pixels(b)]);
  return from.reduce((sum, value, i) => sum + Math.abs(value - to[i]!), 0) / from.length;
}

test('it stays closer to round 0 than new pictures do, descends from it, and is recorded and made again as any other', async () => {
  const run = await cliJson<RunDocument>(['run', recipe, '--run', 'edits', '--store', store]);
  expect(run).toMatchObject({ state: 'completed', items: { done: 2 } });
  const steps = (await openStore(store)).steps;
  const apart: Record<string, number> = { written: 0, edited: 0 };
  for (const item of await readItems(store, 'edits')) {
    for (const arm of item.arms) {
      if (arm.name in apart) apart[arm.name]! += await distance(arm.rounds[0]!.image.digest, arm.rounds[1]!.image.digest);
      for (const [n, round] of arm.rounds.entries()) {
        if (n === 0) continue;
        const { inputs, params } = (await steps.readStep(round.steps['generate']!))!;
        const before = arm.rounds[n - 1]!.image.digest;
        const edits = arm.name === 'edited' || arm.name === 'placebo';
        expect(inputs.includes(before)).toBe(edits);
        expect(round.image.derivedFrom.includes(before)).toBe(edits);
        expect(params['start']).toEqual(edits ? { image: before, strength: 0.6 } : undefined);
      }
    }
  }
  expect(apart['edited']!).toBeLessThan(0.7 * apart['written']!);

  const again = await cliJson<RunDocument>(['run', recipe, '--run', 'again', '--store', store]);
  expect(again).toMatchObject({ steps: { executed: 0 }, resultsDigest: run.resultsDigest });
  const [item] = await readItems(store, 'edits');
  const picture = join(folder, 'again.png');
  const remade = await cliJson<{ remade: { same: boolean } }>([
    ...['explain', 'edits', item!.id, '2', '--arm', 'edited', '--remake', picture, '--store', store],
  ]);
  expect(remade.remade.same).toBe(true);
  expect(readFileSync(picture).length).toBeGreaterThan(0);
});
