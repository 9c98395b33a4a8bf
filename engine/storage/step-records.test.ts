import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stepKey } from '../../core/step-key.js';
import type { StepKeyInput, StepRecord } from '../../core/types.js';
import { artifactKey } from './artifact-store.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-steps-'));
  store = await openStore(folder);
});
afterEach(() => fs.rm(folder, { recursive: true }));

const input: StepKeyInput = { step: 'generate', stepVersion: 1, inputs: [], params: { steps: 20 }, model: null, runtime: null, draw: 0 };
const key = stepKey(input);
const path = (): string => join(folder, 'steps', `${key}.json`);

async function result(picture: string, seconds = 1): Promise<StepRecord> {
  const image = await store.putArtifact(Buffer.from(picture), 'image/png');
  return { ...input, key, outputs: { image }, values: { seed: 7 }, unpinned: false, seconds };
}

it('finds what was recorded, in another process too', async () => {
  expect(await store.findStep(key)).toBeUndefined();
  const record = await result('picture');
  expect(await store.recordStep(record)).toEqual(record);
  expect(await (await openStore(folder)).findStep(key)).toEqual(record);
});

it('keeps the first record and returns it to later writers', async () => {
  const first = await store.recordStep(await result('picture', 1));
  expect(await store.recordStep(await result('other picture', 2))).toEqual(first);
  expect(await store.findStep(key)).toEqual(first);
});

it('gives all racing writers the same authoritative record', async () => {
  const records = await Promise.all(Array.from({ length: 20 }, (_, i) => result(`picture ${i}`, i)));
  const got = await Promise.all(records.map((record) => store.recordStep(record)));
  for (const record of got) expect(record).toEqual(got[0]);
  expect(await store.findStep(key)).toEqual(got[0]);
});

describe.each<[string, (record: StepRecord) => Promise<void>]>([
  ['a missing output', (record) => fs.rm(join(folder, artifactKey(record.outputs['image']!.digest)))],
  ['a corrupt output', (record) => fs.writeFile(join(folder, artifactKey(record.outputs['image']!.digest)), 'Picture')],
  ['a cut-off record', () => fs.truncate(path(), 40)],
  ['an empty record', () => fs.truncate(path(), 0)],
  ['a record of another step', (record) => fs.writeFile(path(), JSON.stringify({ ...record, key: 'other' }))],
  ['JSON that is no record', () => fs.writeFile(path(), '{"key": 1}')],
])('with %s', (_, damage) => {
  it('counts as absent and is replaced', async () => {
    await damage(await store.recordStep(await result('picture')));
    expect(await store.findStep(key)).toBeUndefined();
    const again = await result('another', 5);
    expect(await store.recordStep(again)).toEqual(again);
    expect(await store.findStep(key)).toEqual(again);
  });

  it('is replaced by one of many racing writers', async () => {
    await damage(await store.recordStep(await result('picture')));
    const records = await Promise.all(Array.from({ length: 10 }, (_, i) => result(`another ${i}`, i)));
    const got = await Promise.all(records.map((record) => store.recordStep(record)));
    for (const record of got) expect(record).toEqual(got[0]);
    expect(await store.findStep(key)).toEqual(got[0]);
  });
});
