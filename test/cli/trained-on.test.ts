/** Items that a model in use was trained on stand in no mean, and the report says which model it was. */
import { jest } from '@jest/globals';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ResultsDocument } from '../../app/report/index.js';
import { cliJson, scratch } from '../support/cli.js';
import { CONTROL, CREATURES, PACK, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(120_000);

test('a pack that was trained on an item of the run leaves that item out', async () => {
  const folder = scratch();
  const pack = join(folder, 'pack');
  cpSync(PACK, pack, { recursive: true });
  const digest = `sha256:${createHash('sha256')
    .update(readFileSync(join(CREATURES, 'test/creature-0602.png')))
    .digest('hex')}`;
  const manifest = JSON.parse(readFileSync(join(pack, 'pack.json'), 'utf8')) as {
    models: Record<string, { trainedOn: { digests: string[] } }>;
  };
  manifest.models['diffusion']!.trainedOn.digests.push(digest);
  writeFileSync(join(pack, 'pack.json'), JSON.stringify(manifest));
  const generator = { model: join(pack, 'diffusion'), num_inference_steps: 1, guidance_scale: 1 };
  const recipe = writeRecipe(folder, { arms: [CONTROL, WRITTEN], more: { generator } });
  const store = ['--store', join(folder, 'store')];
  expect(await cliJson(['plan', recipe, ...store])).toMatchObject({ items: 3, trainedOn: 1, detectableGain: { n: 2 } });
  await cliJson(['run', recipe, '--run', 'seen', ...store]);
  const report = await cliJson<ResultsDocument>(['report', 'seen', ...store]);
  expect(report.excluded).toEqual([{ id: 'creature-0602', reason: `trained on by ${join(pack, 'diffusion')}` }]);
  expect(report.items.find((item) => item.id === 'creature-0602')).toMatchObject({
    state: expect.any(String),
    trainedOn: [join(pack, 'diffusion')],
  });
  expect(report.arms.map((arm) => arm.n)).toEqual([2, 2]);
  expect(report.plan).toMatchObject({ n: 3, primary: 'image_similarity', estimand: 'fixed' });
  expect(report.deviations).toEqual(['2 items stand in the means; planned were 3 (left out: 1 trained on).']);
});
