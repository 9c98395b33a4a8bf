import type { Decoding } from '../../../core/decoding.js';
import { decode, type DecodeRequest, type TokenModel } from './decode.js';

/** A language of six tokens whose next one depends on the last alone: probabilities by row. Token 0 ends a text. */
const NEXT = [
  [1, 0, 0, 0, 0, 0],
  [0.05, 0, 0.5, 0.45, 0, 0],
  [0.2, 0.32, 0, 0.2, 0.28, 0],
  [0.9, 0, 0, 0, 0.1, 0],
  [0.01, 0.01, 0.96, 0.01, 0, 0.01],
  [0.5, 0.1, 0.1, 0.1, 0.1, 0.1],
];
const logitsAfter = (token: number) => Float32Array.from(NEXT[token]!, (p) => Math.log(p || 1e-6));

/** Counts its calls, and the texts in each. */
class Bigrams implements TokenModel<number> {
  readonly calls: number[] = [];
  next(texts: ReadonlyArray<{ state: number; token: number }>) {
    this.calls.push(texts.length);
    return Promise.resolve(texts.map(({ token }) => ({ state: token, logits: logitsAfter(token) })));
  }
}

const start = { state: 1, logits: logitsAfter(1) };
function write(decoding: Partial<Decoding> = {}, more: Partial<DecodeRequest> = {}, model = new Bigrams()) {
  const toText = (ids: readonly number[]) => ids.map((id) => 'xabcde'[id]).join('');
  return decode(model, start, { prompt: [1], maxNewTokens: 8, endIds: [0], toText, decoding, sampleSeed: null, ...more });
}

test('the likeliest token each time, one call a token', async () => {
  const model = new Bigrams();
  expect(await write({}, {}, model)).toEqual([2, 1, 2, 1, 2, 1, 2, 1]);
  expect(model.calls).toEqual([1, 1, 1, 1, 1, 1, 1]);
});

test('beams find the text that is likelier as a whole', async () => {
  // 1 -> 3 -> 0 has 0.45 x 0.9, and every text that begins with 2 less.
  expect(await write({ numBeams: 3, lengthPenalty: 0 })).toEqual([3, 0]);
});

test('a length penalty above 1 favours long texts', async () => {
  const long = await write({ numBeams: 3, lengthPenalty: 4 });
  expect(long.length).toBeGreaterThan(2);
});

test('no n-gram stands there twice, and what was said becomes less likely', async () => {
  expect(await write({ noRepeatNgramSize: 2 })).toEqual([2, 1, 3, 0]);
  expect(await write({ repetitionPenalty: 3 })).toEqual([2, 4, 2, 0]);
});

test('any of the ends ends a text, and so does a stop string', async () => {
  expect(await write({}, { endIds: [5, 1] })).toEqual([2, 1]);
  expect(await write({ stopStrings: ['zz', 'ba'] })).toEqual([2, 1]);
});

test('a seed samples: the same one the same, within the likeliest where they are narrowed', async () => {
  const texts = await Promise.all(Array.from({ length: 20 }, (_, seed) => write({}, { sampleSeed: seed })));
  expect(new Set(texts.map(String)).size).toBeGreaterThan(5);
  expect(await write({}, { sampleSeed: 3 })).toEqual(texts[3]);
  const greedy = await write();
  for (const narrow of [{ topK: 1 }, { topP: 0.01 }, { temperature: 0.001 }])
    expect(await write(narrow, { sampleSeed: 3 })).toEqual(greedy);
});

test('it ends between tokens, and numbers that are none are no text', async () => {
  const reason = new Error('cancelled');
  await expect(write({}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const broken: TokenModel<number> = { next: (texts) => Promise.resolve(texts.map(() => ({ state: 0, logits: Float32Array.of(NaN) }))) };
  await expect(
    decode(broken, start, { prompt: [], maxNewTokens: 4, endIds: [0], toText: String, decoding: {}, sampleSeed: null }),
  ).rejects.toMatchObject({ code: 'ModelOutputInvalid' });
});
