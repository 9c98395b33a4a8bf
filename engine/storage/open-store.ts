import { promises as fs } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { memoized } from '../../core/memoized.js';
import { storageUnavailable, systemCode } from './file-errors.js';
import { pathOfFileUri } from './file-uri.js';
import { FileObjectStore } from './file-object-store.js';
import type { ObjectStore } from './object-store.js';
import { formatS3Uri, parseS3Uri } from './s3-uri.js';
import { Store } from './store.js';

/** How each scheme of a store URI is made absolute and opened. */
interface Scheme {
  absolute(text: string, baseDir: string): string;
  open(uri: string): Promise<ObjectStore>;
}

/** One client a bucket and process, with its connections. */
const openBucket = memoized(async (uri: string): Promise<ObjectStore> => {
  // The SDK takes its time to load; who has a folder does not wait for it.
  const { S3ObjectStore } = await import('./s3-object-store.js');
  const objects = new S3ObjectStore(parseS3Uri(uri));
  await objects.check();
  return objects;
});

const SCHEMES: Record<string, Scheme> = {
  file: { absolute: absoluteFileUri, open: openFolder },
  s3: { absolute: (text) => formatS3Uri(parseS3Uri(text)), open: openBucket },
};

/**
 * The absolute URI of a store as a person names it: `file:./runs`, `file:///abs`, or a plain path.
 * Relative ones are relative to `baseDir`. Throws InvalidInput on what is no store.
 */
export function storeUri(text: string, baseDir: string): string {
  return schemeOf(text).absolute(text, baseDir);
}

/**
 * Opens a store. Makes nothing: a folder that is not there is an empty store until something is written; a bucket must be there.
 * Hold one per process and URI, since it caches. Throws InvalidInput, or StorageUnavailable where a file is in the way.
 */
export async function openStore(uri: string): Promise<Store> {
  const absolute = storeUri(uri, process.cwd());
  return new Store(await schemeOf(absolute).open(absolute));
}

function schemeOf(text: string): Scheme {
  if (text.trim() === '') throw new InvalidInput('the store is empty; give a folder, such as file:./runs');
  // Two letters at least, so that a Windows drive is no scheme.
  const name = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(text)?.[1]?.toLowerCase() ?? 'file';
  const scheme = SCHEMES[name];
  if (scheme) return scheme;
  const known = Object.keys(SCHEMES).map((known) => `${known}:`);
  throw new InvalidInput(
    `"${text}" is no store: "${name}:" is unknown, known are ${known.join(' and ')} (a folder of that name is ./${text})`,
  );
}

function absoluteFileUri(text: string, baseDir: string): string {
  return pathToFileURL(resolve(baseDir, pathOfFileUri(text))).href;
}

async function openFolder(uri: string): Promise<ObjectStore> {
  const path = fileURLToPath(uri);
  try {
    if (!(await fs.stat(path)).isDirectory()) throw new StorageUnavailable(`the store ${path} is a file; name a folder`);
  } catch (error) {
    if (error instanceof StorageUnavailable) throw error;
    if (systemCode(error) !== 'ENOENT') throw storageUnavailable('open the store', path, error);
  }
  return new FileObjectStore(path);
}
