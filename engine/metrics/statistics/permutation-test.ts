import { seedOf, uniform } from '../../../core/seeds.js';

/** Up to this many items all 2^n sign assignments are counted. */
export const EXACT_UP_TO = 16;
const MONTE_CARLO_DRAWS = 10_000;

/**
 * Two-sided p value of the paired sign-flip permutation test (Fisher's randomisation test): how often the mean of the differences, each
 * with a random sign, lies at least as far from 0 as the mean seen. Exact for n <= 16, else 10,000 draws with the seen one counted in
 * ((b + 1) / (m + 1), Phipson and Smyth 2010: never 0). `null` without items.
 * @param differences one value an item; @param name names the data and so the draws
 */
export function signFlipTest(differences: readonly number[], name: string): number | null {
  const n = differences.length;
  if (n === 0) return null;
  const seen = Math.abs(differences.reduce((sum, d) => sum + d, 0));
  // Sums of the same numbers in another order differ by rounding; they count as equal.
  const atLeast = seen - 1e-12 * differences.reduce((sum, d) => sum + Math.abs(d), 0);
  return n <= EXACT_UP_TO ? exact(differences, atLeast) : monteCarlo(differences, atLeast, name);
}

/** Walks the assignments in Gray code order, so that one sign changes at a time; each and its opposite are equally extreme. */
function exact(differences: readonly number[], atLeast: number): number {
  const half = 2 ** (differences.length - 1);
  const signed = [...differences];
  let sum = signed.reduce((total, d) => total + d, 0);
  let extreme = Math.abs(sum) >= atLeast ? 1 : 0;
  for (let step = 1; step < half; step++) {
    const flipped = 31 - Math.clz32(step & -step);
    signed[flipped] = -signed[flipped]!;
    sum += 2 * signed[flipped];
    if (Math.abs(sum) >= atLeast) extreme++;
  }
  return extreme / half;
}

function monteCarlo(differences: readonly number[], atLeast: number, name: string): number {
  const random = uniform(seedOf(0, name, 1));
  let extreme = 0;
  for (let draw = 0; draw < MONTE_CARLO_DRAWS; draw++) {
    let sum = 0;
    let bits = 0;
    for (let i = 0; i < differences.length; i++) {
      // One draw of 32 bits gives 32 signs.
      bits = i % 32 === 0 ? (random() * 2 ** 32) >>> 0 : bits >>> 1;
      sum += bits & 1 ? -differences[i]! : differences[i]!;
    }
    if (Math.abs(sum) >= atLeast) extreme++;
  }
  return (extreme + 1) / (MONTE_CARLO_DRAWS + 1);
}
