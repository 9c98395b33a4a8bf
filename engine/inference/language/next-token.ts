import type { Decoding } from '../../../core/decoding.js';
import type { TorchRandom } from '../torch-random.js';

/**
 * Changes scores (logits or log-probabilities, [vocabulary]) of the next token by what stands before it, in transformers' order:
 * repetition penalty, then n-grams. `before`: what was read and written.
 */
export function applyRules(scores: Float32Array, before: readonly number[], { repetitionPenalty, noRepeatNgramSize }: Decoding): void {
  if (repetitionPenalty !== 1) {
    for (const token of new Set(before)) {
      const score = scores[token];
      if (score !== undefined) scores[token] = score < 0 ? score * repetitionPenalty : score / repetitionPenalty;
    }
  }
  for (const token of repeatedNgramEnds(before, noRepeatNgramSize)) scores[token] = -Infinity;
}

/** Tokens that would end an n-gram which stands in the text already. */
function* repeatedNgramEnds(before: readonly number[], size: number): Generator<number> {
  if (size === 0 || before.length < size) return;
  const start = before.length - (size - 1);
  for (let at = 0; at + size <= before.length; at++) {
    let same = 0;
    while (same < size - 1 && before[at + same] === before[start + same]) same++;
    if (same === size - 1) yield before[at + size - 1]!;
  }
}

/** Place of the largest; of equals the first. */
export function argmax(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/** Temperature, then the k likeliest, then the likeliest of a total probability (Holtzman et al., arXiv 1904.09751); changes the scores. */
export function narrow(scores: Float32Array, { temperature, topK, topP }: Decoding): void {
  if (temperature !== 1) scores.forEach((score, i) => (scores[i] = score / temperature));
  if (topK !== null && topK < scores.length) {
    const least = Float32Array.from(scores).sort().at(-topK)!;
    scores.forEach((score, i) => score < least && (scores[i] = -Infinity));
  }
  if (topP < 1) {
    const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[a]! - scores[b]!);
    const largest = scores[order.at(-1)!]!;
    const total = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
    let below = 0;
    for (const i of order.subarray(0, -1)) {
      below += Math.exp(scores[i]! - largest) / total;
      if (below > 1 - topP) break;
      scores[i] = -Infinity;
    }
  }
}

/**
 * A sample of the scores' softmax: the largest after Gumbel's noise (Gumbel 1954), one number of torch's stream for each token. torch.multinomial
 * has the same distribution and other draws, which depend on how torch was built.
 */
export function sample(scores: Float32Array, random: TorchRandom): number {
  for (let i = 0; i < scores.length; i++) scores[i]! -= Math.log(-Math.log(random.uniform() || 2 ** -25));
  return argmax(scores);
}

/** Scores as log-probabilities. */
export function logSoftmax(logits: Float32Array): Float32Array {
  const shift = logSumExp(logits);
  return logits.map((logit) => logit - shift);
}

/** Probability that the next token is one of these, 0 to 1; NaN where the logits are not finite. */
export function probabilityOf(ids: readonly number[], logits: Float32Array): number {
  const shift = logSumExp(logits);
  return Math.min(
    1,
    ids.reduce((sum, id) => sum + Math.exp(logits[id]! - shift), 0),
  );
}

/** Logarithm of the sum of e^logit: in double precision, and shifted by the largest logit, so that nothing overflows. */
function logSumExp(logits: Float32Array): number {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
}
