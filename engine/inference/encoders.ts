import { access } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { z } from 'zod';
import { InvalidInput, ModelOutputInvalid } from '../../core/errors.js';
import { ClipTokenizer } from './clip-tokenizer.js';
import { readModelJson } from './model-json.js';
import { checkFinite } from './picture.js';
import type { Sessions } from './sessions.js';

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
type Preprocessor = z.infer<typeof schema>;

/** A CLIP-like encoder in transformers.js layout: pictures and, where the folder has a text model, texts as unit vectors. */
export class Encoder {
  private constructor(
    private readonly folder: string,
    private readonly sessions: Sessions,
    private readonly preprocessor: Preprocessor,
  ) {}

  /** Throws InvalidInput, which names the file, when `preprocessor_config.json` is missing or cannot be used. */
  static async load(folder: string, sessions: Sessions): Promise<Encoder> {
    const file = join(folder, 'preprocessor_config.json');
    const result = schema.safeParse(await readModelJson(file));
    if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
    return new Encoder(folder, sessions, result.data);
  }

  /** L2-normalised `image_embeds` of an encoded picture. Throws InvalidInput when it cannot be decoded. */
  async embedImage(image: Uint8Array): Promise<Float32Array> {
    const split = join(this.folder, 'onnx', 'vision_model.onnx');
    const file = (await exists(split)) ? split : join(this.folder, 'onnx', 'model.onnx');
    const model = await this.sessions.load(file);
    model.expectInputs(['pixel_values']);
    const { data, height, width } = await pixelValues(image, this.preprocessor);
    const embeds = await model.run({ pixel_values: model.tensor('pixel_values', data, [1, 3, height, width]) }, 'image_embeds');
    return unit(embeds.data);
  }

  /** L2-normalised `text_embeds`. A text beyond the context is cut. Throws InvalidInput when the folder has no text model. */
  async embedText(text: string): Promise<Float32Array> {
    const file = join(this.folder, 'onnx', 'text_model.onnx');
    // The model first: where a folder has neither, the model is what should be named.
    const model = await this.sessions.load(file);
    const tokenizer = await this.loadTokenizer();
    const { ids, used } = tokenizer.encode(text);
    const feeds = { input_ids: model.tensor('input_ids', ids, [1, ids.length]) };
    if (model.inputNames.includes('attention_mask')) {
      const mask = ids.map((_, i) => (i < used ? 1 : 0));
      Object.assign(feeds, { attention_mask: model.tensor('attention_mask', mask, [1, mask.length]) });
    }
    return unit((await model.run(feeds, 'text_embeds')).data);
  }

  private tokenizer: Promise<ClipTokenizer> | undefined;
  private loadTokenizer(): Promise<ClipTokenizer> {
    return (this.tokenizer ??= ClipTokenizer.load(this.folder));
  }
}

/** float32 [3, height, width], as CLIPImageProcessor: shorter edge to size, centre crop, rescale, normalise. */
async function pixelValues(image: Uint8Array, config: Preprocessor): Promise<{ data: Float32Array; height: number; width: number }> {
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

function unit(vector: Float32Array): Float32Array {
  checkFinite(vector, 'the embedding');
  const norm = Math.hypot(...vector);
  if (norm === 0) throw new ModelOutputInvalid('the embedding is the zero vector');
  return Float32Array.from(vector, (x) => x / norm);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
