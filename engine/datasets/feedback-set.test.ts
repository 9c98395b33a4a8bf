import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFeedbackSet } from './feedback-set.js';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'refineloop-feedback-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(name: string, content: string): Promise<string[]> {
  await writeFile(join(folder, name), content);
  return readFeedbackSet(join(folder, name));
}

test.each([
  ['a.txt', 'It is red.\n\n  It has horns. \n'],
  ['a.jsonl', '{"feedback": ["It is red.", "It has horns."]}\n{"text": "no feedback here"}\n'],
  ['a.csv', 'id,feedback\n1,It is red.\n2,It has horns.\n'],
])('reads the texts of %s', async (name, content) => {
  expect(await read(name, content)).toEqual(['It is red.', 'It has horns.']);
});

test.each([
  ['b.jsonl', '{"feedback": "x"}\nnonsense\n', /b\.jsonl:2: the line is not JSON/],
  ['c.jsonl', '{"feedback": 7}\n', /c\.jsonl:1: feedback: expected text/],
  ['b.csv', 'id,text\n1,x\n', /b\.csv: there is no column feedback; it has id, text/],
  ['b.txt', '\n', /holds no feedback/],
  ['b.parquet', 'x', /\.parquet/],
])('refuses %s', async (name, content, message) => {
  await expect(read(name, content)).rejects.toThrow(message);
});

test('refuses a file that is not there', async () => {
  await expect(readFeedbackSet(join(folder, 'none.txt'))).rejects.toThrow(/none\.txt: cannot be read/);
});
