import { join } from 'node:path';
import sharp from 'sharp';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import { readModelJson } from './model-json.js';

const edges = z.union([
  z.number().transform((edge) => ({ height: edge, width: edge })),
  z.object({ height: z.number(), width: z.number() }),
  z.object({ shortest_edge: z.number() }).transform(({ shortest_edge: edge }) => ({ height: edge, width: edge })),
]);
const schema = z.looseObject({
  size: edges,
  crop_size: edges.optional(),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: z.array(z.number()).length(3).default([0.5, 0.5, 0.5]),
  image_std: z.array(z.number().positive()).length(3).default([0.5, 0.5, 0.5]),
});
/** How a model wants its pictures: size, scale, normalisation. */
export type Preprocessor = z.infer<typeof schema>;

/** Throws InvalidInput, which names the file, when `preprocessor_config.json` is missing or cannot be used. */
export async function loadPreprocessor(folder: string): Promise<Preprocessor> {
  const file = join(folder, 'preprocessor_config.json');
  const result = schema.safeParse(await readModelJson(file));
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  return result.data;
}

/** float32 [3, height, width], as CLIPImageProcessor: shorter edge to size, centre crop, rescale, normalise. */
export async function pixelValues(image: Uint8Array, config: Preprocessor): Promise<{ data: Float32Array; height: number; width: number }> {
  const { height, width } = config.crop_size ?? config.size;
  const rgb = await decode(image, height, width);
  const area = height * width;
  const data = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    const scale = config.do_rescale ? config.rescale_factor : 1;
    const [mean, std] = config.do_normalize ? [config.image_mean[channel]!, config.image_std[channel]!] : [0, 1];
    for (let i = 0; i < area; i++) data[channel * area + i] = (rgb[i * 3 + channel]! * scale - mean) / std;
  }
  return { data, height, width };
}

async function decode(image: Uint8Array, height: number, width: number): Promise<Uint8Array> {
  try {
    const picture = sharp(image).flatten({ background: '#ffffff' }).toColourspace('srgb');
    const { height: h, width: w } = await picture.metadata();
    const sized = h === height && w === width ? picture : picture.resize(width, height, { fit: 'cover', kernel: 'cubic' });
    const { data, info } = await sized.raw().toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`${info.channels} channels instead of 3`);
    return data;
  } catch (error) {
    throw new InvalidInput(`the picture cannot be decoded: ${(error as Error).message}`, { cause: error });
  }
}
