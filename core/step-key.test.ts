import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { canonicalJson } from './content-hash.js';
import { stepKey } from './step-key.js';
import type { StepKeyInput } from './types.js';

const INPUT: StepKeyInput = {
  step: 'generate',
  stepVersion: 1,
  inputs: ['sha256:aa'],
  params: { prompt: 'a cat', seed: 7 },
  model: 'sha256:bb',
  runtime: { engine: 'onnxruntime-node', version: '1.30.0', provider: 'cpu', precision: 'fp32', batching: 'exact' },
  draw: 0,
};

test('a key is the SHA-256 of the canonical JSON of what the step depends on', () => {
  const text =
    '{"draw":0,"inputs":["sha256:aa"],"model":"sha256:bb","params":{"prompt":"a cat","seed":7},' +
    '"runtime":{"batching":"exact","engine":"onnxruntime-node","precision":"fp32","provider":"cpu","version":"1.30.0"},"step":"generate","stepVersion":1}';
  expect(stepKey(INPUT)).toBe(createHash('sha256').update(text).digest('hex'));
});

test('a key does not depend on the order of fields, nor on fields that are none of its own', () => {
  const shuffled = Object.fromEntries(Object.entries({ ...INPUT, runId: 'x', path: '/y' }).reverse()) as unknown as StepKeyInput;
  expect(stepKey(shuffled)).toBe(stepKey(INPUT));
});

test('every field of a step changes its key', () => {
  const others: Array<Partial<StepKeyInput>> = [
    { step: 'embed' },
    { stepVersion: 2 },
    { inputs: [] },
    { params: { prompt: 'a cat', seed: 8 } },
    { model: null },
    { runtime: null },
    { draw: 1 },
  ];
  const keys = [{}, ...others].map((change) => stepKey({ ...INPUT, ...change }));
  expect(new Set(keys).size).toBe(keys.length);
});

test('canonical JSON reads back as the value it was made of', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))));
});
