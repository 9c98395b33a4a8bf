import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseModelJson } from '../../engine/inference/model-json.js';

const ROOT = new URL('../../', import.meta.url);

/** One file of `models/training/goldens/`, written by `models/training/make_goldens.py` from the reference implementations. */
export function golden<T>(section: string): T {
  return parseModelJson(readFileSync(new URL(`models/training/goldens/${section}.json`, ROOT), 'utf8')) as T;
}

/** One file of `models/reference/goldens/`, written by `models/reference/<topic>.py`. */
export function reference<T>(topic: string): T {
  return parseModelJson(readFileSync(referencePath(`${topic}.json`), 'utf8')) as T;
}

/** Absolute path of a file or folder beside it. */
export function referencePath(path: string): string {
  return fileURLToPath(new URL(`models/reference/goldens/${path}`, ROOT));
}

/** Absolute path of a file or folder of the bundled pack. */
export function packPath(path: string): string {
  return fileURLToPath(new URL(`models/packs/creatures/${path}`, ROOT));
}

/** Absolute path of a file of the demo dataset. */
export function datasetPath(path: string): string {
  return fileURLToPath(new URL(`examples/datasets/creatures/${path}`, ROOT));
}

const bits = new DataView(new ArrayBuffer(4));

/** Place of a float32 in the order of all float32 values: neighbours differ by one. */
function ordinal(value: number): number {
  bits.setFloat32(0, value);
  const n = bits.getInt32(0);
  return n < 0 ? -(n & 0x7fffffff) : n;
}

/** Largest distance in units in the last place between two float32 sequences of the same length. */
export function maxUlp(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return maxOver(actual, expected, (a, b) => Math.abs(ordinal(a) - ordinal(b)));
}

/** Largest absolute difference between two sequences of the same length. */
export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return maxOver(actual, expected, (a, b) => Math.abs(a - b));
}

function maxOver(actual: ArrayLike<number>, expected: ArrayLike<number>, distance: (a: number, b: number) => number): number {
  if (actual.length !== expected.length) throw new Error(`length ${actual.length} instead of ${expected.length}`);
  let max = 0;
  for (let i = 0; i < actual.length; i++) {
    const d = distance(actual[i]!, expected[i]!);
    if (!(d <= max)) max = d; // NaN is the worst
  }
  return max;
}
