import { InvalidInput, ModelOutputInvalid } from '../../core/errors.js';
import { METRICS } from '../../core/item-plan.js';
import { cosine } from './cosine.js';
import { decodePair } from './pixels.js';
import { psnr } from './psnr.js';
import { ssim } from './ssim.js';

/** What a score is computed from; each metric reads what it needs. */
export interface ScoreInput {
  /** Encoded bytes of the generated picture. */
  image: Uint8Array;
  /** Encoded bytes of the true picture, where the item has one. */
  trueImage?: Uint8Array;
  /** The generated picture by the metric's encoder: float32 vector of the encoder's width; of a judgement its one number. */
  imageEmbedding?: Float32Array;
  /** What it is compared with by the same encoder: the caption (`clip_text`) or the true picture (`image_similarity`). */
  referenceEmbedding?: Float32Array;
}

export type Scorer = (input: ScoreInput) => Promise<number>;

/** One function a metric, under the names of core's `METRICS`. */
export const scorers = {
  clip_text: async (input) => embeddingCosine('clip_text', input),
  image_similarity: async (input) => embeddingCosine('image_similarity', input),
  clip_image: async (input) => embeddingCosine('clip_image', input),
  dinov2: async (input) => embeddingCosine('dinov2', input),
  vit_mae: async (input) => embeddingCosine('vit_mae', input),
  lpips: async (input) => judgement('lpips', input),
  vqa: async (input) => judgement('vqa', input),
  ssim: async (input) => pixelScore('ssim', input, ssim),
  psnr: async (input) => pixelScore('psnr', input, psnr),
} satisfies Record<string, Scorer>;

export type MetricName = keyof typeof scorers;

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(scorers, name);
}

/**
 * Scores one picture by every metric of `names`. Metrics that compare with a true picture are left out where the item has none.
 * @param embeddings by metric: the generated picture's vector; @param references by metric: what it is compared with
 * @throws InvalidInput for an unknown metric or a missing embedding
 */
export async function scoreImage(
  names: readonly string[],
  pictures: { image: Uint8Array; trueImage?: Uint8Array },
  embeddings: Record<string, Float32Array> = {},
  references: Record<string, Float32Array> = {},
): Promise<Record<string, number>> {
  const scores: Record<string, number> = {};
  for (const name of names) {
    if (!isMetricName(name)) throw new InvalidInput(`unknown metric ${name}; known: ${Object.keys(scorers).join(', ')}`);
    if (METRICS[name]!.needsTrueImage && !pictures.trueImage) continue;
    scores[name] = await scorers[name]({ ...pictures, imageEmbedding: embeddings[name], referenceEmbedding: references[name] });
  }
  return scores;
}

function embeddingCosine(metric: string, { imageEmbedding, referenceEmbedding }: ScoreInput): number {
  if (!imageEmbedding || !referenceEmbedding) throw new InvalidInput(`${metric} needs the embeddings of the picture and its reference`);
  return cosine(imageEmbedding, referenceEmbedding);
}

function judgement(metric: string, { imageEmbedding }: ScoreInput): number {
  const value = imageEmbedding?.[0];
  if (value === undefined) throw new InvalidInput(`${metric} needs the model's judgement`);
  if (!Number.isFinite(value)) throw new ModelOutputInvalid('not_finite', `the judgement for ${metric} is ${value}`);
  return value;
}

async function pixelScore(metric: string, { image, trueImage }: ScoreInput, score: typeof ssim): Promise<number> {
  if (!trueImage) throw new InvalidInput(`${metric} needs a true picture`);
  const pair = await decodePair(image, trueImage);
  return score(pair.image, pair.trueImage);
}
