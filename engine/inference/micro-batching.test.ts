import { OutOfMemory } from '../../core/errors.js';
import type { Task } from './host-protocol.js';
import { batchKey, MicroBatcher, type Feed } from './micro-batching.js';
import type { OnnxModel } from './onnx-model.js';

/** Stands for the runtime: doubles its rows, and counts the rows of each call. `error`: what a batch of so many rows adds by rounding. */
function kernel(error: (rows: number) => number = () => 0) {
  const calls: number[] = [];
  const model = {
    tensor: (_name: string, values: ArrayLike<number>, dims: readonly number[]) => ({ values, dims }),
    run: ({ x }: Record<string, { values: ArrayLike<number>; dims: readonly number[] }>) => {
      const rows = x!.dims[0]!;
      calls.push(rows);
      return Promise.resolve({ data: Float32Array.from(x!.values, (value) => value * 2 + error(rows)), dims: x!.dims });
    },
  };
  return { calls, model: model as unknown as OnnxModel };
}
const feeds = (n: number, width = 2): Feed[] =>
  Array.from({ length: n }, (_, i) => ({ x: { values: Float32Array.from({ length: width }, () => i + 1), dims: [1, width] } }));
const firsts = (outputs: Array<{ data: Float32Array }>) => outputs.map(({ data }) => data[0]);

test('exact: a size is checked once, row by row, and used from then on', async () => {
  const { calls, model } = kernel();
  const batcher = new MicroBatcher(model);
  expect(firsts(await batcher.run(feeds(4), 'exact'))).toEqual([2, 4, 6, 8]);
  expect(calls).toEqual([1, 1, 1, 1, 4]);
  expect(firsts(await batcher.run(feeds(6), 'exact'))).toEqual([2, 4, 6, 8, 10, 12]);
  expect(calls.slice(5)).toEqual([4, 1, 1, 2]); // Two are left over: a size of its own.
  await batcher.run(feeds(7), 'exact');
  expect(calls.slice(9)).toEqual([4, 2, 1]);
});

test('exact: a size that rounds differently is never used, a smaller one that does not is', async () => {
  const { calls, model } = kernel((rows) => (rows > 2 ? 1e-3 : 0));
  const batcher = new MicroBatcher(model);
  expect(firsts(await batcher.run(feeds(4), 'exact'))).toEqual([2, 4, 6, 8]);
  expect(firsts(await batcher.run(feeds(4), 'exact'))).toEqual([2, 4, 6, 8]);
  expect(calls).toEqual([1, 1, 1, 1, 4, /* refused; two */ 1, 1, 2, 2]);
  expect(firsts(await batcher.run(feeds(4), 'exact'))).toEqual([2, 4, 6, 8]);
  expect(calls.slice(9)).toEqual([2, 2]);
});

test('fast: all at once, rounding or not; inputs of another shape apart; outputs in the order of the feeds', async () => {
  const { calls, model } = kernel((rows) => (rows > 1 ? 0.5 : 0));
  const mixed = [...feeds(2), ...feeds(1, 3), ...feeds(1)];
  const outputs = await new MicroBatcher(model).run(mixed, 'fast');
  expect(calls).toEqual([3, 1]);
  expect(firsts(outputs)).toEqual([2.5, 4.5, 2, 2.5]);
  expect(outputs.map(({ dims }) => dims)).toEqual([
    [1, 2],
    [1, 2],
    [1, 3],
    [1, 2],
  ]);
});

test('a batch that does not fit into memory is run one at a time', async () => {
  const { calls, model } = kernel((rows) => {
    if (rows > 1) throw new OutOfMemory('no room');
    return 0;
  });
  for (const batching of ['exact', 'fast'] as const) {
    expect(firsts(await new MicroBatcher(model).run(feeds(2), batching))).toEqual([2, 4]);
  }
  expect(calls).toEqual([1, 1, 2, 2, 1, 1]);
});

test('what may share a call: one model, one way of sampling, one size; texts never', () => {
  const picture = { model: 'm', prompt: 'a', negativePrompt: '', scheduler: null, numInferenceSteps: 4, guidanceScale: 5, seed: 1 };
  const generate = (extra: object = {}): Task => ({
    name: 'generate',
    request: { ...picture, height: null, width: null, batching: 'exact', ...extra },
  });
  const key = batchKey(generate());
  for (const same of [{ prompt: 'b' }, { seed: 2 }, { guidanceScale: 7 }, { negativePrompt: 'x' }])
    expect(batchKey(generate(same))).toBe(key);
  const checkpoint = { done: 5, latents: new Float32Array(1), scheduler: [] };
  const others = [
    { model: 'n' },
    { guidanceScale: 1 },
    { numInferenceSteps: 5 },
    { height: 64 },
    { batching: 'fast' },
    { resume: checkpoint },
    { start: { image: new Uint8Array(1), strength: 0.5 } },
  ];
  for (const other of others) expect(batchKey(generate(other))).not.toBe(key);
  expect(batchKey({ name: 'embedText', request: { model: 'm', text: 'a' } })).toBe(
    batchKey({ name: 'embedText', request: { model: 'm', text: 'b' } }),
  );
  expect(
    batchKey({
      name: 'writeFeedback',
      request: { model: 'm', caption: '', features: new Float32Array(), maxNewTokens: 1, sampleSeed: null },
    }),
  ).toBeNull();
});
