import {
  BOOTSTRAP_RESAMPLES,
  bcaBootstrap,
  bcaInterval,
  effectSize,
  holm,
  normalQuantile,
  signFlipTest,
  varianceComponents,
} from '../../engine/metrics/index.js';
import { golden } from './goldens.js';

interface Case {
  name: string;
  values: number[];
  means: number[];
  bca: [number, number];
  scipyBca: [number, number];
  scipyBcaError: number;
  pValue: number;
  exact: boolean;
  effectSize: number;
}
const goldens = golden<{
  cases: Case[];
  holm: Array<{ p: number[]; adjusted: number[] }>;
  normal: Array<{ p: number; quantile: number }>;
  variance: { groups: number[][]; between: number; within: number; f: number };
}>('statistics');

describe.each(goldens.cases)(
  '$name against SciPy',
  ({ name, values, means, bca, scipyBca, scipyBcaError, pValue, exact, effectSize: size }) => {
    test('BCa on the same resamples, to 1e-6', () => {
      const { interval, method } = bcaInterval(values, Float64Array.from(means).sort());
      expect(method).toBe('bca');
      interval.forEach((end, i) => expect(Math.abs(end - bca[i]!)).toBeLessThan(1e-6));
    });

    test('BCa on resamples of our own, within what the dice of both can do', () => {
      const { interval } = bcaBootstrap(values, name)!;
      // An end of the interval is a quantile near 2.5%: its error is about 3 standard errors of the mean over the root of the resamples.
      const dice = 4 * 3 * scipyBcaError * (1 / Math.sqrt(BOOTSTRAP_RESAMPLES) + 1 / Math.sqrt(20_000));
      interval.forEach((end, i) => expect(Math.abs(end - scipyBca[i]!)).toBeLessThan(dice));
    });

    test('the permutation test, exact to 1e-6 and else within Monte-Carlo error', () => {
      const p = signFlipTest(values, name)!;
      expect(Math.abs(p - pValue)).toBeLessThan(exact ? 1e-6 : 4 * Math.sqrt((pValue * (1 - pValue)) / 10_000) + 2e-4);
    });

    test('effect size', () => expect(effectSize(values)).toBeCloseTo(size, 10));
  },
);

test.each(goldens.normal)('the normal quantile of $p', ({ p, quantile }) => {
  expect(Math.abs(normalQuantile(p) - quantile)).toBeLessThan(1e-6);
});

test.each(goldens.holm)('Holm over $p', ({ p, adjusted }) => {
  holm(p).forEach((value, i) => expect(Math.abs(value - adjusted[i]!)).toBeLessThan(1e-12));
});

test('variance between and within, and the F that follows from them', () => {
  const { groups, between, within, f } = goldens.variance;
  const found = varianceComponents(groups)!;
  expect(found.between).toBeCloseTo(between, 10);
  expect(found.within).toBeCloseTo(within, 10);
  expect((groups[0]!.length * found.between + found.within) / found.within).toBeCloseTo(f, 8);
});
