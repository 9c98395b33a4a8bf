import type { Decoding } from '../../core/decoding.js';
import type { LocalWriting, RunManifest } from '../../core/recipe.js';
import { sampleDrawOf, textDrawOf } from '../../core/refine-loop.js';
import { seedOf } from '../../core/seeds.js';
import type { StepAt } from '../../core/types.js';
import type { ItemRef } from '../types.js';

/** What a step's key holds of how a model on a device writes. */
export interface WritingParams {
  maxNewTokens: number;
  /** `null`: the likeliest words. */
  sampleSeed: number | null;
  /** Absent where the recipe leaves all at its default. */
  decoding?: Partial<Decoding>;
}

/** Without sampling a model writes the same again: a new draw of unusable output, and every candidate but the first, is sampled. */
export function writingParams(
  { recipe }: RunManifest,
  { maxNewTokens, decoding }: LocalWriting,
  { id }: ItemRef,
  at: StepAt,
): WritingParams {
  const samples = decoding?.doSample === true || textDrawOf(at) > 0;
  return { maxNewTokens, sampleSeed: samples ? seedOf(recipe.seed, id, sampleDrawOf(at)) : null, ...(decoding ? { decoding } : {}) };
}

/** Of a step's params. */
export const writingOf = ({ maxNewTokens, sampleSeed, decoding }: WritingParams): WritingParams => ({
  maxNewTokens,
  sampleSeed,
  ...(decoding ? { decoding } : {}),
});
