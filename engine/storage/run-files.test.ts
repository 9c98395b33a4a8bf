import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { itemKey } from '../../core/ids.js';
import type { RunManifest } from '../../core/recipe.js';
import type { IndexedItem, ItemRecord } from '../../core/types.js';
import { openStore } from './open-store.js';
import { SHARD_SIZE, type RunFiles } from './run-files.js';
import type { Store } from './store.js';

let folder: string;
let store: Store;
let run: RunFiles;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-runs-'));
  store = await openStore(folder);
  run = store.run('r1');
});
afterEach(() => fs.rm(folder, { recursive: true }));

const manifest = (createdAt: string): RunManifest => ({ formatVersion: 1, runId: 'r1', createdAt }) as RunManifest;

function indexed(offset: number): IndexedItem {
  const id = `item ${offset}`;
  const source = { file: 'metadata.jsonl', line: offset + 1 };
  return { offset, position: offset, id, key: itemKey(id), caption: `caption ${offset}`, feedback: {}, strata: {}, trainedOn: [], source };
}

async function writeIndex(items: number): Promise<void> {
  const all = Array.from({ length: items }, (_, i) => indexed(i));
  const shards = Math.ceil(items / SHARD_SIZE);
  for (let n = 0; n < shards; n++) await run.writeIndexShard(n, all.slice(n * SHARD_SIZE, (n + 1) * SHARD_SIZE));
  await run.writeIndexSummary({ total: items, items, skipped: 0, shardSize: SHARD_SIZE, shards });
}

function record(position: number): ItemRecord {
  const steps = { executed: 0, cached: 0, retried: 0 };
  const id = `item ${position}`;
  return { id, key: itemKey(id), position, state: 'unchanged', arms: [], steps, spent: { images: 0, seconds: 0, usd: 0 } };
}

describe('manifest and state', () => {
  it('gives every racing creator the same manifest', async () => {
    expect(await run.readManifest()).toBeUndefined();
    const times = Array.from({ length: 10 }, (_, i) => `time ${i}`);
    const got = await Promise.all(times.map((time) => run.createManifest(manifest(time))));
    for (const one of got) expect(one).toEqual(got[0]);
    expect(await run.readManifest()).toEqual(got[0]);
  });

  it('names a manifest that cannot be read, and a creator replaces it', async () => {
    await run.createManifest(manifest('first'));
    await fs.truncate(join(folder, 'runs/r1/manifest.json'), 10);
    await expect(run.readManifest()).rejects.toThrow('runs/r1/manifest.json');
    expect((await run.createManifest(manifest('second'))).createdAt).toBe('second');
    expect((await run.readManifest())?.createdAt).toBe('second');
  });

  it('overwrites the state', async () => {
    expect(await run.readState()).toBeUndefined();
    await run.writeState({ state: 'running', startedAt: '2026-01-01T00:00:00Z', finishedAt: null });
    const done = { state: 'completed' as const, startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T01:00:00Z' };
    await run.writeState(done);
    expect(await run.readState()).toEqual(done);
  });

  it('lists the runs that have a manifest', async () => {
    expect(await store.listRuns()).toEqual([]);
    await store.run('b').createManifest(manifest('b'));
    await store.run('a').createManifest(manifest('a'));
    await store.run('half').writeItem(record(0));
    expect(await store.listRuns()).toEqual(['a', 'b']);
  });

  it.each(['', '../x', 'a/b', '.hidden', 'x'.repeat(65)])('refuses "%s" as a run id', (id) => {
    expect(() => store.run(id)).toThrow(InvalidInput);
  });
});

describe('index', () => {
  it('reads any range as a slice of all items', async () => {
    const items = 2 * SHARD_SIZE + 7;
    await writeIndex(items);
    expect((await fs.readdir(join(folder, 'runs/r1/index'))).sort()).toEqual([
      'index.json',
      'items-00000.jsonl',
      'items-00001.jsonl',
      'items-00002.jsonl',
    ]);
    const all = Array.from({ length: items }, (_, i) => indexed(i));
    const fresh = (await openStore(folder)).run('r1');
    await fc.assert(
      fc.asyncProperty(fc.nat(items + 5), fc.nat(items), async (offset, count) => {
        expect(await fresh.readIndexRange(offset, count)).toEqual(all.slice(offset, offset + count));
      }),
      { numRuns: 40 },
    );
    expect(await fresh.readIndexed(SHARD_SIZE)).toEqual(indexed(SHARD_SIZE));
    await expect(fresh.readIndexed(items)).rejects.toThrow(`no item at offset ${items}`);
  });

  it('reads a shard once for many readers, and few shards stay in memory', async () => {
    await writeIndex(10 * SHARD_SIZE);
    const gets: string[] = [];
    const counted = Object.create(store.objects, {
      get: { value: (key: string) => (gets.push(key), store.objects.get(key)) },
    }) as typeof store.objects;
    const { RunFiles: Files } = await import('./run-files.js');
    const files = new Files(counted, 'r1');
    await Promise.all(Array.from({ length: 50 }, (_, i) => files.readIndexed(i)));
    expect(gets.filter((key) => key.endsWith('items-00000.jsonl'))).toHaveLength(1);
    for (let shard = 0; shard < 10; shard++) await files.readIndexed(shard * SHARD_SIZE);
    await files.readIndexed(0);
    expect(gets.filter((key) => key.endsWith('items-00000.jsonl'))).toHaveLength(2);
  });

  it('is not there until its summary is', async () => {
    await run.writeIndexShard(0, [indexed(0)]);
    expect(await run.readIndexSummary()).toBeUndefined();
    await expect(run.readIndexed(0)).rejects.toThrow(StorageUnavailable);
  });

  it.each(['cut off', 'missing'])('names a shard that is %s', async (damage) => {
    await writeIndex(3);
    const shard = join(folder, 'runs/r1/index/items-00000.jsonl');
    if (damage === 'missing') await fs.rm(shard);
    else await fs.truncate(shard, (await fs.stat(shard)).size - 20);
    await expect(run.readIndexed(0)).rejects.toThrow('index/items-00000.jsonl');
  });

  it('keeps the skipped rows', async () => {
    expect(await run.readSkipped()).toEqual([]);
    const row = {
      position: 3,
      id: 'x',
      key: itemKey('x'),
      caption: 'line\nbreak',
      reason: 'm.jsonl:4: why',
      source: { file: 'm.jsonl', line: 4 },
    };
    await run.writeSkipped([row]);
    expect(await run.readSkipped()).toEqual([row]);
  });
});

describe('items and report', () => {
  it('lists records in dataset order; a later record of an item replaces its first', async () => {
    const records = Array.from({ length: 70 }, (_, i) => record(i));
    for (const one of [...records].reverse()) await run.writeItem(one);
    expect(await run.listItems()).toEqual(records);
    const changed = { ...record(3), state: 'improved' as const };
    await run.writeItem(changed);
    expect(await run.readItem(changed.key)).toEqual(changed);
    expect(await run.readItem('none')).toBeUndefined();
  });

  it('takes a record that cannot be read for none', async () => {
    await run.writeItem(record(0));
    await run.writeItem(record(1));
    await fs.truncate(join(folder, `runs/r1/items/${record(0).key}.json`), 30);
    expect(await run.readItem(record(0).key)).toBeUndefined();
    expect(await run.listItems()).toEqual([record(1)]);
    expect(await run.listItemKeys()).toHaveLength(2);
  });

  it('keeps the files of the report', async () => {
    await run.writeReport('index.html', '<p>ü</p>');
    await run.writeReport('images/a.png', Buffer.from([1, 2]));
    expect(await fs.readFile(join(folder, 'runs/r1/report/index.html'), 'utf8')).toBe('<p>ü</p>');
    expect([...(await run.readReport('images/a.png'))!]).toEqual([1, 2]);
    expect(await run.readReport('none')).toBeUndefined();
  });
});
