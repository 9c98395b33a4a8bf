import fc from 'fast-check';
import { sampleRows } from './sample.js';

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

it('takes all rows, or the first ones', () => {
  expect(sampleRows(numbers(5), { limit: null, sample: null })).toEqual(numbers(5));
  expect(sampleRows(numbers(5), { limit: 2, sample: null })).toEqual([0, 1]);
  expect(sampleRows(numbers(5), { limit: 9, sample: null })).toEqual(numbers(5));
});

it('takes n different rows in dataset order, the same ones for the same seed', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.nat(70), fc.nat(1000), (size, n, seed) => {
      const chosen = sampleRows(numbers(size), { limit: null, sample: { n, seed } });
      expect(chosen).toHaveLength(Math.min(n, size));
      expect([...new Set(chosen)].sort((a, b) => a - b)).toEqual(chosen);
      expect(sampleRows(numbers(size), { limit: null, sample: { n, seed } })).toEqual(chosen);
    }),
  );
});

it('takes other rows for another seed, and each row about equally often', () => {
  const counts = numbers(10).map(() => 0);
  for (let seed = 0; seed < 2000; seed++) for (const i of sampleRows(numbers(10), { limit: null, sample: { n: 3, seed } })) counts[i]! += 1;
  // Mean 600, standard deviation 20.5.
  for (const count of counts) expect(Math.abs(count - 600)).toBeLessThan(90);
});
