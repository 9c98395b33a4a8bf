import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageUnavailable } from '../../core/errors.js';
import type { ArtifactRef, Digest } from '../../core/types.js';
import { isArtifactLoss, type ArtifactStore } from './artifact-store.js';
import { parseObject } from './json-objects.js';

/** A folder in a store: a list of files, each the concatenation of artifacts. Times, modes and empty folders are left out. */
export const FOLDER_MEDIA_TYPE = 'application/vnd.refineloop.folder+json';

interface FolderFile {
  /** Relative, with `/`. */
  path: string;
  bytes: number;
  parts: Digest[];
}

/** Weights are larger than what one buffer holds. */
const PART_BYTES = 64 * 2 ** 20;

type Blobs = Pick<ArtifactStore, 'putArtifact' | 'getArtifact'>;

/**
 * Stores a folder, links followed; the same files give the same digest.
 * @param skip of a file's or a folder's relative path: it is left out
 */
export async function putFolder(
  blobs: Blobs,
  folder: string,
  { derivedFrom = [], skip = () => false }: { derivedFrom?: Digest[]; skip?: (path: string) => boolean } = {},
): Promise<ArtifactRef> {
  const files: FolderFile[] = [];
  for (const path of await listFiles(folder, skip)) {
    const parts: Digest[] = [];
    let bytes = 0;
    for await (const part of readParts(join(folder, path))) {
      parts.push((await blobs.putArtifact(part, 'application/octet-stream')).digest);
      bytes += part.byteLength;
    }
    files.push({ path, bytes, parts });
  }
  return blobs.putArtifact(Buffer.from(`${JSON.stringify({ files })}\n`), FOLDER_MEDIA_TYPE, derivedFrom);
}

/** Relative paths (with `/`) of all files below a folder, in the order of their UTF-16 code units. */
async function listFiles(folder: string, skip: (path: string) => boolean): Promise<string[]> {
  const walk = async (under: string): Promise<string[]> => {
    const entries = await readdir(join(folder, under), { withFileTypes: true });
    const nested = entries.map(async (entry) => {
      const path = under === '' ? entry.name : `${under}/${entry.name}`;
      if (skip(path)) return [];
      return entry.isDirectory() ? walk(path) : [path];
    });
    return (await Promise.all(nested)).flat();
  };
  return (await walk('')).sort();
}

async function* readParts(file: string): AsyncIterable<Uint8Array> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    for (let left = size; left > 0;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(left, PART_BYTES)));
      if (bytesRead === 0) return; // It was cut short meanwhile.
      yield buffer.subarray(0, bytesRead);
      left -= bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/**
 * Writes a stored folder to a path, in the place of what is there: under a temporary name first, so that a folder under its own name is whole.
 * Throws ArtifactMissing or ArtifactCorrupt.
 */
export async function getFolder(blobs: Blobs, folder: ArtifactRef, destination: string): Promise<void> {
  const partial = `${destination}.partial-${process.pid}`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    for (const { path, parts } of await readFolder(blobs, folder)) {
      const file = join(partial, path);
      await mkdir(dirname(file), { recursive: true });
      const handle = await open(file, 'w');
      try {
        for (const digest of parts) await handle.writeFile(await blobs.getArtifact(digest));
      } finally {
        await handle.close();
      }
    }
    await rm(destination, { recursive: true, force: true });
    await rename(partial, destination);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** The files of a stored folder. */
export async function readFolder(blobs: Blobs, folder: ArtifactRef): Promise<FolderFile[]> {
  const list = parseObject<{ files: FolderFile[] }>(Buffer.from(await blobs.getArtifact(folder)).toString('utf8'));
  // Its bytes have their digest: what wrote them was no folder.
  if (!Array.isArray(list?.files)) throw new StorageUnavailable(`artifact ${folder.digest} is no folder`);
  const leads = list.files.find(({ path }) => path.split('/').some((part) => part === '..' || part === ''));
  if (leads) throw new StorageUnavailable(`artifact ${folder.digest} holds a file ${JSON.stringify(leads.path)}, which leads out of it`);
  return list.files;
}

/** Whether a stored folder could be fetched whole; of any other artifact, whether it is intact. Reads all of it. */
export async function isWhole(artifacts: ArtifactStore, output: ArtifactRef): Promise<boolean> {
  if (output.mediaType !== FOLDER_MEDIA_TYPE) return (await artifacts.checkArtifact(output)) === 'intact';
  try {
    const parts = new Set((await readFolder(artifacts, output)).flatMap((file) => file.parts));
    for (const part of parts) if ((await artifacts.checkArtifact(part)) !== 'intact') return false;
    return true;
  } catch (error) {
    if (isArtifactLoss(error)) return false;
    throw error;
  }
}

/** Digests of all that a stored folder is made of, its own included; of one that is lost, its own alone. */
export async function folderDigests(blobs: Blobs, folder: ArtifactRef): Promise<Digest[]> {
  try {
    return [folder.digest, ...(await readFolder(blobs, folder)).flatMap(({ parts }) => parts)];
  } catch (error) {
    if (isArtifactLoss(error)) return [folder.digest];
    throw error;
  }
}
