import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import type { ScoreModelKind } from '../../core/item-plan.js';
import type { Digest } from '../../core/types.js';

/** What a recipe can point at: a generator, what scores read, a critic and what it sees through. */
export type ModelKind = 'text-to-image' | 'causal-lm' | ScoreModelKind;

/** Beside a model and without effect on what it computes. Files and folders that begin with a dot are left out too. */
const NO_PART_OF_THE_MODEL = /^(readme|licen[cs]e|notice|changelog)(\.|$)|\.md$/i;

/**
 * What a model is known by: SHA-256 of the canonical JSON of its sorted [relative path, SHA-256 of the file] pairs.
 * The same files give the same digest wherever the folder lies. Throws InvalidInput when it is no folder or holds no files.
 */
export async function modelDigest(folder: string): Promise<Digest> {
  const paths = await modelFiles(folder);
  if (paths.length === 0) throw new InvalidInput(`model folder ${folder} is empty`);
  const entries: [string, string][] = [];
  for (const path of paths) entries.push([path, await fileSha256(join(folder, path))]);
  return digestOf(canonicalJson(entries));
}

/** Relative paths (with `/`) of the files that make up a model, in the order of their UTF-16 code units. Follows links. */
export async function modelFiles(folder: string): Promise<string[]> {
  const paths: string[] = [];
  const walk = async (under: string): Promise<void> => {
    for (const name of await readdir(join(folder, under))) {
      if (name.startsWith('.') || NO_PART_OF_THE_MODEL.test(name)) continue;
      const path = under === '' ? name : `${under}/${name}`;
      if ((await stat(join(folder, path))).isDirectory()) await walk(path);
      else paths.push(path);
    }
  };
  try {
    await walk('');
  } catch (error) {
    throw new InvalidInput(`model folder ${folder} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return paths.sort();
}

/**
 * Path of the first of these graphs (names without `.onnx`) that the folder has: in `onnx/`, where transformers.js looks, or beside the
 * configuration, where optimum writes. Throws InvalidInput, which names the file, where it has none.
 */
export async function onnxFile(folder: string, ...names: [string, ...string[]]): Promise<string> {
  const choices = names.flatMap((name) => [join(folder, 'onnx', `${name}.onnx`), join(folder, `${name}.onnx`)]);
  for (const file of choices) {
    const found = await stat(file).catch(() => null);
    if (found?.isFile()) return file;
  }
  throw new InvalidInput(`${choices[0]} is missing: export or copy the model folder again`);
}

/** SHA-256 of a file as 64 hex digits; streamed, so that its size does not matter. */
export async function fileSha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

interface Layout {
  /** Each must be there; of alternatives in a list, one. */
  files: (string | string[])[];
  /** How such a folder is made. */
  command: string;
}

const LAYOUTS: Record<ModelKind, Layout> = {
  'text-to-image': {
    files: [
      'model_index.json',
      'scheduler/scheduler_config.json',
      'text_encoder/model.onnx',
      'tokenizer/tokenizer.json',
      'tokenizer/tokenizer_config.json',
      'unet/config.json',
      'unet/model.onnx',
      'vae_decoder/config.json',
      'vae_decoder/model.onnx',
    ],
    command: 'optimum-cli export onnx --model <model> --task text-to-image <folder>',
  },
  'image-text': {
    files: [
      graph('text_model', 'model'),
      graph('vision_model', 'model'),
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ],
    command: "optimum-cli export onnx --model <model> --task feature-extraction <folder>, or transformers.js' layout of two files",
  },
  image: {
    files: [graph('vision_model', 'model'), 'preprocessor_config.json'],
    command: 'optimum-cli export onnx --model <model> --task feature-extraction <folder>',
  },
  'vit-mae': {
    files: [graph('model'), 'preprocessor_config.json'],
    command:
      'an export of ViTMAEModel with pixel_values and noise as inputs (models/training/train_vit_mae.py does one) as onnx/model.onnx',
  },
  'image-distance': {
    files: [graph('model')],
    command: 'models/export/export_lpips.py --net alex --out <folder>',
  },
  'vision-language': {
    files: [
      'config.json',
      'onnx/decoder_model_merged.onnx',
      'onnx/embed_tokens.onnx',
      'onnx/vision_encoder.onnx',
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ],
    command: "transformers.js' conversion of a vision-language model, in float32",
  },
  'causal-lm': {
    files: ['config.json', ['onnx/model.onnx', 'onnx/decoder_model_merged.onnx'], 'tokenizer.json', 'tokenizer_config.json'],
    command:
      "optimum-cli export onnx --model <model> --task text-generation-with-past <folder>, with the model as onnx/model.onnx (transformers.js' layout)",
  },
};

/** Where {@link onnxFile} looks. */
function graph(...names: string[]): string[] {
  return names.flatMap((name) => [`onnx/${name}.onnx`, `${name}.onnx`]);
}

/** Throws InvalidInput that lists every missing file and how such a folder is made. */
export async function checkModelFolder(folder: string, kind: ModelKind): Promise<void> {
  const { files, command } = LAYOUTS[kind];
  const present = new Set(await modelFiles(folder));
  const missing = files.map((file) => [file].flat()).filter((choices) => !choices.some((file) => present.has(file)));
  if (missing.length === 0) return;
  const names = missing.map((choices) => choices.join(' or ')).join(', ');
  throw new InvalidInput(`${folder} is no complete ${kind} model, missing: ${names}. Made by: ${command}`);
}
