import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import type { ScoreModelKind } from '../../core/item-plan.js';
import type { Digest } from '../../core/types.js';
import { readModelJson } from './model-json.js';
import { weightBytes } from './onnx-file.js';

/** What a recipe can point at: a generator, what scores read, critics and what they see through. */
export type ModelKind = 'text-to-image' | 'causal-lm' | 'blip2' | 'vision-language' | ScoreModelKind;

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

/** SHA-256 of a file as 64 hex digits; streamed, so that its size does not matter. */
export async function fileSha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** What a graph's file is called where its weights are of lower precision: transformers.js' names, the first that is there is taken. */
const VARIANTS = ['', '_fp16', '_int8', '_quantized', '_uint8'];

const OF_LOWER_PRECISION = new RegExp(`(${VARIANTS.slice(1).join('|')})\\.onnx$`);

/** Where {@link onnxFile} looks: in `onnx/`, as transformers.js does, and beside the configuration, where optimum writes. */
function graph(...names: string[]): string[] {
  return VARIANTS.flatMap((variant) => names.flatMap((name) => [`onnx/${name}${variant}.onnx`, `${name}${variant}.onnx`]));
}

/**
 * Path of the first of these graphs (names without `.onnx`) that the folder has, in full precision or else in a lower one:
 * `model` is `onnx/model.onnx`, `model.onnx`, `onnx/model_fp16.onnx` and so on. Throws InvalidInput, which names the file, where it has none.
 */
export async function onnxFile(folder: string, ...names: [string, ...string[]]): Promise<string> {
  for (const path of graph(...names)) {
    const found = await stat(join(folder, path)).catch(() => null);
    if (found?.isFile()) return join(folder, path);
  }
  throw new InvalidInput(`${join(folder, 'onnx', `${names[0]}.onnx`)} is missing: export or copy the model folder again`);
}

interface Layout {
  /** Each must be there; of alternatives in a list, one. */
  files: (string | string[])[];
  /** How such a folder is made; models/export/README.md has the whole of it. */
  command: string;
}

const LAYOUTS: Record<ModelKind, Layout> = {
  'text-to-image': {
    files: [
      'model_index.json',
      'scheduler/scheduler_config.json',
      'text_encoder/model.onnx',
      ['tokenizer/tokenizer.json', 'tokenizer/merges.txt'],
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
    command:
      'optimum-cli export onnx --model <model> --task feature-extraction <folder>, or python models/export/export_clip.py <model> <folder>',
  },
  image: {
    files: [graph('vision_model', 'model'), 'preprocessor_config.json'],
    command: 'optimum-cli export onnx --model <model> --task feature-extraction <folder>',
  },
  'vit-mae': {
    files: [graph('model'), 'preprocessor_config.json'],
    command: 'python models/export/export_vit_mae.py <model> <folder>',
  },
  'image-distance': {
    files: [graph('model')],
    command: 'python models/export/export_lpips.py --net alex --backbone <torchvision weights> --heads <lpips weights> --out <folder>',
  },
  'causal-lm': {
    files: ['config.json', ['tokenizer.json', 'merges.txt'], 'tokenizer_config.json'],
    command: 'optimum-cli export onnx --model <model> --task text-generation-with-past <folder>',
  },
  blip2: {
    files: [
      'config.json',
      ...['vision_model', 'qformer', 'embed_tokens', 'decoder_model'].map((name) => graph(name)),
      'preprocessor_config.json',
      ['tokenizer.json', 'merges.txt'],
      'tokenizer_config.json',
    ],
    command: 'python models/export/export_blip2.py <model> <folder>',
  },
  'vision-language': {
    files: [
      'config.json',
      ...['vision_encoder', 'embed_tokens', 'decoder_model_merged'].map((name) => graph(name)),
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ],
    command:
      "an export in transformers.js' layout, such as those of onnx-community (vision_encoder, embed_tokens and decoder_model_merged in onnx/)",
  },
};

/** Every kind of model folder. */
export const MODEL_KINDS = Object.keys(LAYOUTS) as ModelKind[];

/**
 * What keeps a folder from being a model of this kind: files that are missing, weights that are missing or cut short. Empty: it is whole.
 * @param also files that this use of the model needs beside the rest
 */
export async function modelProblems(folder: string, kind: ModelKind, also: readonly string[] = []): Promise<string[]> {
  const present = await modelFiles(folder);
  const problems = [...LAYOUTS[kind].files, ...(await namedParts(folder, kind, present)), ...also]
    .map((file) => [file].flat())
    .filter((choices) => !choices.some((file) => present.includes(file)))
    .map((choices) => `${choices.filter((file) => !OF_LOWER_PRECISION.test(file)).join(' or ')} is missing`);
  for (const file of present.filter((path) => path.endsWith('.onnx'))) {
    await weightBytes(join(folder, file)).catch((error: unknown) => problems.push((error as Error).message));
  }
  return problems;
}

/** What some models of a kind have beside the others: files that their own configuration, or a file that is there, asks for. */
async function namedParts(folder: string, kind: ModelKind, present: string[]): Promise<(string | string[])[]> {
  const read = async (name: string) =>
    present.includes(name) ? ((await readModelJson(join(folder, name))) as Record<string, unknown>) : {};
  const beside = present.flatMap((path) =>
    path.endsWith('merges.txt') && !present.includes(path.replace(/merges.txt$/, 'tokenizer.json'))
      ? [path.replace('merges.txt', 'vocab.json')]
      : [],
  );
  switch (kind) {
    case 'text-to-image': {
      const index = await read('model_index.json');
      const names = (part: string) => Array.isArray(index[part]) && index[part][0] !== null;
      if (names('text_encoder_2')) beside.push('text_encoder_2/model.onnx');
      if (present.includes('safety_checker/model.onnx')) beside.push('feature_extractor/preprocessor_config.json');
      return names('tokenizer_2') ? [...beside, ['tokenizer_2/tokenizer.json', 'tokenizer_2/merges.txt']] : beside;
    }
    case 'blip2':
    case 'vision-language': {
      const { is_encoder_decoder: own, text_config: text } = await read('config.json');
      const isEncoderDecoder = own === true || (text as { is_encoder_decoder?: boolean } | undefined)?.is_encoder_decoder === true;
      return isEncoderDecoder ? [...beside, graph('encoder_model')] : beside;
    }
    case 'causal-lm': {
      const isSoft = (await read('prompt.json'))['image'] === 'soft';
      const graphs = isSoft
        ? ['decoder_model', 'embed_tokens', 'image_projection'].map((name) => graph(name))
        : [graph('decoder_model_merged', 'model')];
      return [...beside, ...graphs];
    }
    default:
      return beside;
  }
}

/** The command that makes such a folder. */
export const exportCommand = (kind: ModelKind): string => LAYOUTS[kind].command;

/** Throws InvalidInput that lists every missing or incomplete file and how such a folder is made. `also`: as of {@link modelProblems}. */
export async function checkModelFolder(folder: string, kind: ModelKind, also: readonly string[] = []): Promise<void> {
  const problems = await modelProblems(folder, kind, also);
  if (problems.length === 0) return;
  throw new InvalidInput(`${folder} is no complete ${kind} model: ${problems.join('; ')}. Made by: ${exportCommand(kind)}`);
}
