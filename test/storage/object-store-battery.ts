import { randomFillSync } from 'node:crypto';
import fc from 'fast-check';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { ArtifactStore, artifactKey, LedgerFollower, LedgerWriter, type ObjectStore } from '../../engine/storage/index.js';

/** Two views of one empty store, as two processes have them. */
export interface OpenedStore {
  a: ObjectStore;
  b: ObjectStore;
  /** What unfinished writes of a key have left. */
  leftovers(key: string): Promise<string[]>;
  close(): Promise<void>;
}

const text = (value: string): Uint8Array => Buffer.from(value);
const read = async (store: ObjectStore, key: string): Promise<string | undefined> => {
  const bytes = await store.get(key);
  return bytes && Buffer.from(bytes).toString('utf8');
};
const keysOf = async (store: ObjectStore, prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  return keys;
};

/** More than a store sends in one piece. */
const large = (): Buffer => randomFillSync(Buffer.alloc(40_000_000));

const streamed = async (store: ObjectStore, key: string, from?: number): Promise<Buffer | undefined> => {
  const stream = await store.stream(key, { from });
  if (!stream) return undefined;
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
};

/** A log is one object or several below its key. */
const readLog = async (store: ObjectStore, log: string): Promise<string> => {
  const parts = await Promise.all((await keysOf(store, log)).map((key) => read(store, key)));
  return parts.join('');
};

/** What every object store must do: run it with a factory for each kind. */
export function objectStoreBattery(name: string, open: () => Promise<OpenedStore>): void {
  describe(`object store ${name}`, () => {
    let opened: OpenedStore;
    let a: ObjectStore;
    let b: ObjectStore;
    beforeEach(async () => {
      opened = await open();
      ({ a, b } = opened);
    });
    afterEach(() => opened.close());

    it('gives back what was put, to every view', async () => {
      expect(await a.get('x/y.json')).toBeUndefined();
      expect(await a.has('x/y.json')).toBe(false);
      expect(await a.size('x/y.json')).toBeUndefined();
      expect(await a.put('x/y.json', text('one'))).toBe(true);
      expect(await a.put('x/y.json', text('three'))).toBe(true);
      expect(await read(b, 'x/y.json')).toBe('three');
      expect(await b.has('x/y.json')).toBe(true);
      expect(await b.size('x/y.json')).toBe(5);
      expect(await b.has('x')).toBe(false);
    });

    it('keeps any bytes as they are', async () => {
      const bytes = fc.uint8Array({ maxLength: 5000 });
      await fc.assert(
        fc.asyncProperty(bytes, async (value) => {
          await a.put('any', value);
          expect(Buffer.compare((await b.get('any'))!, value)).toBe(0);
        }),
        { numRuns: 50 },
      );
    });

    it('puts ifAbsent only where nothing is', async () => {
      expect(await a.put('k', text('first'), { ifAbsent: true })).toBe(true);
      expect(await b.put('k', text('second'), { ifAbsent: true })).toBe(false);
      expect(await read(a, 'k')).toBe('first');
    });

    it('puts ifMatch only where exactly these bytes are', async () => {
      expect(await a.put('k', text('new'), { ifMatch: text('old') })).toBe(false);
      expect(await a.has('k')).toBe(false);
      await a.put('k', text('old'));
      expect(await a.put('k', text('new'), { ifMatch: text('other') })).toBe(false);
      expect(await read(a, 'k')).toBe('old');
      expect(await a.put('k', text('new'), { ifMatch: text('old') })).toBe(true);
      expect(await read(b, 'k')).toBe('new');
      expect(await keysOf(a, '')).toEqual(['k']);
    });

    it.each(['ifAbsent', 'ifMatch'] as const)('lets one of many racing writers win with %s', async (condition) => {
      for (let turn = 0; turn < 10; turn++) {
        const key = `race/${turn}`;
        if (condition === 'ifMatch') await a.put(key, text('old'));
        const options = condition === 'ifMatch' ? { ifMatch: text('old') } : { ifAbsent: true };
        const writers = Array.from({ length: 20 }, (_, i) => ({ store: i % 2 ? a : b, value: `writer ${i}` }));
        const won = await Promise.all(writers.map(({ store, value }) => store.put(key, text(value), options)));
        expect(won.filter(Boolean)).toHaveLength(1);
        expect(await read(a, key)).toBe(writers[won.indexOf(true)]!.value);
      }
    });

    it('never loses an unconditional put to an ifMatch that runs beside it', async () => {
      for (let turn = 0; turn < 100; turn++) {
        await a.put('k', text('old'));
        const matching = a.put('k', text('new'), { ifMatch: text('old') });
        // Staggered, so that over the turns the put lands in every gap of the other one.
        for (let tick = 0; tick < turn % 25; tick++) await new Promise(setImmediate);
        await Promise.all([b.put('k', text('put')), matching]);
        expect(await read(a, 'k')).toBe('put');
      }
    });

    it('shows a reader a whole object at any time while writers replace it', async () => {
      const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(200_000));
      await a.put('big', text(contents[0]!));
      let writing = true;
      const writers = Promise.all(contents.map((content, i) => (i % 2 ? a : b).put('big', text(content)))).finally(() => (writing = false));
      let reads = 0;
      while (writing || reads === 0) {
        expect(contents).toContain(await read(a, 'big'));
        reads += 1;
      }
      await writers;
    });

    it('streams an object from any byte on', async () => {
      expect(await a.stream('k')).toBeUndefined();
      await a.put('k', text('0123456789'));
      await a.put('empty', text(''));
      const found = await Promise.all([undefined, 0, 4, 9, 10, 11].map((from) => streamed(b, 'k', from)));
      expect(found.map(String)).toEqual(['0123456789', '0123456789', '456789', '9', '', '']);
      expect(String(await streamed(b, 'empty'))).toBe('');
    });

    it('gives back a large object, whole and in parts, and the rest of it', async () => {
      const bytes = large();
      expect(await a.put('large', bytes)).toBe(true);
      expect(await b.size('large')).toBe(bytes.byteLength);
      expect(Buffer.compare((await b.get('large'))!, bytes)).toBe(0);
      expect(Buffer.compare((await streamed(b, 'large'))!, bytes)).toBe(0);
      expect(Buffer.compare((await streamed(b, 'large', 33_333_333))!, bytes.subarray(33_333_333))).toBe(0);
      for await (const part of (await b.stream('large'))!) {
        expect(part.byteLength).toBeLessThanOrEqual(2 ** 20);
        break; // Who has seen enough may leave.
      }
      expect(await opened.leftovers('large')).toEqual([]);
    });

    it('never streams a mixture of an object and the one that takes its place', async () => {
      const [before, after] = [large(), large()];
      await a.put('k', before);
      const stream = (await a.stream('k'))!;
      const replaced = b.put('k', after);
      const parts: Uint8Array[] = [];
      let refused: unknown;
      try {
        for await (const part of stream) parts.push(part);
      } catch (error) {
        refused = error; // MinIO may have the old one no more.
      }
      await replaced;
      if (refused) expect(refused).toBeInstanceOf(StorageUnavailable);
      const found = Buffer.concat(parts);
      expect(Buffer.compare(found, before.subarray(0, refused ? found.byteLength : undefined))).toBe(0);
    });

    it('lets one of two racing writers of a large object win, and keeps nothing of the other', async () => {
      const writers = [
        { store: a, bytes: large() },
        { store: b, bytes: large() },
      ];
      for (const options of [{ ifAbsent: true }, { ifMatch: text('old') }]) {
        const key = `race/${Object.keys(options).join()}`;
        if (options.ifMatch) await a.put(key, options.ifMatch);
        const won = await Promise.all(writers.map(({ store, bytes }) => store.put(key, bytes, options)));
        expect(won.filter(Boolean)).toHaveLength(1);
        expect(Buffer.compare((await a.get(key))!, writers[won.indexOf(true)]!.bytes)).toBe(0);
        expect(await opened.leftovers(key)).toEqual([]);
      }
    });

    it('checks an artifact without holding it', async () => {
      const bytes = Buffer.alloc(200_000_000, 7);
      const artifacts = new ArtifactStore(a);
      const { digest } = await artifacts.putArtifact(bytes, 'x/y');
      const before = process.memoryUsage().arrayBuffers;
      let most = before;
      const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers)), 5);
      expect(await artifacts.checkArtifact(digest)).toBe('intact');
      clearInterval(watch);
      expect(most - before).toBeLessThan(bytes.byteLength / 2);
      await a.put(artifactKey(digest), bytes.fill(8, 0, 1));
      expect(await artifacts.checkArtifact(digest)).toBe('corrupt');
      await a.delete(artifactKey(digest));
      expect(await artifacts.checkArtifact(digest)).toBe('missing');
    });

    it('lets a ledger be followed: each line once, whoever wrote it', async () => {
      const follower = new LedgerFollower(b, 'followed');
      const [one, two] = [new LedgerWriter(a, 'followed', 'w1'), new LedgerWriter(b, 'followed', 'w2')];
      const step = { step: 'generate' as const, item: 'i', arm: null, round: 0, draw: 0, key: 'k' };
      const seen = async () => (await follower.readOn()).map(({ row }) => row).sort();
      expect(await seen()).toEqual([]);
      const id = await one.start({ ...step, attempt: 1, device: null });
      await two.recorded(step);
      expect(await seen()).toEqual(['recorded', 'start']);
      await one.end({ id, status: 'completed', seconds: 1 });
      expect(await seen()).toEqual(['end']);
      expect(await seen()).toEqual([]);
    });

    it('appends in order and loses no line of racing appenders', async () => {
      await a.append('log/w.jsonl', text('0\n'), { durable: true });
      await a.append('log/w.jsonl', text('1\n'), { durable: false });
      expect(await readLog(b, 'log/w.jsonl')).toBe('0\n1\n');
      await Promise.all(
        Array.from({ length: 40 }, (_, i) => (i % 2 ? a : b).append('log/w.jsonl', text(`line ${i}\n`), { durable: i % 3 === 0 })),
      );
      const lines = (await readLog(a, 'log/w.jsonl')).trimEnd().split('\n');
      expect(lines.slice(2).sort()).toEqual(Array.from({ length: 40 }, (_, i) => `line ${i}`).sort());
    });

    it('lists the keys of a prefix in order, and the folders below one', async () => {
      const keys = ['runs/b/1', 'runs/a/items/2.json', 'runs/a/items/1.json', 'runs/a-b', 'runs/a.txt', 'steps/x'];
      for (const key of keys) await a.put(key, text(key));
      expect(await keysOf(b, '')).toEqual([...keys].sort());
      expect(await keysOf(b, 'runs/a')).toEqual(keys.filter((key) => key.startsWith('runs/a')).sort());
      expect(await keysOf(b, 'runs/a/items/')).toEqual(['runs/a/items/1.json', 'runs/a/items/2.json']);
      expect(await keysOf(b, 'nothing/')).toEqual([]);
      expect(await b.listFolders('runs/')).toEqual(['a', 'b']);
      expect(await b.listFolders('nothing/')).toEqual([]);
    });

    it('lists any keys as a sorted set', async () => {
      const part = fc.stringMatching(/^[a-z0-9-]{1,3}$/);
      // No key may be a folder of another one: a file system cannot hold both.
      const keys = fc.uniqueArray(
        fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => `${parts.join('/')}.json`),
        { maxLength: 12 },
      );
      let round = 0;
      await fc.assert(
        fc.asyncProperty(keys, async (chosen) => {
          const prefix = `p${round++}/`;
          for (const key of chosen) await a.put(prefix + key, text('x'));
          expect(await keysOf(b, prefix)).toEqual(chosen.map((key) => prefix + key).sort());
        }),
        { numRuns: 20 },
      );
    });

    it('deletes, also what is not there', async () => {
      await a.put('k', text('x'));
      await b.delete('k');
      await b.delete('k');
      expect(await a.has('k')).toBe(false);
      expect(await a.put('k', text('again'), { ifAbsent: true })).toBe(true);
    });

    it('has no folder whose last object is gone', async () => {
      await a.put('runs/a/items/1', text('x'));
      await a.put('runs/b/1', text('x'));
      await b.delete('runs/a/items/1');
      expect(await a.listFolders('runs/')).toEqual(['b']);
      await a.put('runs/a/items/1', text('back'));
      expect(await b.listFolders('runs/')).toEqual(['a', 'b']);
    });

    it('writes beside one that deletes', async () => {
      for (let turn = 0; turn < 50; turn++) {
        await a.put('folder/old', text('x'));
        await Promise.all([b.delete('folder/old'), a.put(`folder/new`, text('y'))]);
        expect(await read(b, 'folder/new')).toBe('y');
        await b.delete('folder/new');
      }
    });

    it.each(['', '/etc/passwd', '../x', 'a/../../x', 'a//b', 'a/.tmp-1', './a', 'a\\b'])('refuses the key "%s"', async (key) => {
      await expect(a.put(key, text('x'))).rejects.toThrow(InvalidInput);
      await expect(a.get(key)).rejects.toThrow(InvalidInput);
      await expect(a.stream(key)).rejects.toThrow(InvalidInput);
    });
  });
}
