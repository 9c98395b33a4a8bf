import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import { readModelConfig } from '../model-json.js';
import type { VaeConfig } from './vae.js';

/** Of a square picture's latents, or of [height, width]. */
const sampleSize = z.union([z.number().int().positive(), z.tuple([z.number().int().positive(), z.number().int().positive()])]);
const schema = z.looseObject({
  in_channels: z.number().int().positive().default(4),
  sample_size: sampleSize,
  /** Each but the last halves what it sees. */
  block_out_channels: z.array(z.number()).min(1).default([0]),
});
export type UnetConfig = z.infer<typeof schema>;

/** Throws InvalidInput, which names the file. */
export const readUnetConfig = (folder: string): Promise<UnetConfig> => readModelConfig(join(folder, 'unet', 'config.json'), schema);

/** Pixels along an edge for each latent. */
export const pixelsPerLatent = ({ block_out_channels: blocks }: VaeConfig): number => 2 ** (blocks.length - 1);

/**
 * Pixels of the picture that is asked for; `null`: what the model was trained on. Throws InvalidInput for a size that the exported UNet cannot put
 * together again once it has halved it (torch's fits itself to any, an exported graph has fixed factors), and for a UNet that sees more than latents.
 */
export function pictureSize(
  { height, width }: { height: number | null; width: number | null },
  unet: UnetConfig,
  vae: VaeConfig,
): { height: number; width: number } {
  if (unet.in_channels !== vae.latent_channels) {
    throw new InvalidInput(
      `unet/config.json: in_channels is ${unet.in_channels}, the VAE's latents have ${vae.latent_channels}: models that also see a mask (inpainting) or another picture are not supported; export the text-to-image model`,
    );
  }
  const factor = pixelsPerLatent(vae);
  const step = factor * 2 ** (unet.block_out_channels.length - 1);
  for (const [name, pixels] of Object.entries({ height, width })) {
    if (pixels !== null && (!Number.isInteger(pixels / step) || pixels <= 0)) {
      throw new InvalidInput(
        `${name} must be a positive multiple of ${step} for this model, whose UNet halves what it sees, got ${pixels}`,
      );
    }
  }
  const own = [unet.sample_size].flat();
  return { height: height ?? own[0]! * factor, width: width ?? own.at(-1)! * factor };
}
