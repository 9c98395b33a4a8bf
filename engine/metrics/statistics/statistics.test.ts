import { jest } from '@jest/globals';
import fc from 'fast-check';
import { seedOf, uniform } from '../../../core/seeds.js';
import { bcaBootstrap } from './bca-bootstrap.js';
import { holm } from './holm.js';
import { normalCdf, normalQuantile } from './normal-distribution.js';
import { signFlipTest } from './permutation-test.js';
import { winTieLoss } from './win-rate.js';

// Thousands of resamples each: more than the default allows on a busy machine.
jest.setTimeout(60_000);

const EVEN = [0.03, -0.01, 0.05, 0.02, 0.0, 0.08, -0.03, 0.04, 0.01, 0.06];
const SKEWED = [0.001, 0.002, 0.0, 0.004, 0.003, 0.09, 0.12, 0.001, 0.002, 0.0, 0.005, 0.3];

const differences = (minLength: number, maxLength = 14) => fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength, maxLength });

describe('normal distribution', () => {
  test('equals SciPy', () => {
    const cdf = [0.0013498980316301035, 0.024997895148220435, 0.6179114221889526, 0.9937903346742238];
    [-3, -1.96, 0.3, 2.5].forEach((x, i) => expect(normalCdf(x)).toBeCloseTo(cdf[i]!, 12));
    const ppf = [-5.9978070150076865, -3.090232306167813, -1.9599639845400545, -0.2533471031357997, 1.959963984540054];
    [1e-9, 0.001, 0.025, 0.4, 0.975].forEach((p, i) => expect(normalQuantile(p)).toBeCloseTo(ppf[i]!, 10));
  });
  test('NaN ends the series', () => expect(normalCdf(NaN)).toBeNaN());
  test('quantile and distribution undo each other', () => {
    fc.assert(fc.property(fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true }), (p) => Math.abs(normalCdf(normalQuantile(p)) - p) < 1e-12));
  });
});

describe('BCa bootstrap', () => {
  /** SciPy 1.17 `bootstrap(..., method='BCa')` with 200,000 resamples. */
  test.each([
    ['even', EVEN, [0.005, 0.045], 0.002],
    ['skewed: the percentile interval would be [0.0023, 0.1008]', SKEWED, [0.0108, 0.1263], 0.01],
  ] as Array<[string, number[], [number, number], number]>)('equals SciPy on %s data', (name, values, [lo, hi], within) => {
    const result = bcaBootstrap(values, name)!;
    expect(result.method).toBe('bca');
    expect(Math.abs(result.interval[0] - lo)).toBeLessThan(within);
    expect(Math.abs(result.interval[1] - hi)).toBeLessThan(within);
  });

  test('the name decides the draws: same name same interval, other name another', () => {
    expect(bcaBootstrap(SKEWED, 'a')).toEqual(bcaBootstrap(SKEWED, 'a'));
    expect(bcaBootstrap(SKEWED, 'a')).not.toEqual(bcaBootstrap(SKEWED, 'b'));
  });

  test('degenerate data: none, one, constant, two', () => {
    expect(bcaBootstrap([], 'x')).toBeNull();
    expect(bcaBootstrap([0.4], 'x')).toBeNull();
    expect(bcaBootstrap([0.4, 0.4, 0.4], 'x')).toEqual({ interval: [0.4, 0.4], method: 'constant' });
    expect(bcaBootstrap([0, 5e-324, 5e-324], 'x')!.method).toBe('percentile');
    const two = bcaBootstrap([0, 1], 'x')!.interval;
    expect(two).toEqual([0, 1]);
  });

  test('lies within the data, turns with its sign and moves with its offset', () => {
    fc.assert(
      fc.property(differences(2), (values) => {
        const { interval } = bcaBootstrap(values, 'p', { resamples: 400 })!;
        expect(interval[0]).toBeLessThanOrEqual(interval[1]);
        expect(interval[0]).toBeGreaterThanOrEqual(Math.min(...values) - 1e-12);
        expect(interval[1]).toBeLessThanOrEqual(Math.max(...values) + 1e-12);
      }),
      { numRuns: 60 },
    );
    const turned = bcaBootstrap(
      SKEWED.map((v) => -v),
      'p',
    )!.interval;
    const plain = bcaBootstrap(SKEWED, 'p')!.interval;
    expect(-turned[1]).toBeCloseTo(plain[0], 3);
    expect(
      bcaBootstrap(
        SKEWED.map((v) => v + 2),
        'p',
      )!.interval[0],
    ).toBeCloseTo(plain[0] + 2, 6);
  });

  test('covers the true mean about as often as it says', () => {
    const trials = 200;
    let covered = 0;
    for (let trial = 0; trial < trials; trial++) {
      const random = uniform(seedOf(1, 'coverage', trial));
      const values = Array.from({ length: 24 }, () => normalQuantile(random() || 0.5));
      const { interval } = bcaBootstrap(values, `coverage ${trial}`, { resamples: 1000 })!;
      if (interval[0] <= 0 && 0 <= interval[1]) covered++;
    }
    expect(covered / trials).toBeGreaterThan(0.89);
    expect(covered / trials).toBeLessThan(0.98);
  });
});

describe('sign-flip permutation test', () => {
  test('by hand: three equal gains, 2 of 8 assignments are as extreme', () => {
    expect(signFlipTest([1, 1, 1], 'x')).toBe(0.25);
    expect(signFlipTest([1, -1], 'x')).toBe(1);
    expect(signFlipTest([0, 0, 0], 'x')).toBe(1);
    expect(signFlipTest([], 'x')).toBeNull();
  });
  test('equals SciPy’s exact test', () => {
    expect(signFlipTest(EVEN, 'x')).toBe(0.05859375);
    expect(signFlipTest(SKEWED, 'x')).toBe(0.001953125);
  });
  test('above 16 items it draws, seeded by name, and never gives 0', () => {
    const many = Array.from({ length: 40 }, (_, i) => 0.1 + i / 1000);
    expect(signFlipTest(many, 'x')).toBe(1 / 10_001);
    const mixed = Array.from({ length: 17 }, (_, i) => EVEN[i % 10]!);
    expect(signFlipTest(mixed, 'x')).toBe(signFlipTest(mixed, 'x'));
    expect(signFlipTest(mixed, 'x')).not.toBe(signFlipTest(mixed, 'y'));
  });
  test('does not depend on sign or order', () => {
    fc.assert(
      fc.property(differences(1, 9), (values) => {
        const p = signFlipTest(values, 'x')!;
        expect(
          signFlipTest(
            values.map((v) => -v),
            'x',
          ),
        ).toBe(p);
        expect(signFlipTest([...values].reverse(), 'x')).toBe(p);
        expect(p).toBeGreaterThanOrEqual(2 ** -values.length);
      }),
      { numRuns: 100 },
    );
  });
});

describe('Holm', () => {
  test('by hand', () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.5, 0.9])).toEqual([1, 1]);
    expect(holm([])).toEqual([]);
  });
  test('never below the raw p, never above Bonferroni, keeps the order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }), (ps) => {
        const adjusted = holm(ps);
        ps.forEach((p, i) => {
          expect(adjusted[i]).toBeGreaterThanOrEqual(p);
          expect(adjusted[i]).toBeLessThanOrEqual(Math.min(1, p * ps.length));
          ps.forEach((q, j) => {
            if (p < q) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j]!);
          });
        });
      }),
    );
  });
});

test('win, tie, loss', () => {
  expect(winTieLoss([0.2, 0, -0.1, 1e-12, 0.3])).toEqual({ wins: 2, ties: 2, losses: 1, winRate: 0.4 });
  expect(winTieLoss([])).toEqual({ wins: 0, ties: 0, losses: 0, winRate: null });
});
