/** @jest-environment ./test/parity/onnx-environment.js */
import { jest } from '@jest/globals';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { ClipTokenizer } from '../../engine/inference/clip-tokenizer.js';
import { checkModelFolder } from '../../engine/inference/check-model-folder.js';
import { TextToImage, type TextToImageRequest } from '../../engine/inference/pipelines/text-to-image.js';
import { toPng } from '../../engine/inference/picture.js';
import { Sessions } from '../../engine/inference/sessions.js';
import { TorchRandom } from '../../engine/inference/torch-random.js';
import { maxDifference, maxUlp, reference, referencePath } from './goldens.js';

interface Case {
  model: string;
  request: Partial<TextToImageRequest>;
  imageShape: [number, number, number];
  imageBase64: string;
}
const cases = reference<{
  textToImage: Array<Case & { what: string }>;
  imageToImage: Array<Case & { strength: number }>;
  tiled: Case[];
  distilled: Case[];
  half: Case[];
  safety: Array<{ model: string; request: Partial<TextToImageRequest>; blocked: boolean }>;
  tokens: Array<{ model: string; text: string; ids: number[] }>;
  noise: Array<{ dtype: 'float32' | 'float16'; size: number; draws: number[][] }>;
}>('diffusion');

jest.setTimeout(120_000);

const loaded = new Map<string, Promise<TextToImage>>();
function pipeline(model: string): Promise<TextToImage> {
  const sessions = new Sessions({ provider: 'cpu', device: 0 });
  const one = loaded.get(model) ?? TextToImage.load(referencePath(`diffusion-models/${model}`), sessions);
  loaded.set(model, one);
  return one;
}

const ASKED: TextToImageRequest = {
  ...{ prompt: '', negativePrompt: '', scheduler: null, numInferenceSteps: 1, guidanceScale: 1, seed: 0, height: null, width: null },
};

/** Largest difference from the reference's pixels, and the peak signal-to-noise ratio in dB. */
async function compare(model: string, { request, imageShape, imageBase64 }: Case, more: Partial<TextToImageRequest> = {}) {
  const { png, width, height } = await (await pipeline(model)).generate({ ...ASKED, ...request, ...more });
  const pixels = await sharp(png).removeAlpha().raw().toBuffer();
  const expected = Buffer.from(imageBase64, 'base64');
  const most = maxDifference(pixels, expected);
  const psnr = 10 * Math.log10(255 ** 2 / (pixels.reduce((sum, p, i) => sum + (p - expected[i]!) ** 2, 0) / pixels.length));
  if (process.env['PARITY_FIGURES']) console.log(model, 'most', most, 'PSNR', psnr);
  expect([height, width, 3]).toEqual(imageShape);
  return { most, psnr };
}

async function expectPicture(one: Case, more: Partial<TextToImageRequest> = {}): Promise<void> {
  const { most, psnr } = await compare(one.model, one, more);
  expect(most).toBeLessThanOrEqual(1);
  expect(psnr).toBeGreaterThan(50);
}

/** The picture that the reference starts its edits from. */
async function firstPicture(): Promise<Uint8Array> {
  const { imageShape, imageBase64 } = cases.textToImage[0]!;
  return toPng(Buffer.from(imageBase64, 'base64'), imageShape[0], imageShape[1]);
}

test.each(cases.textToImage)('$model, $what: the picture of diffusers', (one) => expectPicture(one));

test.each(cases.imageToImage)('$model edits a picture with $request.scheduler, strength $strength, as diffusers does', async (one) =>
  expectPicture(one, { start: { image: await firstPicture(), strength: one.strength } }),
);

test('pictures that are edited side by side are those of one at a time', async () => {
  const image = await firstPicture();
  const asked = [1, 2, 3].map((seed) => ({
    request: { ...ASKED, ...cases.imageToImage[0]!.request, seed, start: { image, strength: 0.5 } },
    hooks: {},
  }));
  const model = await pipeline('sd1');
  const together = await model.generateAll(asked, 'exact');
  for (const [i, one] of together.entries()) {
    const alone = await model.generate(asked[i]!.request);
    expect(one).toMatchObject({ status: 'fulfilled', value: { png: alone.png } });
  }
});

test('a strength that leaves no step, a picture of another size and one that is none are refused with what to do', async () => {
  const model = await pipeline('sd1');
  const edit = (image: Uint8Array, strength: number) => model.generate({ ...ASKED, numInferenceSteps: 10, start: { image, strength } });
  await expect(edit(await firstPicture(), 0.05)).rejects.toThrow(/strength 0.05 of 10 steps leaves none/);
  await expect(edit(await toPng(new Uint8Array(48), 4, 4), 0.5)).rejects.toThrow(/is 4x4, asked for is 32x32/);
  await expect(edit(Uint8Array.of(1, 2, 3), 0.5)).rejects.toMatchObject({ code: 'InvalidInput' });
});

test.each(cases.tiled)('$request.width x $request.height in tiles: the picture of diffusers', (one) =>
  expectPicture(one, { vaeTiling: true }),
);

describe('a latent consistency model, whose UNet is told the guidance scale', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lcm-'));
    for (const part of ['tokenizer', 'text_encoder', 'vae_decoder']) {
      await symlink(referencePath(`diffusion-models/sd1/${part}`), join(folder, part));
    }
    for (const part of ['model_index.json', 'unet', 'scheduler'])
      await symlink(referencePath(`diffusion-models/lcm/${part}`), join(folder, part));
    loaded.set('lcm', TextToImage.load(folder, new Sessions({ provider: 'cpu', device: 0 })));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each(cases.distilled)('guidance $request.guidanceScale: the picture of diffusers', (one) => expectPicture(one));

  test('is whole before a run', () => expect(checkModelFolder(folder, 'text-to-image')).resolves.toBeUndefined());
});

test.each(cases.half)('in float16, noise included: near the picture that torch makes in float16', async (one) => {
  expect((await compare(one.model, one)).psnr).toBeGreaterThan(40);
});

test('in int8: near the picture of the whole weights', async () => {
  expect((await compare('sd1-int8', cases.textToImage[0]!)).psnr).toBeGreaterThan(25);
});

test("a part in lower precision under optimum's own name is that part", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'quantized-'));
  for (const part of ['model_index.json', 'tokenizer', 'text_encoder', 'vae_decoder', 'scheduler'])
    await symlink(referencePath(`diffusion-models/sd1-int8/${part}`), join(folder, part));
  await mkdir(join(folder, 'unet'));
  await symlink(referencePath('diffusion-models/sd1-int8/unet/config.json'), join(folder, 'unet/config.json'));
  await symlink(referencePath('diffusion-models/sd1-int8/unet/model.onnx'), join(folder, 'unet/model_quantized.onnx'));
  await checkModelFolder(folder, 'text-to-image');
  const sessions = new Sessions({ provider: 'cpu', device: 0 });
  const asked = { ...ASKED, ...cases.textToImage[0]!.request };
  const { png } = await (await TextToImage.load(folder, sessions)).generate(asked);
  expect(Buffer.from(png).equals((await (await pipeline('sd1-int8')).generate(asked)).png)).toBe(true);
  await sessions.release();
  await rm(folder, { recursive: true });
});

describe('with a safety checker in the folder', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safety-'));
    for (const model of ['sd1', 'sd2', 'sdxl']) {
      const parts = ['model_index.json', 'tokenizer', 'tokenizer_2', 'text_encoder', 'text_encoder_2', 'unet', 'vae_decoder', 'scheduler'];
      await mkdir(join(folder, model));
      for (const part of parts) await symlink(referencePath(`diffusion-models/${model}/${part}`), join(folder, model, part));
      for (const part of ['safety_checker', 'feature_extractor'])
        await symlink(referencePath(`diffusion-models/safety/${part}`), join(folder, model, part));
    }
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each(cases.safety)('$model, $request.seed: blocked where diffusers blocks ($blocked)', async ({ model, request, blocked }) => {
    const sessions = new Sessions({ provider: 'cpu', device: 0 });
    const picture = (await TextToImage.load(join(folder, model), sessions)).generate({ ...ASKED, ...request });
    if (blocked) await expect(picture).rejects.toMatchObject({ code: 'ModelOutputInvalid', reason: 'blocked' });
    else await expect(picture).resolves.toMatchObject({ width: 32 });
    await sessions.release();
  });
});

test.each(cases.tokens)('$model, no tokenizer.json: the ids of transformers for $text', async ({ model, text, ids }) => {
  const tokenizer = await ClipTokenizer.load(referencePath(`diffusion-models/${model}/tokenizer`));
  expect(tokenizer.encode(text).ids).toEqual(ids);
});

test.each(cases.noise)('torch.randn($size) in $dtype and the draw after it', ({ dtype, size, draws }) => {
  const random = new TorchRandom(42);
  for (const [i, n] of [size, 16].entries()) expect(maxUlp(random.randn(n, dtype), draws[i]!)).toBe(0);
});
