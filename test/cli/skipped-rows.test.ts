/** Rows that cannot be used are skipped with a reason; they neither fail the run nor take other rows along. */
import { jest } from '@jest/globals';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliJson, scratch } from '../support/cli.js';
import { readItems, type RunDocument } from '../support/runs.js';
import { CONTROL, CREATURES, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(120_000);

const folder = scratch();
const store = join(folder, 'store');
const data = join(folder, 'data');
const LONG_CAPTION = 'a round green creature '.repeat(435).slice(0, 10_000);

beforeAll(() => {
  mkdirSync(data);
  const picture = (n: number) => join(CREATURES, `test/creature-060${n}.png`);
  for (const n of [1, 2, 3, 4, 5]) cpSync(picture(n), join(data, `${n}.png`));
  writeFileSync(join(data, '2.png'), readFileSync(picture(2)).subarray(0, 500));
  const rows = [
    { id: 'sound', file_name: '1.png', text: 'A creature.' },
    { id: 'cut-off', file_name: '2.png', text: 'A creature.' },
    { id: 'no-caption', file_name: '3.png', text: '  ' },
    { id: 'sound', file_name: '4.png', text: 'The same id again.' },
    { id: 'no-picture', file_name: 'nowhere.png', text: 'A creature.' },
    { id: 'long', file_name: '5.png', text: LONG_CAPTION },
  ];
  writeFileSync(join(data, 'metadata.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
});

test('bad rows end as skipped with the reason and the line, the others are done, exit code 0', async () => {
  const recipe = writeRecipe(folder, { dataset: { uri: data }, arms: [CONTROL] });
  const run = await cliJson<RunDocument>(['run', recipe, '--run', 'rows', '--store', store]);
  expect(run).toMatchObject({ state: 'completed', items: { total: 6, done: 2, skipped: 4, failed: 0 } });

  const items = await cliJson<Array<{ id: string; state: string; reason?: string }>>(['items', 'rows', '--store', store]);
  const states = items.map(({ id, state }) => [id, state]);
  expect(states.filter(([, state]) => state !== 'skipped').map(([id]) => id)).toEqual(['sound', 'long']);
  const reasons = items.flatMap(({ reason }) => reason ?? []);
  expect(reasons).toHaveLength(4);
  [/:2: .*2\.png/, /:3: .*text.* is empty/, /:4: .*sound/, /:5: .*nowhere\.png/].forEach((pattern) => {
    expect(reasons).toEqual(expect.arrayContaining([expect.stringMatching(pattern)]));
  });

  // What the model cannot take of a long caption is cut off and counted.
  const long = (await readItems(store, 'rows')).find((item) => item.id === 'long')!;
  expect(long.arms[0]!.rounds[0]!.tokens.cut).toBeGreaterThan(1000);
  expect(long.arms[0]!.rounds[0]!.prompt.parts[0]).toMatchObject({
    role: 'caption',
    ref: { mediaType: expect.stringContaining('text/plain') },
  });

  const skipped = await cliJson<Array<{ id: string }>>(['items', 'rows', '--status', 'skipped', '--store', store]);
  expect(skipped).toHaveLength(4);
});
