import { realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { isDigest } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import { fileExists } from './file-exists.js';
import { MEASURED_LOSSES, type MeasuredLosses } from '../../core/recipe.js';
import type { Digest } from '../../core/types.js';
import { fileSha256, type FileHashes } from './model-folder.js';
import { readModelConfig, readModelJson } from './model-json.js';

const digest = z.custom<Digest>(isDigest, 'sha256:<64 hex digits>');

const measuredSchema = z.looseObject(Object.fromEntries(MEASURED_LOSSES.map((name) => [name, z.number().nullish()])));

const texts = z.array(z.string());

const entrySchema = z.looseObject({
  /** Folder, relative to the pack's. */
  path: z.string(),
  kind: z.string(),
  /** Of the weights as they are stored, such as `fp16`. */
  precision: z.string().optional(),
  licence: z.string().optional(),
  madeBy: z.string().optional(),
  /** Paths are relative to the model's folder. */
  files: z.array(z.looseObject({ path: z.string(), bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
  trainedOn: z
    .looseObject({
      /** Artifact digests of dataset pictures that the model saw in training. */
      digests: z.array(digest).default([]),
      /** Texts that a critic was taught with, each once, or the name of a JSON file of them beside pack.json: the report tells how much of them it repeats. */
      feedback: z.union([texts, z.string()]).optional(),
      /** Training data that was drawn on the fly and is no dataset item. */
      drawn: z.string().optional(),
    })
    .default({ digests: [] }),
  /** Losses a token that its training measured. */
  measured: measuredSchema.optional(),
});
const packSchema = z.looseObject({
  name: z.string(),
  version: z.string(),
  licence: z.string(),
  models: z.record(z.string(), entrySchema),
});

export type PackEntry = z.infer<typeof entrySchema>;
export type Pack = z.infer<typeof packSchema>;

/** Throws InvalidInput when `<folder>/pack.json` is missing or its fields are not a pack's. */
export async function loadPack(folder: string): Promise<Pack> {
  const file = join(folder, 'pack.json');
  const result = packSchema.safeParse(await readModelJson(file));
  if (!result.success) throw new InvalidInput(`${file}: ${z.prettifyError(result.error)}`);
  return result.data;
}

/**
 * What the pack that a model belongs to says of it; `null` for a model in no pack (no `pack.json` in the parent folder, or
 * one that does not list it). Throws InvalidInput when `pack.json` cannot be used.
 */
export async function readPack(modelFolder: string): Promise<PackEntry | null> {
  for (const model of await placesOf(modelFolder)) {
    const folder = dirname(model);
    if (!(await isPack(folder))) continue;
    const entry = Object.values((await loadPack(folder)).models).find(({ path }) => resolve(folder, path) === model);
    if (entry) return entry;
  }
  return null;
}

/** A folder as it is named and, where that is a link, as it is called in truth: a model is what its pack says by either name. */
async function placesOf(folder: string): Promise<string[]> {
  const named = resolve(folder);
  return [...new Set([named, await realpath(named).catch(() => named)])];
}

/** Texts that a critic was taught with, by its pack; `undefined` where that says none. Throws InvalidInput when their file cannot be used. */
export async function taughtTexts(modelFolder: string, entry: PackEntry | null): Promise<string[] | undefined> {
  const told = entry?.trainedOn.feedback;
  if (typeof told !== 'string') return told;
  const files = (await placesOf(modelFolder)).map((model) => join(dirname(model), told));
  for (const file of files) if (await fileExists(file)) return readModelConfig(file, texts);
  throw new InvalidInput(`${files.join(' or ')}, which pack.json names, is missing`);
}

/**
 * The losses that a model's training measured, as its pack says, else `measured.json` in its folder; `undefined` where neither says any.
 * Throws InvalidInput when that file cannot be used.
 */
export async function measuredLosses(modelFolder: string, entry: PackEntry | null): Promise<MeasuredLosses | undefined> {
  const file = join(modelFolder, 'measured.json');
  const told = entry?.measured ?? ((await fileExists(file)) ? await readModelConfig(file, measuredSchema) : {});
  return lossesIn(told);
}

/** What a training measured, without all that is no loss; `undefined` where nothing is left. */
export function lossesIn(told: Record<string, unknown>): MeasuredLosses | undefined {
  const known = MEASURED_LOSSES.flatMap((name) => (typeof told[name] === 'number' ? [[name, told[name]] as const] : []));
  return known.length === 0 ? undefined : Object.fromEntries(known);
}

/** Whether a folder has a `pack.json`. */
export function isPack(folder: string): Promise<boolean> {
  return fileExists(join(folder, 'pack.json'));
}

/** What is wrong with a model's files by what its pack says of them, their SHA-256 read again where `hashes` does not have them. */
export async function packProblems(modelFolder: string, { files }: PackEntry, hashes?: FileHashes): Promise<string[]> {
  const problems: string[] = [];
  for (const file of files) {
    const full = join(modelFolder, file.path);
    const found = await stat(full).catch(() => null);
    if (!found) problems.push(`${file.path} is missing`);
    else if (found.size !== file.bytes) problems.push(`${file.path} has ${found.size} bytes instead of ${file.bytes}`);
    else if ((hashes?.get(file.path) ?? (await fileSha256(full))) !== file.sha256)
      problems.push(`${file.path} is corrupt (its SHA-256 differs)`);
  }
  return problems;
}

/**
 * Compares a model's files with what its pack says, and returns that; a model in no pack passes, as `null`.
 * Throws InvalidInput that names each file that is missing or corrupt.
 * @param hashes of its files, where they were read already
 */
export async function verifyPack(modelFolder: string, hashes?: FileHashes): Promise<PackEntry | null> {
  const entry = await readPack(modelFolder);
  const problems = entry ? await packProblems(modelFolder, entry, hashes) : [];
  if (problems.length > 0) throw new InvalidInput(`${modelFolder} is not as its pack.json says: ${problems.join('; ')}`);
  return entry;
}
