import { promises as fs, type Stats } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidInput } from '../../core/errors.js';
import { pathOfFileUri } from '../storage/file-uri.js';
import { systemCode } from '../storage/file-errors.js';
import { isParquet } from './parquet-file.js';

export const READ_NOW =
  'read now are: an image folder with metadata.jsonl or metadata.csv, images with .txt files beside them, a CSV or JSONL file with a path column, Parquet files as the Hub has them';

/**
 * The absolute URI of a dataset as a person names it: a path or a `file:` URI, relative ones to `baseDir`.
 * Throws InvalidInput on other schemes.
 */
export function datasetUri(text: string, baseDir: string): string {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(text)?.[1]?.toLowerCase();
  if (text.trim() === '') throw new InvalidInput('dataset.uri is empty; name a folder or a file');
  if (scheme !== undefined && scheme !== 'file') {
    throw new InvalidInput(`dataset.uri "${text}": "${scheme}:" comes with a later version; ${READ_NOW}`);
  }
  return pathToFileURL(resolve(baseDir, pathOfFileUri(text))).href;
}

/** What there is at a dataset's path. Throws InvalidInput where nothing is. */
export async function statDataset(path: string): Promise<Stats> {
  try {
    return await fs.stat(path);
  } catch (error) {
    const code = systemCode(error);
    const why = code === 'ENOENT' || code === 'ENOTDIR' ? 'is not there' : `cannot be read (${code ?? String(error)})`;
    throw new InvalidInput(`the dataset ${path} ${why}; check dataset.uri (relative paths are relative to the recipe's file)`, {
      cause: error,
    });
  }
}

/** Other names that a split goes by. */
const ALIASES: Record<string, string[]> = {
  validation: ['validation', 'valid', 'val', 'dev'],
  train: ['train', 'training'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};
const SPLIT_NAMES = new Set(Object.values(ALIASES).flat());

/** Where the rows of a split are: a folder, and the prefix that its images have in a metadata file above it. */
export interface SplitFolder {
  folder: string;
  /** Such as `test/`; empty: all rows of the folder's metadata. */
  rowPrefix: string;
  /** Relative to the dataset's root, with a `/` at the end where not empty. */
  relative: string;
}

/** Finds a split as Hugging Face's imagefolder does: sub-folders `train/`, `test/`, or none, which is `train`. */
export async function findSplit(root: string, split: string | null): Promise<SplitFolder> {
  const entries = (await fs.readdir(root, { withFileTypes: true })).filter((entry) => !isHidden(entry.name));
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const splits = folders.filter((name) => SPLIT_NAMES.has(name.toLowerCase())).sort();
  const metadataAbove = entries.some((entry) => isMetadata(entry.name));
  const there = splits.length > 0 ? `it has ${splits.join(', ')}` : 'it has no splits: leave dataset.split out';

  if (split === null) {
    if (splits.length > 1 && !metadataAbove) {
      throw new InvalidInput(`the dataset ${root} has the splits ${splits.join(', ')}; choose one with dataset.split`);
    }
    const only = metadataAbove ? undefined : splits[0];
    return only === undefined ? { folder: root, rowPrefix: '', relative: '' } : inFolder(root, only);
  }
  const names = ALIASES[split.toLowerCase()] ?? [split];
  const named = folders.includes(split) ? split : splits.find((name) => names.includes(name.toLowerCase()));
  if (named === undefined) {
    // The Hub's Parquet files name the split themselves.
    if (splits.length === 0 && (await hasParquet(root))) return { folder: root, rowPrefix: '', relative: '' };
    if (split === 'train' && splits.length === 0) return { folder: root, rowPrefix: '', relative: '' };
    throw new InvalidInput(`the dataset ${root} has no split "${split}"; ${there}`);
  }
  const ownMetadata = (await fs.readdir(join(root, named))).some(isMetadata);
  return metadataAbove && !ownMetadata ? { folder: root, rowPrefix: `${named}/`, relative: '' } : inFolder(root, named);
}

/** Which of a folder's Parquet files belong to a split, by what their names begin with; without splits in the names, all are `train`. */
export function parquetOfSplit(folder: string, files: readonly string[], split: string | null): string[] {
  const splitOf = (file: string) => SPLIT_FILE.exec(file)?.[1]?.toLowerCase() ?? 'train';
  const there = [...new Set(files.map(splitOf))].sort();
  if (split === null && there.length > 1) {
    throw new InvalidInput(`the dataset ${folder} has the splits ${there.join(', ')}; choose one with dataset.split`);
  }
  const names = split === null ? there : (ALIASES[split.toLowerCase()] ?? [split]);
  const chosen = files.filter((file) => names.includes(splitOf(file)));
  if (chosen.length === 0) throw new InvalidInput(`the dataset ${folder} has no split "${split}"; it has ${there.join(', ')}`);
  return chosen.sort();
}
/** Such as `data/train-00000-of-00001-566cc9b19d7203f8.parquet`. */
const SPLIT_FILE = new RegExp(`(?:^|/)(${[...SPLIT_NAMES].join('|')})[-.][^/]*$`, 'i');

async function hasParquet(root: string): Promise<boolean> {
  return (await fs.readdir(root, { recursive: true })).some(isParquet);
}

const inFolder = (root: string, name: string): SplitFolder => ({ folder: join(root, name), rowPrefix: '', relative: `${name}/` });

export const isMetadata = (name: string): boolean => /^metadata\.(jsonl|csv|parquet)$/.test(name);
export const isHidden = (name: string): boolean => name.startsWith('.') || name === '__MACOSX';
