import type { PromptText } from '../../../core/policy/refine.js';
import type { Tokens } from '../../../core/types.js';
import type { ClipTokenizer, EncodedPrompt } from '../clip-tokenizer.js';
import type { FloatTensor, OnnxModel } from '../onnx-model.js';
import { parseWeights } from '../prompt-weights.js';

const { fround } = Math;

/** A text encoder and the tokenizer that belongs to it. Stable Diffusion XL has two, whose states stand side by side. */
export interface TextTower {
  tokenizer: ClipTokenizer;
  encoder: OnnxModel;
  /** Output that the UNet attends to. */
  states: string;
  /** Output that holds one vector for the whole text, where the UNet wants that too. */
  pooled?: string;
}

/** float32 [1, tokens, width]: a multiple of the encoder's context in `chunk`, one context otherwise. */
export interface PromptStates {
  states: FloatTensor;
  /** float32 [1, width] from the towers that have one; of a text in windows, the first window's. */
  pooled?: FloatTensor;
  tokens: Tokens;
}

/**
 * A prompt as the UNet reads it. `chunk`: the tokens in windows of the encoder's context, each with its own start and end, one after the
 * other. `blend`: each text encoded by itself, the states added up by weight (weights sum to 1). Tokens are counted by the first tower.
 * @param weighted whether `(word:1.3)` is a weight: the word's states z become e + 1.3 (z - e), e those of the empty prompt in its place
 */
export async function encodePrompt(prompt: PromptText, towers: readonly TextTower[], weighted = false): Promise<PromptStates> {
  if (typeof prompt !== 'string' && 'blend' in prompt) {
    const parts: PromptStates[] = [];
    for (const { text } of prompt.blend) parts.push(await encodePrompt(text, towers, weighted));
    const total = prompt.blend.reduce((sum, { weight }) => sum + weight, 0);
    const weights = prompt.blend.map(({ weight }) => fround(weight / total));
    const pooled = parts.flatMap((part) => part.pooled ?? []);
    return {
      states: weightedSum(
        parts.map(({ states }) => states),
        weights,
      ),
      ...(pooled.length > 0 ? { pooled: weightedSum(pooled, weights) } : {}),
      tokens: totalTokens(parts.map(({ tokens }) => tokens)),
    };
  }
  const text = typeof prompt === 'string' ? prompt : prompt.chunk;
  const pieces = weighted ? parseWeights(text) : text;
  return encodeWith(towers, ({ tokenizer }) => (typeof prompt === 'string' ? [tokenizer.encode(pieces)] : tokenizer.encodeWindows(pieces)));
}

/**
 * The negative prompt, as long as the prompt that it stands beside: a chunked prompt is matched window by window, the rest empty. What does not fit is cut
 * and counted.
 */
export async function encodeNegative(
  text: string,
  prompt: PromptStates,
  towers: readonly TextTower[],
  weighted = false,
): Promise<PromptStates> {
  const pieces = weighted ? parseWeights(text) : text;
  return encodeWith(towers, ({ tokenizer }) => {
    const count = prompt.states.dims[1]! / tokenizer.maxLength;
    const windows = tokenizer.encodeWindows(pieces, count);
    while (windows.length < count) windows.push(tokenizer.encode(''));
    return windows;
  });
}

/** What stands for the absence of a negative prompt where the model was trained so (`force_zeros_for_empty_prompt`). */
export function zerosLike({ states, pooled }: PromptStates): Omit<PromptStates, 'tokens'> {
  const zeros = ({ data, dims }: FloatTensor): FloatTensor => ({ data: new Float32Array(data.length), dims });
  return { states: zeros(states), ...(pooled ? { pooled: zeros(pooled) } : {}) };
}

async function encodeWith(towers: readonly TextTower[], windowsOf: (tower: TextTower) => EncodedPrompt[]): Promise<PromptStates> {
  const sides: FloatTensor[] = [];
  let pooled: FloatTensor | undefined;
  let tokens: Tokens | undefined;
  for (const tower of towers) {
    const windows = windowsOf(tower);
    const outputs: FloatTensor[][] = [];
    for (const window of windows) outputs.push(await encodeWindow(window, tower));
    sides.push(inARow(outputs.map(([states]) => states!)));
    pooled = outputs[0]![1] ?? pooled;
    tokens ??= totalTokens(windows);
  }
  return { states: sideBySide(sides), ...(pooled ? { pooled } : {}), tokens: tokens! };
}

/** The window's states, and its pooled vector where the tower has one. */
async function encodeWindow({ ids, weights }: EncodedPrompt, tower: TextTower): Promise<FloatTensor[]> {
  const { encoder, tokenizer } = tower;
  const outputs = [tower.states, ...(tower.pooled ? [tower.pooled] : [])];
  const run = (window: number[]) => encoder.runAll({ input_ids: encoder.tensor('input_ids', window, [1, window.length]) }, outputs);
  const [states, ...rest] = await run(ids);
  if (!weights) return [states!, ...rest];
  const [empty] = await run(tokenizer.encode('').ids);
  const width = states!.dims[2]!;
  const data = states!.data.map((z, i) => {
    const e = empty!.data[i]!;
    return e + fround(fround(weights[Math.floor(i / width)]!) * fround(z - e));
  });
  return [{ data, dims: states!.dims }, ...rest];
}

/** One window's states after the other. */
function inARow(parts: FloatTensor[]): FloatTensor {
  if (parts.length === 1) return parts[0]!;
  const [, length = 0, width = 0] = parts[0]!.dims;
  const data = new Float32Array(parts.length * length * width);
  parts.forEach((part, i) => data.set(part.data, i * length * width));
  return { data, dims: [1, length * parts.length, width] };
}

/** The towers' states of each token, one tower's after the other's. */
function sideBySide(sides: FloatTensor[]): FloatTensor {
  if (sides.length === 1) return sides[0]!;
  const length = sides[0]!.dims[1]!;
  const widths = sides.map(({ dims }) => dims[2]!);
  const total = widths.reduce((a, b) => a + b);
  const data = new Float32Array(length * total);
  let from = 0;
  sides.forEach((side, k) => {
    const width = widths[k]!;
    for (let token = 0; token < length; token++) data.set(side.data.subarray(token * width, (token + 1) * width), token * total + from);
    from += width;
  });
  return { data, dims: [1, length, total] };
}

function weightedSum(states: FloatTensor[], weights: number[]): FloatTensor {
  const data = new Float32Array(states[0]!.data.length);
  states.forEach((one, k) => one.data.forEach((x, i) => (data[i] = data[i]! + fround(weights[k]! * x))));
  return { data, dims: states[0]!.dims };
}

function totalTokens(all: Tokens[]): Tokens {
  return { used: all.reduce((sum, { used }) => sum + used, 0), cut: all.reduce((sum, { cut }) => sum + cut, 0) };
}
