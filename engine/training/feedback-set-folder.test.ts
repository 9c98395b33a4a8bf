import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFeedbackSet } from '../../test/support/small-training.js';
import { readFeedbackSetFolder } from './feedback-set-folder.js';

const folder = mkdtempSync(join(tmpdir(), 'refineloop-set-folder-'));
afterAll(() => rmSync(folder, { recursive: true }));

test("a set's digest is that of its rows: as its maker says, and another once one is changed", async () => {
  writeFeedbackSet(folder);
  const said = (JSON.parse(readFileSync(join(folder, 'feedback-set.json'), 'utf8')) as { digest: string }).digest;
  expect(await readFeedbackSetFolder(folder)).toEqual({ digest: said, examples: { train: 12, validation: 4 }, unlisted: 0 });
  const rows = join(folder, 'train/metadata.jsonl');
  writeFileSync(rows, readFileSync(rows, 'utf8').replace('"feedback":"', '"feedback":"Other. '));
  expect((await readFeedbackSetFolder(folder)).digest).not.toBe(said);
  writeFileSync(rows, readFileSync(rows, 'utf8').replace(/"itemDigest":"[^"]*"/, '"itemDigest":null'));
  expect(await readFeedbackSetFolder(folder)).toMatchObject({ unlisted: 1 });
});

test.each([
  ['an item in both splits under two ids', (row: object) => ({ ...row, id: 'another' }), 'itemDigest: item sha256:'],
  ['a row twice', (row: object) => ({ ...row, id: 'another', itemDigest: null }), 'says what '],
])('%s is refused with file and line', async (_, change, message) => {
  writeFeedbackSet(folder);
  const [train, validation] = ['train', 'validation'].map((split) => join(folder, split, 'metadata.jsonl'));
  const [first] = readFileSync(train!, 'utf8').split('\n');
  writeFileSync(validation!, `${JSON.stringify(change(JSON.parse(first!) as object))}\n`, { flag: 'a' });
  await expect(readFeedbackSetFolder(folder)).rejects.toThrow(`${validation}:5: ${message}`);
});
