import type { Digest } from '../types.js';

/**
 * Searches what a feedback is made from, and all that led to it, for the true picture.
 * @param inputs what the feedback step reads; @param parents direct parents of every artifact on the way
 * @returns the way from an input to the picture, or `null` where nothing leaks
 */
export function findLeak(inputs: readonly Digest[], parents: ReadonlyMap<Digest, readonly Digest[]>, trueImage: Digest): Digest[] | null {
  const seen = new Set<Digest>();
  const ways: Digest[][] = inputs.map((input) => [input]);
  for (let way = ways.shift(); way; way = ways.shift()) {
    const last = way.at(-1)!;
    if (last === trueImage) return way;
    if (seen.has(last)) continue;
    seen.add(last);
    for (const parent of parents.get(last) ?? []) ways.push([...way, parent]);
  }
  return null;
}
