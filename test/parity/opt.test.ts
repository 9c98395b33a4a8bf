/** @jest-environment ./test/parity/onnx-environment.js */
import { OptFeedback } from '../../engine/inference/opt-feedback.js';
import { Sessions } from '../../engine/inference/sessions.js';
import { VitMae } from '../../engine/inference/vit-mae.js';
import { golden, maxDifference, packPath } from './goldens.js';

const { cases, meanPatch } = golden<{
  cases: Array<{ caption: string; features: number[]; ids: number[]; text: string }>;
  meanPatch: { pngBase64: string; noiseSeed: number; features: number[] };
}>('opt');
const options = { provider: 'cpu', device: 0, threads: 2 };

test.each(cases)(
  "the paper's prompt on $caption: the same tokens and the same words as transformers",
  async ({ caption, features, ids, text }) => {
    const critic = await OptFeedback.load(packPath('opt'), options);
    const request = { caption, features: Float32Array.from(features) };
    expect(critic.promptIds(request)).toEqual(ids);
    const written = await critic.write({ ...request, maxNewTokens: 48, sampleSeed: null });
    expect(written.text).toBe(text);
  },
);

test('the mean of what ViT-MAE sees, under noise with a seed', async () => {
  const encoder = await VitMae.load(packPath('vit-mae'), new Sessions(options));
  const [image, { noiseSeed }] = [Buffer.from(meanPatch.pngBase64, 'base64'), meanPatch];
  const means = await encoder.features(
    [noiseSeed, noiseSeed + 1].map((seed) => ({ image, noiseSeed: seed })),
    'exact',
  );
  expect(maxDifference(means[0]!, meanPatch.features)).toBeLessThan(1e-5);
  expect(maxDifference(means[0]!, means[1]!)).toBeGreaterThan(1e-4);
});

test('a seed samples: the same one the same words, another one others', async () => {
  const critic = await OptFeedback.load(packPath('opt'), options);
  const { caption, features } = cases[0]!;
  const write = async (sampleSeed: number) =>
    (await critic.write({ caption, features: Float32Array.from(features), maxNewTokens: 24, sampleSeed })).text;
  expect(await write(1)).toBe(await write(1));
  expect(new Set([await write(1), await write(2), await write(3)]).size).toBeGreaterThan(1);
});
