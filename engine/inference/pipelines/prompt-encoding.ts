import type { PromptText } from '../../../core/policy/refine.js';
import type { Tokens } from '../../../core/types.js';
import type { ClipTokenizer, EncodedPrompt } from '../clip-tokenizer.js';
import type { FloatTensor, OnnxModel } from '../onnx-model.js';

const { fround } = Math;

/** float32 [1, tokens, width]: a multiple of the encoder's context in `chunk`, one context otherwise. */
export interface PromptStates {
  states: FloatTensor;
  tokens: Tokens;
}

/**
 * A prompt as the UNet reads it. `chunk`: the tokens in windows of the encoder's context, each with its own start and end, one after the
 * other. `blend`: each text encoded by itself, the states added up by weight (weights sum to 1).
 */
export async function encodePrompt(prompt: PromptText, tokenizer: ClipTokenizer, encoder: OnnxModel): Promise<PromptStates> {
  if (typeof prompt === 'string') return encodeOne(tokenizer.encode(prompt), encoder);
  if ('chunk' in prompt) {
    const windows = tokenizer.encodeWindows(prompt.chunk);
    return { states: await encodeWindows(windows, encoder), tokens: totalTokens(windows) };
  }
  const encoded = prompt.blend.map(({ text }) => tokenizer.encode(text));
  const states: FloatTensor[] = [];
  for (const one of encoded) states.push((await encodeOne(one, encoder)).states);
  const total = prompt.blend.reduce((sum, { weight }) => sum + weight, 0);
  const weights = prompt.blend.map(({ weight }) => fround(weight / total));
  return { states: weightedSum(states, weights), tokens: totalTokens(encoded) };
}

/** The negative prompt, as long as the prompt that it stands beside: a chunked prompt is matched window by window, the rest empty. */
export async function encodeNegative(
  text: string,
  prompt: FloatTensor,
  tokenizer: ClipTokenizer,
  encoder: OnnxModel,
): Promise<FloatTensor> {
  const windows = prompt.dims[1]! / tokenizer.maxLength;
  if (windows === 1) return (await encodeOne(tokenizer.encode(text), encoder)).states;
  const encoded = tokenizer.encodeWindows(text).slice(0, windows);
  while (encoded.length < windows) encoded.push(tokenizer.encode(''));
  return encodeWindows(encoded, encoder);
}

async function encodeOne({ ids, used, cut }: EncodedPrompt, encoder: OnnxModel): Promise<PromptStates> {
  return { states: await encoder.run({ input_ids: encoder.tensor('input_ids', ids, [1, ids.length]) }), tokens: { used, cut } };
}

async function encodeWindows(windows: EncodedPrompt[], encoder: OnnxModel): Promise<FloatTensor> {
  const parts: FloatTensor[] = [];
  for (const window of windows) parts.push((await encodeOne(window, encoder)).states);
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  const [, length = 0, width = 0] = parts[0]!.dims;
  return { data, dims: [1, length * parts.length, width] };
}

function weightedSum(states: FloatTensor[], weights: number[]): FloatTensor {
  const data = new Float32Array(states[0]!.data.length);
  states.forEach((one, k) => one.data.forEach((x, i) => (data[i] = data[i]! + fround(weights[k]! * x))));
  return { data, dims: states[0]!.dims };
}

function totalTokens(encoded: EncodedPrompt[]): Tokens {
  return { used: encoded.reduce((sum, e) => sum + e.used, 0), cut: encoded.reduce((sum, e) => sum + e.cut, 0) };
}
