import { setTimeout as sleep } from 'node:timers/promises';
import { Permits } from './permits.js';

test('no more at once than there are slots, in the order in which they were asked for', async () => {
  const permits = new Permits(2);
  const begun: number[] = [];
  let [now, most] = [0, 0];
  const work = (n: number) => async () => {
    begun.push(n);
    most = Math.max(most, ++now);
    await sleep(1);
    now--;
    return n;
  };
  const { signal } = new AbortController();
  const results = await Promise.all([1, 2, 3, 4, 5].map((n) => permits.take(work(n), signal)));
  expect(results).toEqual([1, 2, 3, 4, 5]);
  expect(begun).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
});

test('a signal ends a wait at once and never begins its work; work that has begun ends by itself, and its slot is free again', async () => {
  const permits = new Permits(1);
  const stop = new AbortController();
  let end = () => {};
  const first = permits.take(() => new Promise<string>((resolve) => (end = () => resolve('done'))), stop.signal);
  await sleep(0);
  const begun: string[] = [];
  const second = permits.take(async () => void begun.push('second'), stop.signal);
  stop.abort(new Error('stopped'));
  await expect(second).rejects.toThrow('stopped');
  await expect(permits.take(async () => void begun.push('late'), stop.signal)).rejects.toThrow('stopped');
  end();
  expect(await first).toBe('done');
  await permits.take(async () => void begun.push('third'), new AbortController().signal);
  expect(begun).toEqual(['third']);
});

test('work that fails gives its slot back', async () => {
  const permits = new Permits(1);
  const { signal } = new AbortController();
  await expect(permits.take(() => Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
  expect(await permits.take(() => Promise.resolve(1), signal)).toBe(1);
});
