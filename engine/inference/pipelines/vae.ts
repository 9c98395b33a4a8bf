import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import { onnxFile } from '../model-folder.js';
import { readModelConfig } from '../model-json.js';
import type { FloatTensor, OnnxModel } from '../onnx-model.js';
import type { NoiseSource } from '../schedulers/index.js';
import type { Sessions } from '../sessions.js';
import { pixelsPerLatent } from './picture-size.js';
import { inTiles } from './tiles.js';

const { fround } = Math;

const perChannel = z.array(z.number()).nullish();
const schema = z.looseObject({
  block_out_channels: z.array(z.number()).min(1),
  latent_channels: z.number().int().positive().default(4),
  sample_size: z
    .union([z.number().int().positive(), z.array(z.number().int().positive()).min(1)])
    .transform((size) => [size].flat()[0]!)
    .default(32),
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullish(),
  latents_mean: perChannel,
  latents_std: perChannel,
});
export type VaeConfig = z.infer<typeof schema>;

/** Throws InvalidInput, which names the file. */
export const readVaeConfig = (folder: string): Promise<VaeConfig> => readModelConfig(join(folder, 'vae_decoder', 'config.json'), schema);

/** Of the log-variance that an encoder gives, as diffusers' `DiagonalGaussianDistribution`. */
const LOG_VARIANCE = { least: -30, most: 20 };

/** Between pictures and latents, with diffusers' scaling of the latents. Pictures are float32 [1, 3, height, width], about -1..1. */
export class Vae {
  private constructor(
    private readonly folder: string,
    private readonly sessions: Sessions,
    readonly config: VaeConfig,
    private readonly decoder: OnnxModel,
  ) {}

  /** Throws InvalidInput, which names the file, where the decoder is missing or not usable. The encoder is loaded when a picture is encoded. */
  static async load(folder: string, sessions: Sessions): Promise<Vae> {
    const config = await readVaeConfig(folder);
    const decoder = await sessions.load(await onnxFile(folder, 'vae_decoder/model'));
    decoder.expectInputs(['latent_sample']);
    return new Vae(folder, sessions, config, decoder);
  }

  /** Pixels along an edge for each latent. */
  get factor(): number {
    return pixelsPerLatent(this.config);
  }

  /** @param tiled in tiles of the size that the VAE was trained on, where the picture is larger */
  async decode(latents: FloatTensor, tiled: boolean): Promise<FloatTensor> {
    const { scaling_factor: scale, shift_factor: shift } = this.config;
    const channel = this.channels(latents);
    const data = latents.data.map((x, i) => {
      const [mean, std] = channel(i);
      if (std !== 1 || mean !== 0) return fround(fround(x * std) / scale) + mean;
      return fround(x / scale) + (shift ?? 0);
    });
    const run = async ({ data: tile, dims }: FloatTensor) =>
      this.decoder.run({ latent_sample: this.decoder.tensor('latent_sample', tile, dims) });
    const { input, output } = this.tile(1);
    const isLarger = latents.dims.slice(2).some((edge) => edge > input);
    const scaled = { data, dims: latents.dims };
    return tiled && isLarger ? inTiles(scaled, { input, output }, run) : run(scaled);
  }

  /**
   * A sample of the encoder's distribution, as diffusers' image-to-image takes it: `noise` gives the deviation, and is not asked where
   * the exported encoder gives finished latents. Throws InvalidInput where the folder has no encoder.
   */
  async encode(picture: FloatTensor, noise: NoiseSource, tiled: boolean): Promise<FloatTensor> {
    const encoder = await this.sessions.load(await onnxFile(this.folder, 'vae_encoder/model'));
    encoder.expectInputs(['sample']);
    const run = async ({ data, dims }: FloatTensor) => encoder.run({ sample: encoder.tensor('sample', data, dims) });
    const { input, output } = this.tile(-1);
    const isLarger = picture.dims.slice(2).some((edge) => edge > input);
    const parameters = tiled && isLarger ? await inTiles(picture, { input, output }, run) : await run(picture);
    const dims = [1, this.config.latent_channels, ...parameters.dims.slice(2)];
    const size = dims.reduce((a, b) => a * b);
    if (parameters.data.length !== size && parameters.data.length !== 2 * size) {
      throw new InvalidInput(`${encoder.file} gives ${parameters.dims[1]} channels for ${dims[1]} of the latents: export it again`);
    }
    const sample = parameters.data.length === size ? parameters.data : sampleOf(parameters.data, noise());
    const { scaling_factor: scale, shift_factor: shift } = this.config;
    const channel = this.channels({ data: sample, dims });
    const data = sample.map((x, i) => {
      const [mean, std] = channel(i);
      if (std !== 1 || mean !== 0) return fround(fround(fround(x - mean) * scale) / std);
      return fround(fround(x - (shift ?? 0)) * fround(scale));
    });
    return { data, dims };
  }

  /** Mean and deviation that a latent at this place is normalised by, where the configuration has them. */
  private channels({ data, dims }: FloatTensor): (i: number) => [number, number] {
    const { latents_mean: means, latents_std: stds } = this.config;
    const area = data.length / dims[1]!;
    return (i) => (means && stds ? [fround(means[Math.floor(i / area)]!), fround(stds[Math.floor(i / area)]!)] : [0, 1]);
  }

  /** Edge of a tile as diffusers takes it. @param way 1 to decode, -1 to encode */
  private tile(way: 1 | -1): { input: number; output: number } {
    const pixels = this.config.sample_size;
    const latents = Math.trunc(pixels / this.factor);
    return way === 1 ? { input: latents, output: pixels } : { input: pixels, output: latents };
  }
}

/** mean + exp(log-variance / 2) noise. @param parameters means, then log-variances */
function sampleOf(parameters: Float32Array, noise: Float32Array): Float32Array {
  return noise.map((drawn, i) => {
    const logVariance = Math.min(LOG_VARIANCE.most, Math.max(LOG_VARIANCE.least, parameters[noise.length + i]!));
    return parameters[i]! + fround(fround(Math.exp(fround(0.5 * logVariance))) * drawn);
  });
}
