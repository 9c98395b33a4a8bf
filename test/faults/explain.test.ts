import type { LedgerLine } from '../../engine/storage/index.js';
import { explain, surplusOf, type Struck } from './explain.js';

const at = (ms: number) => new Date(1e12 + ms).toISOString();
const step = { step: 'generate', item: 'a', arm: null, round: 0, draw: 0 } as const;
const start = (key: string, id: string, ms: number): LedgerLine => ({
  row: 'start',
  id,
  at: at(ms),
  ...step,
  key,
  attempt: 1,
  device: null,
});
const end = (id: string, ms: number, status: 'completed' | 'failed' = 'completed'): LedgerLine => ({
  row: 'end',
  id,
  at: at(ms),
  status,
  seconds: 1,
});
const recorded = (key: string, ms: number): LedgerLine => ({ row: 'recorded', id: `found ${key}`, at: at(ms), ...step, key });
const kill: Struck = { at: 0, kind: 'kill-cpu', target: 'cpu', seconds: 1, steps: 0, begin: 1e12 + 10_000, end: 1e12 + 12_000 };

test('a step that was carried out once is no surplus', () => {
  expect(explain([start('k', '1', 0), end('1', 5)], [])).toEqual({ attempts: 1, unique: 1, surplus: {}, unexplained: [] });
});

test('what was in flight at a fault is explained by it, what was not is named', () => {
  const lines = [
    start('k', '1', 9_000),
    start('k', '2', 21_000),
    end('2', 22_000),
    start('l', '3', 0),
    end('3', 9_000, 'failed'),
    start('l', '4', 9_100),
    end('4', 9_200),
  ];
  const explained = explain(lines, [kill]);
  expect(explained).toMatchObject({ attempts: 4, unique: 2, surplus: { 'kill-cpu': { lost: 1 } } });
  expect(explained.unexplained).toEqual([expect.stringMatching(/^failed: .* l$/)]);
  expect(surplusOf(explained)).toBe(1);
});

test('a result that was recorded by an attempt that the ledger has no end of is no surplus; one that nobody recorded is named', () => {
  expect(explain([start('k', '1', 9_000), recorded('k', 21_000)], [kill])).toEqual({
    attempts: 1,
    unique: 1,
    surplus: {},
    unexplained: [],
  });
  expect(explain([start('k', '1', 9_000)], [kill]).unexplained).toEqual([expect.stringMatching(/^no result: .* k$/)]);
});

test('the first of two that came to their end counts, the other was dropped', () => {
  const lines = [start('k', '1', 9_000), start('k', '2', 11_000), end('2', 11_500), end('1', 12_500)];
  expect(explain(lines, [kill]).surplus).toEqual({ 'kill-cpu': { lost: 0, failed: 0, cancelled: 0, dropped: 1 } });
  const freeze: Struck = { ...kill, kind: 'freeze-worker', begin: kill.begin - 500 };
  expect(Object.keys(explain(lines, [freeze, kill]).surplus)).toEqual(['freeze-worker']);
  expect(explain(lines, []).unexplained).toEqual([expect.stringMatching(/^completed: .* k$/)]);
});
