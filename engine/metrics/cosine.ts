import { InvalidInput, ModelOutputInvalid } from '../../core/errors.js';

/**
 * Cosine of the angle between two vectors of one length, in [-1, 1]; for unit vectors their dot product. Summed in double precision.
 * @throws InvalidInput where the lengths differ; ModelOutputInvalid for a zero vector or one that holds NaN or infinity
 */
export function cosine(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length || a.length === 0) {
    throw new InvalidInput(`cosine needs two vectors of one length, got ${a.length} and ${b.length}`);
  }
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    squaresA += a[i]! ** 2;
    squaresB += b[i]! ** 2;
  }
  const value = dot / (Math.sqrt(squaresA) * Math.sqrt(squaresB));
  if (!Number.isFinite(value)) throw new ModelOutputInvalid('not_finite', 'an embedding is zero or holds values that are not finite');
  return Math.max(-1, Math.min(1, value));
}
