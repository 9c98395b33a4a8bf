import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import type { Digest } from '../../core/types.js';
import { graphPaths } from './model-layouts.js';

/** Beside a model and without effect on what it computes. Files and folders that begin with a dot are left out too. */
const NO_PART_OF_THE_MODEL = /^(readme|licen[cs]e|notice|changelog)(\.|$)|\.md$/i;

/**
 * What a model is known by: SHA-256 of the canonical JSON of its sorted [relative path, SHA-256 of the file] pairs.
 * The same files give the same digest wherever the folder lies. Throws InvalidInput when it is no folder or holds no files.
 * @param hashes of its files, where they were read already
 */
export async function modelDigest(folder: string, hashes?: FileHashes): Promise<Digest> {
  const entries = [...(hashes ?? (await hashFiles(folder)))];
  if (entries.length === 0) throw new InvalidInput(`model folder ${folder} is empty`);
  return digestOf(canonicalJson(entries));
}

/** SHA-256 (64 hex digits) of a model's files by their relative paths, sorted. */
export type FileHashes = ReadonlyMap<string, string>;

/** Reads a model's files, each once. Throws InvalidInput when it is no folder. */
export async function hashFiles(folder: string): Promise<FileHashes> {
  const hashes = new Map<string, string>();
  for (const path of await modelFiles(folder)) hashes.set(path, await fileSha256(join(folder, path)));
  return hashes;
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

/**
 * Path of the first of these graphs (names without `.onnx`) that the folder has, in full precision or else in a lower one:
 * `model` is `onnx/model.onnx`, `model.onnx`, `onnx/model_fp16.onnx` and so on; `unet/model` is `unet/model.onnx`, `unet/model_fp16.onnx` and so on.
 * Throws InvalidInput, which names the file, where it has none.
 */
export async function onnxFile(folder: string, ...names: [string, ...string[]]): Promise<string> {
  const paths = graphPaths(...names);
  for (const path of paths) {
    const found = await stat(join(folder, path)).catch(() => null);
    if (found?.isFile()) return join(folder, path);
  }
  throw new InvalidInput(`${join(folder, paths[0]!)} is missing: export or copy the model folder again`);
}
