import type { Decoding } from '../../../core/decoding.js';
import { decode, type Branch, type DecodeRequest, type TokenModel } from './decode.js';

export interface WriteOptions {
  maxNewTokens: number;
  /** `null`: the likeliest words. A number: sampled with this seed of torch's. */
  sampleSeed: number | null;
  /** What differs from the default; see core/decoding.ts. */
  decoding?: Partial<Decoding>;
}

export interface WrittenFeedback {
  /** May be empty: whether it is of use is judged where all sources are (core/policy/usable-feedback.ts). */
  text: string;
  /** `used`: tokens read and written together. */
  tokens: { used: number };
  /** What a prompt of the model's own says beside the data. */
  instructions?: string;
}

/** Has a text written and cut at its end. `read`: tokens that the model has read. */
export async function writeText<S>(
  model: TokenModel<S>,
  start: Branch<S>,
  { maxNewTokens, sampleSeed, decoding = {} }: WriteOptions,
  request: Pick<DecodeRequest, 'prompt' | 'endIds' | 'toText' | 'signal'> & { read: number },
): Promise<WrittenFeedback> {
  const ids = await decode(model, start, { ...request, maxNewTokens, sampleSeed, decoding });
  const whole = request.toText(request.endIds.includes(ids.at(-1)!) ? ids.slice(0, -1) : ids);
  const stops = (decoding.stopStrings ?? []).map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
  return { text: whole.slice(0, Math.min(whole.length, ...stops)).trim(), tokens: { used: request.read + ids.length } };
}
