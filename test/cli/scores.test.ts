/** A run that judges by every kind of score, each by a folder as its exporter writes it: tiny ones with random weights. */
import { jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../../core/index.js';
import type { ResultsDocument } from '../../app/report/index.js';
import { cli, cliJson, ROOT, scratch } from '../support/cli.js';
import { completed, readLedger, type RunDocument } from '../support/runs.js';
import { CONTROL, PLACEBO, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(240_000);

const model = (name: string): string => join(ROOT, 'models/reference/goldens/scores-models', name);
const scores = {
  select: { metric: 'clip_text', model: model('clip') },
  primary: { metric: 'dinov2', model: model('dinov2') },
  report: [
    { metric: 'lpips', model: model('lpips-alex') },
    { metric: 'vit_mae', model: model('vit-mae-whole') },
    { metric: 'clip_image', model: model('clip') },
    { metric: 'vqa', model: model('vision-language') },
    'ssim',
  ],
};
const NAMES = ['dinov2', 'clip_text', 'lpips', 'vit_mae', 'clip_image', 'vqa', 'ssim'];

test('all scores stand in the tables, within their ranges, and a fall of LPIPS is a gain', async () => {
  const folder = scratch();
  const store = ['--store', join(folder, 'store')];
  const recipe = writeRecipe(folder, { limit: 2, arms: [CONTROL, WRITTEN, PLACEBO], more: { scores } });
  const run = await cliJson<RunDocument>(['run', recipe, '--run', 'judged', ...store]);
  expect(run).toMatchObject({ state: 'completed', items: { done: 2 } });

  const report = await cliJson<ResultsDocument>(['report', 'judged', ...store]);
  expect(report.metrics).toEqual(NAMES);
  for (const { arms } of report.items) {
    for (const { rounds, gain } of arms) {
      for (const round of rounds) {
        expect(Object.keys(round.scores).sort()).toEqual([...NAMES].sort());
        for (const [name, value] of Object.entries(round.scores)) {
          expect(value).toBeGreaterThanOrEqual(METRICS[name]!.range[0]);
          expect(value).toBeLessThanOrEqual(METRICS[name]!.range[1]);
        }
      }
      const [first, last] = [rounds[0]!.scores, rounds.at(-1)!.scores];
      expect(gain['lpips']).toBeCloseTo(first['lpips']! - last['lpips']!, 12);
      expect(gain['dinov2']).toBeCloseTo(last['dinov2']! - first['dinov2']!, 12);
    }
  }
  // A picture is asked about its own caption and compared with its own true image: no two score alike.
  for (const name of NAMES) expect(new Set(report.items.map(({ arms }) => arms[0]!.rounds[0]!.scores[name])).size).toBe(2);

  await cli(['report', 'judged', ...store, '--format', 'md,html', '--out', join(folder, 'report')]);
  const markdown = readFileSync(join(folder, 'report/report.md'), 'utf8');
  for (const name of NAMES) expect(markdown).toMatch(new RegExp(`^## ${name.replace('_', '.*_')} \\(`, 'm'));
  expect(markdown).toMatch(/## lpips \(secondary, p Holm-corrected, lower is better: a gain is how much it fell\)/);
  expect(readFileSync(join(folder, 'report/index.html'), 'utf8')).toContain('CLIPScore is 2.5 x max(value, 0)');

  // Another run of the same judges computes nothing again.
  const executed = completed(await readLedger(run.store, 'judged')).length;
  const again = await cliJson<RunDocument>(['run', recipe, '--run', 'again', ...store]);
  expect(again.steps).toMatchObject({ executed: 0 });
  expect(again.resultsDigest).not.toBe('');
  expect(executed).toBeGreaterThan(20);
});

test('a limit outside of the selector’s range, a judge without its folder and a folder of another kind are refused', async () => {
  const folder = scratch();
  const refused = async (more: Record<string, unknown>) => (await cli(['plan', writeRecipe(folder, { more })])).stderr;
  const byVqa = { ...scores, select: { metric: 'vqa', model: model('vision-language') } };
  expect(await refused({ scores: byVqa, stop: { target: 1.5 } })).toContain('1.5 is outside the range of vqa, 0 to 1');
  expect(await refused({ scores: { ...scores, select: { metric: 'lpips', model: model('lpips-alex') } } })).toContain(
    'lpips needs the true image, which the selector may not see; use clip_text or vqa',
  );
  expect(await refused({ scores: { ...scores, report: ['lpips'] } })).toContain(
    'lpips needs a model, and packs have none; name one, as in',
  );
  const wrong = { metric: 'vqa', model: model('dinov2') };
  expect(await refused({ scores: { ...scores, report: [wrong] } })).toContain('is no complete vision-language model');
});
