/** @jest-environment ./test/parity/onnx-environment.js */
import { jest } from '@jest/globals';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { SchedulerName } from '../../core/recipe.js';
import { TextToImage, type TextToImageRequest } from '../../engine/inference/pipelines/text-to-image.js';
import { Sessions } from '../../engine/inference/sessions.js';
import { golden, maxDifference, packPath } from './goldens.js';

interface Case {
  scheduler: SchedulerName;
  config: object;
  prompt: string;
  seed: number;
  numInferenceSteps: number;
  guidanceScale: number;
  negativePrompt: string;
  latents: number[];
  imageShape: [number, number, number];
  imageBase64: string;
}
const { cases } = golden<{ cases: Case[] }>('pipeline');

jest.setTimeout(60_000);

describe('pictures against diffusers', () => {
  const sessions = new Sessions({ provider: 'cpu', device: 0 });
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parity-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** The pack's folder with another scheduler configuration. */
  async function modelWith(config: object, name: string): Promise<string> {
    const model = join(folder, name);
    await mkdir(join(model, 'scheduler'), { recursive: true });
    await writeFile(
      join(model, 'scheduler', 'scheduler_config.json'),
      JSON.stringify(config, (_, v: unknown) => (v === -Infinity ? null : v)),
    );
    for (const part of ['model_index.json', 'tokenizer', 'text_encoder', 'unet', 'vae_decoder']) {
      await symlink(packPath(`diffusion/${part}`), join(model, part));
    }
    return model;
  }

  test.each(cases.map((c, i) => ({ ...c, i })))('case $i: $scheduler, seed $seed: latents within 1e-3, pixels within 1', async (c) => {
    const pipeline = await TextToImage.load(await modelWith(c.config, String(c.i)), sessions);
    const request: TextToImageRequest = { ...c, scheduler: null, height: null, width: null };
    const { latents } = await pipeline.denoise(request);
    const { png, width, height } = await pipeline.generate(request);
    const pixels = await sharp(png).removeAlpha().raw().toBuffer();
    const expected = Buffer.from(c.imageBase64, 'base64');
    const off = pixels.filter((p, k) => p !== expected[k]).length;
    if (process.env['PARITY_FIGURES']) {
      console.log(
        c.scheduler,
        c.seed,
        'latents',
        maxDifference(latents.data, c.latents),
        'pixels',
        maxDifference(pixels, expected),
        'off',
        off,
      );
    }
    expect(maxDifference(latents.data, c.latents)).toBeLessThan(1e-3);
    expect([height, width, 3]).toEqual(c.imageShape);
    expect(maxDifference(pixels, expected)).toBeLessThanOrEqual(1);
    expect(off / expected.length).toBeLessThan(0.01);
  });

  test('timesteps with fractions: a UNet whose timestep is an integer gets their whole part, as in optimum', async () => {
    const config = { ...cases[0]!.config, _class_name: 'EulerDiscreteScheduler', timestep_spacing: 'linspace' };
    const pipeline = await TextToImage.load(await modelWith(config, 'fractions'), sessions);
    const request: TextToImageRequest = { ...cases[0]!, scheduler: null, numInferenceSteps: 5, height: null, width: null };
    const { latents } = await pipeline.denoise(request);
    expect(latents.data.every(Number.isFinite)).toBe(true);
  });
});
