import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { mergeLedger, StepTally, type LedgerLine, type LedgerStart, type LedgerStep } from './ledger.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-ledger-'));
  store = await openStore(folder);
});
afterEach(() => fs.rm(folder, { recursive: true }));

const step: LedgerStep = { step: 'generate', item: 'creature-1', arm: 'opt', round: 1, draw: 0, key: 'k1' };
const start = (attempt = 1, more: Partial<LedgerStart> = {}): LedgerStart => ({ ...step, attempt, device: 'cpu', ...more });
const read = (closed = false): ReturnType<Store['readLedger']> => store.readLedger('r', { closed });
const counted = async () => {
  const tally = new StepTally();
  tally.add(await store.followLedger('r').readOn());
  return tally.counts;
};
const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 3));
const file = (worker = 'w1'): string => join(folder, `runs/r/ledger/${worker}.jsonl`);

it('gives one row per attempt, with what became of it', async () => {
  const writer = store.ledgerWriter('r', 'w1');
  const first = await writer.start(start(1));
  await writer.end({ id: first, status: 'failed', seconds: 2, error: 'OutOfMemory: too big' });
  await pause();
  const second = await writer.start(start(2, { device: 'cuda:0' }));
  await writer.end({ id: second, status: 'completed', seconds: 3, tokens: 12, bytes: 900, usd: 0.01 });
  const unknown = { tokens: null, bytes: null, usd: null };
  expect(await read()).toEqual([
    { ...step, attempt: 1, status: 'failed', device: 'cpu', seconds: 2, ...unknown, error: 'OutOfMemory: too big' },
    { ...step, attempt: 2, status: 'completed', device: 'cuda:0', seconds: 3, tokens: 12, bytes: 900, usd: 0.01, error: null },
  ]);
  expect(await counted()).toEqual({ executed: 1, cached: 0, retried: 1 });
});

it('has the start on the disk before start() returns', async () => {
  await store.ledgerWriter('r', 'w1').start(start());
  expect(await fs.readFile(file(), 'utf8')).toContain('"row":"start"');
});

it('leaves an open attempt out, and calls it lost once a later one exists or the run is closed', async () => {
  await store.ledgerWriter('r', 'w1').start(start(1));
  expect(await read()).toEqual([]);
  expect((await read(true)).map((row) => row.status)).toEqual(['lost']);
  await pause();
  await store.ledgerWriter('r', 'w2').start(start(2));
  expect((await read()).map((row) => [row.attempt, row.status])).toEqual([[1, 'lost']]);
  expect((await read(true)).map((row) => [row.attempt, row.status])).toEqual([
    [1, 'lost'],
    [2, 'lost'],
  ]);
});

it('calls a billable call without a reply unknown, and an attempt whose result was found later lost', async () => {
  const writer = store.ledgerWriter('r', 'w1');
  await writer.start(start(1, { billable: true, key: 'paid' }));
  await writer.start(start(1));
  await pause();
  await writer.recorded(step);
  expect((await read(true)).map((row) => [row.key, row.status]).sort()).toEqual([
    ['k1', 'lost'],
    ['k1', 'recorded'],
    ['paid', 'unknown'],
  ]);
  expect((await read()).map((row) => row.status)).toEqual(['lost', 'recorded']);
});

it('counts a result that was found several times once', async () => {
  for (const worker of ['w1', 'w2']) {
    const writer = store.ledgerWriter('r', worker);
    await writer.recorded(step);
    await writer.recorded(step);
  }
  await store.ledgerWriter('r', 'w1').recorded({ ...step, item: 'creature-2' });
  expect(await counted()).toEqual({ executed: 0, cached: 2, retried: 0 });
});

it('reads past a line that a crash cut off, also when the worker goes on in the same file', async () => {
  const before = store.ledgerWriter('r', 'w1');
  await before.end({ id: await before.start(start(1)), status: 'completed', seconds: 1 });
  await fs.appendFile(file(), '{"row":"start","id":"torn","it');
  expect(await read(true)).toHaveLength(1);
  const after = store.ledgerWriter('r', 'w1');
  await after.end({ id: await after.start(start(1, { item: 'creature-2' })), status: 'completed', seconds: 1 });
  expect((await read(true)).map((row) => row.item)).toEqual(['creature-1', 'creature-2']);
});

it('keeps every line of many attempts at once, of several workers', async () => {
  const writers = [store.ledgerWriter('r', 'w1'), store.ledgerWriter('r', 'host:1/2')];
  await Promise.all(
    Array.from({ length: 60 }, async (_, i) => {
      const writer = writers[i % 2]!;
      await writer.end({ id: await writer.start(start(1, { item: `creature-${i}` })), status: 'completed', seconds: i });
    }),
  );
  expect((await fs.readdir(join(folder, 'runs/r/ledger'))).sort()).toEqual(['host-1-2.jsonl', 'w1.jsonl']);
  const rows = await read();
  expect(rows.map((row) => row.seconds).sort((a, b) => a! - b!)).toEqual(Array.from({ length: 60 }, (_, i) => i));
});

it('says so when a line cannot be written, and goes on afterwards', async () => {
  await fs.mkdir(join(folder, 'runs/r'), { recursive: true });
  await fs.writeFile(join(folder, 'runs/r/ledger'), 'in the way');
  const writer = store.ledgerWriter('r', 'w1');
  await expect(writer.start(start())).rejects.toThrow('a file stands where a folder should be');
  await fs.rm(join(folder, 'runs/r/ledger'));
  await writer.start(start());
  expect(await read(true)).toHaveLength(1);
});

it('merges to the same rows in whatever order the files are read', () => {
  const line = fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd'), at: fc.constantFrom('1', '2', '3'), item: fc.constantFrom('x', 'y') });
  const lines = fc
    .uniqueArray(line, { selector: ({ id }) => id, maxLength: 4 })
    .map((rows) =>
      rows.flatMap(({ id, at, item }, i): LedgerLine[] => [
        { row: 'start', id, at, ...start(1), item },
        ...(i % 2 ? [{ row: 'end' as const, id, at: '4', status: 'completed' as const, seconds: i }] : []),
        { row: 'recorded', id: `r${id}`, at, ...step, item },
      ]),
    );
  const shuffled = lines.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));
  fc.assert(fc.property(shuffled, ([all, other]) => expect(mergeLedger(other)).toEqual(mergeLedger(all))));
});

it('is followed as it grows, each line once, one that is half written when it is whole', async () => {
  const follower = store.followLedger('r');
  const tally = new StepTally();
  const look = async () => {
    const lines = await follower.readOn();
    tally.add(lines);
    return lines.length;
  };
  expect(await look()).toBe(0);
  const [one, two] = [store.ledgerWriter('r', 'w1'), store.ledgerWriter('r', 'w2')];
  const id = await one.start(start(1));
  expect(await look()).toBe(1);
  await two.recorded({ ...step, item: 'creature-2' });
  await two.recorded({ ...step, item: 'creature-2' });
  await one.end({ id, status: 'completed', seconds: 1 });
  expect((await Promise.all([look(), look()])).sort()).toEqual([0, 3]);
  expect(tally.counts).toEqual({ executed: 1, cached: 1, retried: 0 });
  expect([...tally.images]).toEqual([['creature-1', 1], ['creature-2', 1]]); // prettier-ignore

  const line = JSON.stringify({ row: 'start', id: 'x', at: 'now', ...start(2) });
  await fs.appendFile(file('w3'), line.slice(0, 20));
  expect(await look()).toBe(0);
  await fs.appendFile(file('w3'), `${line.slice(20)}\n`);
  expect(await look()).toBe(1);
  expect(tally.counts.retried).toBe(1);
});

it('counts an end that is read before its start', () => {
  const tally = new StepTally();
  tally.add([{ row: 'end', id: 'a', at: 't', status: 'completed', seconds: 1 }]);
  expect(tally.counts.executed).toBe(0);
  tally.add([{ row: 'start', id: 'a', at: 't', ...start(1) }]);
  expect(tally.counts).toEqual({ executed: 1, cached: 0, retried: 0 });
});
