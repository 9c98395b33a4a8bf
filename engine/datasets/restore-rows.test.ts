import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { openStore } from '../storage/open-store.js';
import { buildIndex } from './build-index.js';
import { readDataset } from './dataset.js';
import { restoreRows } from './restore-rows.js';

let folder: string;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-restore-'));
});
afterEach(() => fs.rm(folder, { recursive: true }));

const columns = { id: 'id', caption: 'text', image: 'file_name', feedback: 'feedback' };
const entriesNow = async () => (await readDataset(folder, { split: null, columns, strata: [] }, folder)).entries;

/** Three pictures, of which the second is cut off. */
async function brokenDataset(): Promise<Buffer> {
  const whole = await sharp({
    create: { width: 64, height: 64, channels: 3, noise: { type: 'gaussian', mean: 128, sigma: 40 }, background: 'red' },
  })
    .png()
    .toBuffer();
  for (const i of [0, 1, 2]) await fs.writeFile(join(folder, `${i}.png`), i === 1 ? whole.subarray(0, 900) : whole);
  const lines = [0, 1, 2].map((i) => JSON.stringify({ file_name: `${i}.png`, text: `caption ${i}`, feedback: [`feedback ${i}`] }));
  await fs.writeFile(join(folder, 'metadata.jsonl'), lines.join('\n'));
  return whole;
}

test('a skipped row comes back at the end of the index once its picture is mended; no offset shifts', async () => {
  const whole = await brokenDataset();
  const store = await openStore(join(folder, 'store'));
  const files = store.run('r');
  const input = { store, runFiles: files, seed: 7, trainedOn: {} };
  await buildIndex({ entries: await entriesNow(), ...input });
  const before = await files.readIndexRange(0, 10);
  const [row] = await files.readSkipped();

  const still = await restoreRows({ entries: await entriesNow(), ...input, keys: [row!.key] });
  expect(still.summary).toMatchObject({ items: 2, skipped: 1 });

  await fs.writeFile(join(folder, '1.png'), whole);
  // Another process has read the index before the row came back.
  const other = (await openStore(join(folder, 'store'))).run('r');
  await other.readIndexed(0);
  const back = await restoreRows({ entries: await entriesNow(), ...input, keys: [row!.key, before[0]!.key] });
  expect(back).toEqual({ summary: expect.objectContaining({ total: 3, items: 3, skipped: 0 }), keys: [row!.key, before[0]!.key] });
  for (const reader of [files, other]) {
    expect(await reader.readIndexRange(0, 2)).toEqual(before);
    expect(await reader.readIndexed(2)).toMatchObject({
      offset: 2,
      id: '1',
      feedback: { feedback: ['feedback 1'] },
      placebo: expect.any(Number),
    });
  }
  expect(await files.readSkipped()).toEqual([]);
  expect(await files.listItemKeys()).toEqual([]);
});
