/** @jest-environment ./test/parity/onnx-environment.js */
import { ClipTokenizer } from '../../engine/inference/clip-tokenizer.js';
import { encodeNegative, encodePrompt } from '../../engine/inference/pipelines/prompt-encoding.js';
import { Sessions } from '../../engine/inference/sessions.js';
import type { FloatTensor } from '../../engine/inference/onnx-model.js';
import { golden, maxDifference, packPath } from './goldens.js';

const { chunk, blend } = golden<{
  chunk: { text: string; contentTokens: number; states: number[][] };
  blend: { texts: [string, string]; weights: [number, number]; states: number[][] };
}>('prompts');
const sessions = new Sessions({ provider: 'cpu', device: 0 });
const parts = async () =>
  [await ClipTokenizer.load(packPath('diffusion/tokenizer')), await sessions.load(packPath('diffusion/text_encoder/model.onnx'))] as const;

/** The first four numbers of every state. */
const heads = ({ data, dims }: FloatTensor) =>
  Array.from({ length: dims[1]! }, (_, i) => [...data.slice(i * dims[2]!, i * dims[2]! + 4)]).flat();

test('a long prompt in windows is encoded as the reference does, and nothing is cut', async () => {
  const [tokenizer, encoder] = await parts();
  const { states, tokens } = await encodePrompt({ chunk: chunk.text }, tokenizer, encoder);
  const windows = Math.ceil(chunk.contentTokens / 75);
  expect(windows).toBeGreaterThan(2);
  expect(states.dims[1]).toBe(windows * 77);
  expect(tokens).toEqual({ used: chunk.contentTokens + 2 * windows, cut: 0 });
  expect(maxDifference(heads(states), chunk.states.flat())).toBeLessThan(1e-5);
  // The same text as one: what does not fit is cut and counted.
  expect((await encodePrompt(chunk.text, tokenizer, encoder)).tokens).toEqual({ used: 77, cut: chunk.contentTokens - 75 });
});

test('300 words in windows cut nothing; the negative prompt is as long as the prompt', async () => {
  const [tokenizer, encoder] = await parts();
  const { states, tokens } = await encodePrompt({ chunk: 'round '.repeat(300) }, tokenizer, encoder);
  expect(tokens.cut).toBe(0);
  expect(tokens.used).toBeGreaterThanOrEqual(300);
  expect((await encodeNegative('blurry', states, tokenizer, encoder)).dims).toEqual(states.dims);
});

test('a blend is the weighted sum of its parts as the reference has it', async () => {
  const [tokenizer, encoder] = await parts();
  const prompt = { blend: blend.texts.map((text, i) => ({ text, weight: blend.weights[i]! })) };
  const { states } = await encodePrompt(prompt, tokenizer, encoder);
  expect(maxDifference(heads(states), blend.states.flat())).toBeLessThan(1e-5);
  const alone = await encodePrompt(
    {
      blend: [
        { text: blend.texts[0], weight: 1 },
        { text: 'x', weight: 0 },
      ],
    },
    tokenizer,
    encoder,
  );
  expect([...alone.states.data]).toEqual([...(await encodePrompt(blend.texts[0], tokenizer, encoder)).states.data]);
});
