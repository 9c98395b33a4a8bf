import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { StorageUnavailable } from '../../core/errors.js';
import { itemKey } from '../../core/ids.js';
import type { IndexedItem } from '../../core/types.js';
import { digestOfBytes } from '../storage/artifact-store.js';
import { openStore } from '../storage/open-store.js';
import { SHARD_SIZE } from '../storage/run-files.js';
import type { Store } from '../storage/store.js';
import { buildIndex, type BuildIndexInput } from './build-index.js';
import { readDataset } from './dataset.js';
import type { DatasetEntry } from './dataset-rows.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-index-'));
  store = await openStore(join(folder, 'store'));
});
afterEach(() => fs.rm(folder, { recursive: true }));

const columns = { id: 'id', caption: 'text', image: 'file_name', feedback: 'feedback' };
const picture = (shade: number): Promise<Buffer> =>
  sharp({ create: { width: 8, height: 8, channels: 3, background: { r: shade, g: 0, b: 0 } } })
    .png()
    .toBuffer();

/** A dataset of pictures; every row with a number in `feedback` has written feedback. */
async function dataset(n: number, withFeedback: (i: number) => boolean = () => true): Promise<DatasetEntry[]> {
  const data = join(folder, 'data');
  await fs.mkdir(data, { recursive: true });
  const lines = [];
  for (let i = 0; i < n; i++) {
    await fs.writeFile(join(data, `${i}.png`), await picture(i));
    lines.push(JSON.stringify({ file_name: `${i}.png`, text: `caption ${i}`, ...(withFeedback(i) ? { feedback: `feedback ${i}` } : {}) }));
  }
  await fs.writeFile(join(data, 'metadata.jsonl'), lines.join('\n'));
  return (await readDataset(data, { split: null, columns, strata: [] }, folder)).entries;
}

const build = (entries: DatasetEntry[], more: Partial<BuildIndexInput> = {}, run = 'r'): ReturnType<typeof buildIndex> =>
  buildIndex({ entries, store, runFiles: store.run(run), seed: 7, trainedOn: {}, ...more });

async function items(run = 'r'): Promise<IndexedItem[]> {
  return store.run(run).readIndexRange(0, 100_000);
}

it('puts the true images into the store and every item at its offset, in a seeded random order', async () => {
  const entries = await dataset(12);
  const progress: string[] = [];
  const onProgress = (done: number, total: number): number => progress.push(`${done}/${total}`);
  expect(await build(entries, { onProgress })).toEqual({ total: 12, items: 12, skipped: 0, shardSize: SHARD_SIZE, shards: 1 });
  expect(progress).toEqual(Array.from({ length: 12 }, (_, i) => `${i + 1}/12`));
  const found = await items();
  expect(found.map((item) => item.offset)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  const positions = found.map((item) => item.position);
  expect(positions).not.toEqual([...positions].sort((a, b) => a - b));
  expect(new Set(positions).size).toBe(12);
  for (const item of found) {
    expect(item).toMatchObject({ id: String(item.position), key: itemKey(item.id), caption: `caption ${item.position}`, trainedOn: [] });
    expect(item.trueImage).toMatchObject({ mediaType: 'image/png', derivedFrom: [] });
    expect(Buffer.from(await store.getArtifact(item.trueImage!)).equals(await picture(item.position))).toBe(true);
    expect(Object.keys(item)).not.toContain('image');
  }
});

it('gives the same index for the same input, another order for another seed', async () => {
  const entries = await dataset(12);
  await build(entries, {}, 'a');
  await build(entries, {}, 'b');
  await build(entries, { seed: 8 }, 'c');
  expect(await items('b')).toEqual(await items('a'));
  expect((await items('c')).map((item) => item.id)).not.toEqual((await items('a')).map((item) => item.id));
});

it('gives each item another one as placebo, each shown once', async () => {
  await build(await dataset(9));
  const found = await items();
  for (const item of found) expect(item.placebo).not.toBe(item.offset);
  expect(new Set(found.map((item) => item.placebo)).size).toBe(9);
});

it('shows an item with written feedback the feedback of another one that has some', async () => {
  await build(await dataset(10, (i) => i % 3 === 0));
  const found = await items();
  const written = (item: IndexedItem): boolean => Object.keys(item.feedback).length > 0;
  for (const item of found) {
    expect(item.placebo).not.toBe(item.offset);
    expect(written(found[item.placebo!]!)).toBe(written(item));
  }
});

it('has no placebo for an only item, and joins a group of one with the others', async () => {
  await build(await dataset(1), {}, 'one');
  expect((await items('one'))[0]!.placebo).toBeUndefined();
  await build(await dataset(4, (i) => i === 0), {}, 'four');
  for (const item of await items('four')) expect(item.placebo).toEqual(expect.any(Number));
});

it('names the models that were trained on an item', async () => {
  const entries = await dataset(3);
  const digest = digestOfBytes(await picture(1));
  await build(entries, { trainedOn: { opt: new Set([digest]), blip2: new Set(), clip: new Set([digest]) } });
  expect((await items()).map((item) => [item.id, item.trainedOn]).sort()).toEqual([
    ['0', []],
    ['1', ['clip', 'opt']],
    ['2', []],
  ]);
});

it('skips rows whose image is missing or cut off, writes their records, and goes on', async () => {
  const entries = await dataset(5);
  await fs.rm(join(folder, 'data/1.png'));
  await fs.truncate(join(folder, 'data/3.png'), 60);
  expect(await build(entries)).toMatchObject({ total: 5, items: 3, skipped: 2 });
  const skipped = await store.run('r').readSkipped();
  expect(skipped.map((row) => row.id)).toEqual(['1', '3']);
  expect(skipped[0]!.reason).toMatch(/^metadata.jsonl:2: the image .*1.png is not there$/);
  expect(skipped[1]!.reason).toMatch(/^metadata.jsonl:4: the image .*3.png is cut off or spoilt/);
  expect(await store.run('r').readItem(itemKey('3'))).toMatchObject({
    id: '3',
    position: 3,
    state: 'skipped',
    reason: skipped[1]!.reason,
    arms: [],
  });
  expect((await store.run('r').listItems()).map((record) => record.id)).toEqual(['1', '3']);
});

it('keeps rows of one id apart', async () => {
  const [first, second] = await dataset(2);
  const taken = { ...second!.row, id: '0', key: itemKey('0\n#1'), reason: 'taken' };
  await build([first!, { kind: 'skipped', row: taken }]);
  expect((await items()).map((item) => item.key)).toEqual([itemKey('0')]);
  expect((await store.run('r').listItems()).map((record) => record.key)).toEqual([itemKey('0\n#1')]);
});

it('splits a large dataset into shards', async () => {
  const row = (position: number): DatasetEntry => {
    const id = `i${position}`;
    return {
      kind: 'row',
      row: {
        position,
        id,
        key: itemKey(id),
        caption: id,
        image: null,
        feedback: {},
        strata: {},
        source: { file: 'd.csv', line: position + 2 },
      },
    };
  };
  const n = SHARD_SIZE + 1;
  expect(await build(Array.from({ length: n }, (_, i) => row(i)))).toMatchObject({ items: n, shards: 2 });
  expect(new Set((await items()).map((item) => item.position)).size).toBe(n);
  expect((await items()).every((item) => item.trueImage === undefined && item.placebo !== undefined && item.placebo !== item.offset)).toBe(
    true,
  );
});

it('does nothing where the index is whole, and starts over where a crash left half of it', async () => {
  const entries = await dataset(4);
  const summary = await build(entries);
  const before = await items();
  const index = join(folder, 'store/runs/r/index');
  const ino = (await fs.stat(join(index, 'items-00000.jsonl'))).ino;
  expect(await build([])).toEqual(summary);
  expect((await fs.stat(join(index, 'items-00000.jsonl'))).ino).toBe(ino);

  await fs.rm(join(index, 'index.json'));
  await fs.truncate(join(index, 'items-00000.jsonl'), 50);
  const fresh = await openStore(store.uri);
  await buildIndex({ entries, store: fresh, runFiles: fresh.run('r'), seed: 7, trainedOn: {} });
  expect(await fresh.run('r').readIndexRange(0, 10)).toEqual(before);
});

it('leaves no summary when the store fails on the way', async () => {
  const entries = await dataset(4);
  await fs.mkdir(join(folder, 'store'));
  await fs.writeFile(join(folder, 'store/blobs'), 'in the way');
  await expect(build(entries)).rejects.toThrow(StorageUnavailable);
  expect(await store.run('r').readIndexSummary()).toBeUndefined();
  await fs.rm(join(folder, 'store/blobs'));
  expect(await build(entries)).toMatchObject({ items: 4 });
});
