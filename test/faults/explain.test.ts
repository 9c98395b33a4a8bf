import type { LedgerLine } from '../../engine/storage/index.js';
import { explain, surplusOf, type Struck } from './explain.js';
import type { FaultName } from './schedule.js';

const at = (ms: number) => new Date(1e12 + ms).toISOString();
const step = { step: 'generate', item: 'a', arm: null, round: 0, draw: 0 } as const;
const start = (key: string, id: string, ms: number, device = 'cpu:0'): LedgerLine => ({
  row: 'start',
  id,
  at: at(ms),
  ...step,
  key,
  attempt: 1,
  device,
});
const end = (id: string, ms: number, status: 'completed' | 'failed' | 'cancelled' = 'completed', error?: string): LedgerLine => ({
  row: 'end',
  id,
  at: at(ms),
  status,
  seconds: 1,
  ...(error === undefined ? {} : { error: `${error}: said so` }),
});
const recorded = (key: string, ms: number): LedgerLine => ({ row: 'recorded', id: `found ${key}`, at: at(ms), ...step, key });
/** A fault from 10 s to 12 s. */
const fault = (kind: FaultName, target: string): Struck => ({
  at: 0,
  kind,
  target,
  seconds: 2,
  steps: 0,
  begin: 1e12 + 10_000,
  end: 1e12 + 12_000,
});
const kill = fault('kill-gpu', 'gpu-0');
const crash = fault('kill-host', 'gpu-0');

/** A step whose first attempt ends so, and that is made again at 21 s. */
const again = (key: string, device: string, ends: (id: string) => LedgerLine[], from = 9_000): LedgerLine[] => [
  start(key, `${key} 1`, from, device),
  ...ends(`${key} 1`),
  start(key, `${key} 2`, 21_000, 'cpu:1'),
  end(`${key} 2`, 22_000),
];
const lost = (key: string, device = 'cpu:0', from = 9_000) => again(key, device, () => [], from);
const failed = (key: string, error: string, device = 'cpu:0') => again(key, device, (id) => [end(id, 10_500, 'failed', error)]);
const cancelled = (key: string, device = 'cpu:0') => again(key, device, (id) => [end(id, 11_500, 'cancelled')]);
const noSurplus = { lost: 0, failed: 0, cancelled: 0, dropped: 0 };

test('a step that was carried out once is no surplus', () => {
  expect(explain([start('k', '1', 0), end('1', 5)], [])).toEqual({ attempts: 1, unique: 1, surplus: {}, unexplained: [] });
});

test('what was in flight at a fault is explained by it, what was not is named', () => {
  const lines = [...lost('k'), start('l', '3', 0), end('3', 9_000, 'failed', 'HostCrashed'), start('l', '4', 9_100), end('4', 9_200)];
  const explained = explain(lines, [kill, crash]);
  expect(explained).toMatchObject({ attempts: 4, unique: 2, surplus: { 'kill-gpu': { lost: 1 } } });
  expect(explained.unexplained).toEqual([expect.stringMatching(/^failed on cpu:0 from 0.0 to 9.0 s: .* l$/)]);
  expect(surplusOf(explained)).toBe(1);
});

test.each<[string, LedgerLine[], Struck]>([
  ['on the worker that was killed', lost('k'), kill],
  ['in the host that was killed', failed('k', 'HostCrashed'), crash],
  ['on the worker that was stopped', cancelled('k'), fault('stop-worker', 'gpu-0')],
  ['on any worker, where the store is away', failed('k', 'StorageUnavailable', 'cpu'), fault('kill-store', 'store')],
  ['on any worker, where the server is away', cancelled('k', 'cpu:1'), fault('restart-server', 'server')],
])('one %s is explained', (_, lines, fault) => {
  expect(explain(lines, [fault])).toMatchObject({ surplus: { [fault.kind]: expect.anything() }, unexplained: [] });
});

test.each<[string, LedgerLine[], Struck]>([
  ['on another device', lost('k', 'cpu:1'), kill],
  ['that failed where a worker was killed', failed('k', 'HostCrashed'), kill],
  ['that was lost where only a host was killed', lost('k'), crash],
  ['that failed in another way than that of the fault', failed('k', 'StorageUnavailable'), crash],
  ['that failed in its own way while the store was away', failed('k', 'ModelOutputInvalid'), fault('kill-store', 'store')],
  ['while an orchestrator was killed, which carries nothing out', lost('k', 'cpu'), fault('kill-orchestrator', 'orchestrator')],
  ['while a host hung for less than its watchdog waits', failed('k', 'HostCrashed'), fault('hang-host', 'gpu-0')],
  ['while a picture was spoilt', failed('k', 'StorageUnavailable'), fault('spoil-picture', 'picture')],
  ['that was cancelled where nobody was stopped', cancelled('k'), kill],
  ['that began after the worker was killed', lost('k', 'cpu:0', 12_500), { ...kill, end: 1e12 + 15_000 }],
])('one %s is not', (_, lines, fault) => {
  expect(explain(lines, [fault])).toMatchObject({ surplus: {}, unexplained: [expect.stringMatching(/ k$/)] });
});

test('a fault costs no more attempts than could be in flight: the slots of a worker, the one request of a host', () => {
  expect(explain([...lost('k'), ...lost('l')], [kill]).unexplained).toEqual([]);
  expect(explain([...lost('k'), ...lost('l'), ...lost('m')], [kill]).unexplained).toHaveLength(1);
  const two = [...failed('k', 'HostCrashed'), ...failed('l', 'HostCrashed')];
  expect(explain(two, [crash]).unexplained).toHaveLength(1);
  expect(explain(two, [crash, fault('abort-host', 'gpu-0')])).toMatchObject({
    surplus: { 'kill-host': { failed: 1 }, 'abort-host': { failed: 1 } },
    unexplained: [],
  });
});

test('where two faults could each have cost several, they are shared out so that all are explained that can be', () => {
  const later: Struck = { ...kill, begin: 1e12 + 18_000, end: 1e12 + 19_000 };
  // The first two were in flight at both, the others began after the first.
  const lines = [...lost('k'), ...lost('l'), ...lost('m', 'cpu:0', 15_000), ...lost('n', 'cpu:0', 15_000)];
  expect(explain(lines, [later, kill])).toMatchObject({ surplus: { 'kill-gpu': { lost: 4 } }, unexplained: [] });
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

test('the first of two that came to their end counts, the other was dropped, whichever of them was the one thought dead', () => {
  const freeze = fault('freeze-worker', 'gpu-0');
  const [frozen, other] = [start('k', '1', 9_000), start('k', '2', 11_000, 'cpu:1')];
  const dropped = { 'freeze-worker': { ...noSurplus, dropped: 1 } };
  expect(explain([frozen, other, end('2', 11_500), end('1', 12_500)], [freeze]).surplus).toEqual(dropped);
  expect(explain([frozen, other, end('1', 12_500), end('2', 12_700)], [freeze]).surplus).toEqual(dropped);
  // A kill parts nobody, and one that was frozen elsewhere has nothing to do with it.
  const both = [frozen, other, end('2', 11_500), end('1', 12_500)];
  for (const other of [kill, { ...freeze, begin: 1e12, end: 1e12 + 2_000 }])
    expect(explain(both, [other]).unexplained).toEqual([expect.stringMatching(/^completed on .* k$/)]);
});

test('one whose worker was frozen, and killed when another had its step already, is explained by the kill', () => {
  const lines = [start('k', '1', 9_000), start('k', '2', 20_500, 'cpu:1'), end('2', 21_000)];
  const freeze = { ...fault('freeze-worker', 'gpu-0'), end: 1e12 + 22_000 };
  const later = { ...kill, begin: freeze.end, end: freeze.end + 1_000 };
  expect(explain(lines, [freeze, later]).surplus).toEqual({ 'kill-gpu': { ...noSurplus, lost: 1 } });
  expect(explain(lines, [freeze]).unexplained).toHaveLength(1);
  expect(explain(lines, [later]).unexplained).toHaveLength(1);
  // It would have heard of it before, but the server went away.
  const restart = { ...fault('restart-server', 'server'), begin: freeze.end + 1_500, end: freeze.end + 4_000 };
  const last = { ...later, begin: freeze.end + 5_000, end: freeze.end + 6_000 };
  expect(explain(lines, [last, restart, freeze]).surplus).toEqual({ 'kill-gpu': { ...noSurplus, lost: 1 } });
  expect(explain(lines, [last, freeze]).unexplained).toHaveLength(1);
});
