/** @jest-environment ./test/parity/onnx-environment.js */
import { ClipTokenizer } from '../../engine/inference/clip-tokenizer.js';
import { encodeNegative, encodePrompt, type TextTower } from '../../engine/inference/pipelines/prompt-encoding.js';
import { Sessions } from '../../engine/inference/sessions.js';
import type { FloatTensor } from '../../engine/inference/onnx-model.js';
import { golden, maxDifference, packPath } from './goldens.js';

const { chunk, blend } = golden<{
  chunk: { text: string; contentTokens: number; states: number[][] };
  blend: { texts: [string, string]; weights: [number, number]; states: number[][] };
}>('prompts');
const sessions = new Sessions({ provider: 'cpu', device: 0 });
const towers = async (): Promise<TextTower[]> => [
  {
    tokenizer: await ClipTokenizer.load(packPath('diffusion/tokenizer')),
    encoder: await sessions.load(packPath('diffusion/text_encoder/model.onnx')),
    states: 'last_hidden_state',
  },
];

/** The first four numbers of every state. */
const heads = ({ data, dims }: FloatTensor) =>
  Array.from({ length: dims[1]! }, (_, i) => [...data.slice(i * dims[2]!, i * dims[2]! + 4)]).flat();

test('a long prompt in windows is encoded as the reference does, and nothing is cut', async () => {
  const encoders = await towers();
  const { states, tokens } = await encodePrompt({ chunk: chunk.text }, encoders);
  const windows = Math.ceil(chunk.contentTokens / 75);
  expect(windows).toBeGreaterThan(2);
  expect(states.dims[1]).toBe(windows * 77);
  expect(tokens).toEqual({ used: chunk.contentTokens + 2 * windows, cut: 0 });
  expect(maxDifference(heads(states), chunk.states.flat())).toBeLessThan(1e-5);
  // The same text as one: what does not fit is cut and counted.
  expect((await encodePrompt(chunk.text, encoders)).tokens).toEqual({ used: 77, cut: chunk.contentTokens - 75 });
});

test('300 words in windows cut nothing; the negative prompt is as long as the prompt', async () => {
  const encoders = await towers();
  const prompt = await encodePrompt({ chunk: 'round '.repeat(300) }, encoders);
  expect(prompt.tokens.cut).toBe(0);
  expect(prompt.tokens.used).toBeGreaterThanOrEqual(300);
  expect((await encodeNegative('blurry', prompt, encoders)).states.dims).toEqual(prompt.states.dims);
});

test('what of a negative prompt does not fit beside the prompt is counted', async () => {
  const encoders = await towers();
  const { contentTokens, text } = chunk;
  for (const [prompt, windows] of [
    ['round', 1],
    [{ chunk: 'round '.repeat(100) }, 2],
  ] as const) {
    const { tokens } = await encodeNegative(text, await encodePrompt(prompt, encoders), encoders);
    expect(tokens).toEqual({ used: 77 * windows, cut: contentTokens - 75 * windows });
  }
});

test('a blend is the weighted sum of its parts as the reference has it', async () => {
  const encoders = await towers();
  const prompt = { blend: blend.texts.map((text, i) => ({ text, weight: blend.weights[i]! })) };
  const { states } = await encodePrompt(prompt, encoders);
  expect(maxDifference(heads(states), blend.states.flat())).toBeLessThan(1e-5);
  const alone = await encodePrompt(
    {
      blend: [
        { text: blend.texts[0], weight: 1 },
        { text: 'x', weight: 0 },
      ],
    },
    encoders,
  );
  expect([...alone.states.data]).toEqual([...(await encodePrompt(blend.texts[0], encoders)).states.data]);
});
