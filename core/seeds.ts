import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';

/** Seed of an item's draw: the first 4 bytes, big-endian, of SHA-256 of `${seed}\n${itemId}\n${draw}`. An unsigned 32-bit integer. */
export function seedOf(seed: number, itemId: string, draw: number): number {
  const hash = sha256(utf8ToBytes(`${seed}\n${itemId}\n${draw}`));
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0, false);
}

// A global that is looked up a hundred million times is slow wherever code runs in a context of its own: workflows, tests.
const { imul } = Math;

/** SplitMix32: a small seeded generator of uniform numbers in [0, 1), for orders and samples (never for images). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = imul(z ^ (z >>> 16), 0x21f0aaad);
    z = imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** A seeded permutation of 0..n-1 (Fisher-Yates). */
export function permutation(n: number, seed: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  const random = uniform(seed);
  for (let i = n - 1; i > 0; i--) swap(order, i, Math.floor(random() * (i + 1)));
  return order;
}

/** A seeded derangement of 0..n-1 (Sattolo: one cycle over all, so nobody keeps his own). Empty below two. */
export function derangement(n: number, seed: number): number[] {
  if (n < 2) return [];
  const order = Array.from({ length: n }, (_, i) => i);
  const random = uniform(seed);
  for (let i = n - 1; i > 0; i--) swap(order, i, Math.floor(random() * i));
  return order;
}

function swap(values: number[], i: number, j: number): void {
  const kept = values[i]!;
  values[i] = values[j]!;
  values[j] = kept;
}
