/** @jest-environment ./test/parity/onnx-environment.js */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VisionLanguage } from '../../engine/inference/language/vision-language.js';
import { Encoder } from '../../engine/inference/encoders.js';
import { ImageDistance } from '../../engine/inference/image-distance.js';
import { checkModelFolder } from '../../engine/inference/check-model-folder.js';
import type { ModelKind } from '../../engine/inference/model-layouts.js';
import { resizeLikePillow } from '../../engine/inference/pil-resize.js';
import { loadPreprocessor, pixelValues } from '../../engine/inference/pixel-values.js';
import { Sessions } from '../../engine/inference/sessions.js';
import { VitMae } from '../../engine/inference/vit-mae.js';
import { cosine, decodePixels } from '../../engine/metrics/index.js';
import { maxDifference } from './goldens.js';

type Vectors = Record<string, number[]>;
interface Goldens {
  pictures: Record<string, string>;
  resampling: Array<{ picture: string; width: number; height: number; resample: number; rgbBase64: string }>;
  processors: Array<{ name: string; config: object; picture: string; height: number; width: number; float32Base64: string }>;
  clip: { logitScale: number; texts: Vectors; images: Vectors; logitsPerImage: Vectors };
  dinov2: { images: Vectors; inHalf: Vectors };
  vitMae: Record<string, Vectors>;
  vqa: { cases: Array<{ picture: string; caption: string; probability: number }> };
  lpips: Array<{ net: string; picture: string; referencePngBase64: string; distance: number }>;
}

const GOLDENS = fileURLToPath(new URL('../../models/reference/goldens', import.meta.url));
/** Made by models/reference/scores.py. */
const goldens = JSON.parse(readFileSync(join(GOLDENS, 'scores.json'), 'utf8')) as Goldens;
const folder = (name: string): string => join(GOLDENS, 'scores-models', name);
const picture = (name: string): Buffer => Buffer.from(goldens.pictures[name]!, 'base64');
const NAMES = Object.keys(goldens.clip.images);
const sessions = new Sessions({ provider: 'cpu', device: 0, threads: 1 });

const largest = (pairs: Array<[ArrayLike<number>, number[]]>): number => Math.max(...pairs.map(([a, b]) => maxDifference(a, b)));

describe('pixel values', () => {
  test.each(goldens.resampling)("$picture at $width x $height by filter $resample: Pillow's bytes", async (golden) => {
    const resized = resizeLikePillow(await decodePixels(picture(golden.picture)), golden, golden.resample);
    expect(Buffer.from(resized.data).equals(Buffer.from(golden.rgbBase64, 'base64'))).toBe(true);
  });

  test.each(goldens.processors)("$name, $picture: transformers' values within 1e-6", async ({ config, picture: name, ...golden }) => {
    const work = await mkdtemp(join(tmpdir(), 'preprocessor-'));
    try {
      await writeFile(join(work, 'preprocessor_config.json'), JSON.stringify(config));
      const { data, height, width } = await pixelValues(picture(name), await loadPreprocessor(work));
      expect([height, width]).toEqual([golden.height, golden.width]);
      const bytes = Uint8Array.from(Buffer.from(golden.float32Base64, 'base64'));
      expect(maxDifference(data, new Float32Array(bytes.buffer))).toBeLessThan(1e-6);
    } finally {
      await rm(work, { recursive: true });
    }
  });
});

describe('embeddings and scores, within 1e-5', () => {
  test.each(['clip', 'clip-split'])("%s: transformers' CLIP", async (name) => {
    const encoder = await Encoder.load(folder(name), sessions);
    const captions = Object.keys(goldens.clip.texts);
    const images = await encoder.embedImages(NAMES.map(picture), 'exact');
    const texts = await encoder.embedTexts(captions, 'exact');
    expect(largest(images.map((image, i) => [image, goldens.clip.images[NAMES[i]!]!]))).toBeLessThan(1e-5);
    expect(largest(texts.map((text, i) => [text, goldens.clip.texts[captions[i]!]!]))).toBeLessThan(1e-5);
    const cosines = images.map((image) => texts.map((text) => cosine(image, text)));
    const expected = NAMES.map((one) => goldens.clip.logitsPerImage[one]!.map((logit) => logit / goldens.clip.logitScale));
    expect(largest(cosines.map((row, i) => [row, expected[i]!]))).toBeLessThan(1e-5);
    expect(Math.abs(cosines[0]![0]! - cosines[2]![1]!)).toBeGreaterThan(1e-3);
  });

  test("dinov2: the class token is transformers' pooler_output", async () => {
    const images = await (await Encoder.load(folder('dinov2'), sessions)).embedImages(NAMES.map(picture), 'exact');
    expect(largest(images.map((image, i) => [image, goldens.dinov2.images[NAMES[i]!]!]))).toBeLessThan(1e-5);
  });

  test('dinov2 in half precision: what ONNX Runtime in Python gives, and near to the whole', async () => {
    const images = await (await Encoder.load(folder('dinov2-fp16'), sessions)).embedImages(NAMES.map(picture), 'exact');
    expect(largest(images.map((image, i) => [image, goldens.dinov2.inHalf[NAMES[i]!]!]))).toBeLessThan(1e-5);
    expect(largest(images.map((image, i) => [image, goldens.dinov2.images[NAMES[i]!]!]))).toBeLessThan(1e-2);
  });

  test.each(Object.keys(goldens.vitMae))("%s: the mean of transformers' features under torch's noise", async (name) => {
    const encoder = await VitMae.load(folder(name), sessions);
    const expected = Object.entries(goldens.vitMae[name]!);
    const means = await encoder.features(
      expected.map(([one]) => ({ image: picture(one), noiseSeed: 0 })),
      'exact',
    );
    expect(largest(means.map((mean, i) => [mean, expected[i]![1]]))).toBeLessThan(1e-5);
  });

  test.each(goldens.lpips)("lpips by $net on $picture: the package's formula", async ({ net, distance, ...pair }) => {
    const model = await ImageDistance.load(folder(`lpips-${net}`), sessions);
    const reference = Buffer.from(pair.referencePngBase64, 'base64');
    const [value] = await model.distances([{ image: picture(pair.picture), reference }], 'exact');
    expect(Math.abs(value! - distance)).toBeLessThan(1e-5);
  });
});

describe('the probability of yes', () => {
  let model: VisionLanguage;
  beforeAll(async () => void (model = await VisionLanguage.load(folder('vision-language'), { provider: 'cpu', device: 0, threads: 1 })));
  afterAll(() => model.release());

  test.each(goldens.vqa.cases)(
    "$picture, $caption: transformers', within 1e-4 of itself",
    async ({ picture: name, caption, probability }) => {
      const question = `Does this figure show "${caption}"? Please answer yes or no.`;
      const value = await model.probabilityOfYes({ image: picture(name), question });
      expect(Math.abs(value / probability - 1)).toBeLessThan(1e-4);
    },
  );

  test('a folder of another kind is refused', async () => {
    await expect(VisionLanguage.load(folder('clip'), { provider: 'cpu', device: 0 })).rejects.toThrow(
      /cannot be loaded as a vision-language model/,
    );
  });
});

test.each<[string, ModelKind]>([
  ['clip', 'image-text'],
  ['clip-split', 'image-text'],
  ['clip', 'image'],
  ['dinov2', 'image'],
  ['dinov2-fp16', 'image'],
  ['vit-mae', 'vit-mae'],
  ['lpips-vgg', 'image-distance'],
  ['vision-language', 'vision-language'],
])('%s passes for %s before a run', async (name, kind) => {
  await checkModelFolder(folder(name), kind);
});

test('what is not of the kind says so', async () => {
  const dinov2 = await Encoder.load(folder('dinov2'), sessions);
  await expect(dinov2.embedTexts(['a creature'], 'exact')).rejects.toThrow(/dinov2 has no text model/);
  await expect(VitMae.load(folder('dinov2'), sessions)).rejects.toThrow(/export it with noise as an input/);
  await expect(ImageDistance.load(folder('dinov2'), sessions)).rejects.toThrow(/has no input image/);
  await expect(checkModelFolder(folder('dinov2'), 'image-text')).rejects.toThrow(
    /tokenizer.json is missing; tokenizer_config.json is missing/,
  );
});
