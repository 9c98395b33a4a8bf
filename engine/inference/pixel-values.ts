import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput } from '../../core/errors.js';
import { decodePixels, type RgbImage } from '../metrics/pixels.js';
import { readModelJson } from './model-json.js';
import { isResampling, resizeLikePillow } from './pil-resize.js';

/** Pixels. `shortest_edge` keeps the picture's shape. */
type Size = { shortest_edge: number } | { height: number; width: number };

interface Defaults {
  size: Size;
  /** `null`: nothing is cropped. */
  crop_size: Size | null;
  resample: number;
  image_mean: number[];
  image_std: number[];
}

const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD = [0.26862954, 0.26130258, 0.27577711];
const HALF = [0.5, 0.5, 0.5];
const BILINEAR = 2;
const BICUBIC = 3;

const CLIP: Defaults = {
  size: { shortest_edge: 224 },
  crop_size: { height: 224, width: 224 },
  resample: BICUBIC,
  image_mean: CLIP_MEAN,
  image_std: CLIP_STD,
};
const VIT: Defaults = { size: { height: 224, width: 224 }, crop_size: null, resample: BILINEAR, image_mean: HALF, image_std: HALF };

/** What transformers' processors take where the file is silent, as older files are; all that do not stand here take ViT's. */
const DEFAULTS: Record<string, Defaults> = {
  CLIP,
  Bit: CLIP,
  ViT: VIT,
  Siglip: { ...VIT, resample: BICUBIC },
  DeiT: {
    size: { height: 256, width: 256 },
    crop_size: { height: 224, width: 224 },
    resample: BICUBIC,
    image_mean: [0.485, 0.456, 0.406],
    image_std: [0.229, 0.224, 0.225],
  },
};

const edge = z.number().int().positive();
/** A number, as older files have it, means what the processor's default is of. */
const sizeSchema = z.union([edge, z.object({ height: edge, width: edge }), z.strictObject({ shortest_edge: edge })]);
const three = z.array(z.number()).length(3);
const schema = z.looseObject({
  image_processor_type: z.string().optional(),
  feature_extractor_type: z.string().optional(),
  do_resize: z.boolean().default(true),
  size: sizeSchema.optional(),
  resample: z.number().refine(isResampling, 'is none of Pillow’s: 0 to 5').optional(),
  do_center_crop: z.boolean().optional(),
  crop_size: sizeSchema.optional(),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: three.optional(),
  image_std: z.array(z.number().positive()).length(3).optional(),
  do_pad: z.literal(false, 'pads pictures, which is not supported').nullish(),
  crop_pct: z.undefined('is not supported').optional(),
});

/** How a model wants its pictures: size, crop, scale, normalisation. */
export interface Preprocessor {
  /** `null`: pictures keep their size. */
  size: Size | null;
  resample: number;
  crop: { height: number; width: number } | null;
  scale: number;
  mean: number[];
  std: number[];
}

/** Throws InvalidInput, which names file and field, when `preprocessor_config.json` is missing or asks for what is not supported. */
export async function loadPreprocessor(folder: string): Promise<Preprocessor> {
  const file = join(folder, 'preprocessor_config.json');
  const result = schema.safeParse(await readModelJson(file));
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  const config = result.data;
  const type = (config.image_processor_type ?? config.feature_extractor_type ?? 'ViT').replace(
    /(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/,
    '',
  );
  const defaults = DEFAULTS[type] ?? VIT;
  const crops = config.do_center_crop ?? defaults.crop_size !== null;
  return {
    size: config.do_resize ? sizeOf(config.size, defaults.size) : null,
    resample: config.resample ?? defaults.resample,
    crop: crops ? square(sizeOf(config.crop_size, square(defaults.crop_size ?? VIT.size))) : null,
    scale: config.do_rescale ? config.rescale_factor : 1,
    mean: config.do_normalize ? (config.image_mean ?? defaults.image_mean) : [0, 0, 0],
    std: config.do_normalize ? (config.image_std ?? defaults.image_std) : [1, 1, 1],
  };
}

function sizeOf(size: number | Size | undefined, fallback: Size): Size {
  if (typeof size !== 'number') return size ?? fallback;
  return 'shortest_edge' in fallback ? { shortest_edge: size } : { height: size, width: size };
}

const square = (size: Size): { height: number; width: number } =>
  'shortest_edge' in size ? { height: size.shortest_edge, width: size.shortest_edge } : size;

/** float32 [3, height, width] */
export interface PixelValues {
  data: Float32Array;
  height: number;
  width: number;
}

/** {@link toPixelValues} of an encoded picture. Throws InvalidInput when it cannot be decoded. */
export async function pixelValues(image: Uint8Array, config: Preprocessor): Promise<PixelValues> {
  return toPixelValues(await decodePixels(image), config);
}

/**
 * A picture as transformers' image processors make it with Pillow: resize, centre crop, rescale, normalise.
 * A transparent picture is laid on white, where theirs drops its alpha.
 */
export function toPixelValues(picture: RgbImage, { size, crop, resample, scale, mean, std }: Preprocessor): PixelValues {
  const sized = size === null ? picture : resizeLikePillow(picture, targetSize(picture, size), resample);
  const { width, height, data: rgb } = crop === null ? sized : centerCrop(sized, crop);
  const area = height * width;
  const data = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) data[channel * area + i] = (rgb[i * 3 + channel]! * scale - mean[channel]!) / std[channel]!;
  }
  return { data, height, width };
}

/** The longer edge is cut to whole pixels, not rounded. */
function targetSize({ width, height }: RgbImage, size: Size): { width: number; height: number } {
  if (!('shortest_edge' in size)) return { width: size.width, height: size.height };
  const short = size.shortest_edge;
  return width <= height
    ? { width: short, height: Math.trunc((short * height) / width) }
    : { width: Math.trunc((short * width) / height), height: short };
}

/** What lies outside of the picture is black. */
function centerCrop(image: RgbImage, { height, width }: { height: number; width: number }): RgbImage {
  // Where it is smaller, transformers first pads it, with the odd pixel before it; where it is larger, the odd pixel is cut at the end.
  const offset = (whole: number, cut: number) => (whole >= cut ? Math.floor((whole - cut) / 2) : -Math.ceil((cut - whole) / 2));
  const [top, left] = [offset(image.height, height), offset(image.width, width)];
  const data = new Uint8Array(width * height * 3);
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
    const [from, to] = [Math.max(0, -left), Math.min(width, image.width - left)];
    const start = ((y + top) * image.width + from + left) * 3;
    data.set(image.data.subarray(start, start + (to - from) * 3), (y * width + from) * 3);
  }
  return { width, height, data };
}
