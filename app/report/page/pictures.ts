import pLimit from 'p-limit';
import sharp from 'sharp';
import type { Digest } from '../../../core/types.js';
import type { ResultsDocument } from '../results-document.js';

/** A picture as a page shows it; `src` is `null` where it could not be read, and `problem` says why. */
export type ReportPicture = { src: string; problem: null } | { src: null; problem: string };
export type ReportPictures = ReadonlyMap<Digest, ReportPicture>;
type ReadBlob = (digest: Digest) => Promise<Uint8Array>;

/** Longer sides are shrunk to this many pixels, so that a report over large pictures stays a file that opens. */
export const MAX_SIDE = 384;
/** Longer side of a picture in the form of a folder, where there are thousands. */
export const THUMBNAIL_SIDE = 192;

const READS_AT_ONCE = 8;

/** Every picture that the document's items show. */
export const picturesOf = (doc: ResultsDocument): Digest[] =>
  doc.items.flatMap((item) => [
    ...(item.trueImage ? [item.trueImage] : []),
    ...item.arms.flatMap((arm) => arm.rounds.map((round) => round.image)),
  ]);

/** Pictures as data URIs. */
export function inlinePictures(digests: readonly Digest[], readBlob: ReadBlob): Promise<ReportPictures> {
  const encode = async (bytes: Uint8Array) => {
    const { width, height } = await sharp(bytes).metadata();
    const type = browserType(bytes);
    if (type && Math.max(width, height) <= MAX_SIDE) return dataUri(type, bytes);
    return dataUri('image/webp', await shrunk(bytes, MAX_SIDE));
  };
  return eachPicture(digests, readBlob, encode, (_, uri) => Promise.resolve(uri));
}

/** Pictures as thumbnails in files of their own, named by the digest of the whole picture. */
export function thumbnailFiles(
  digests: readonly Digest[],
  readBlob: ReadBlob,
  write: (name: string, content: Uint8Array) => Promise<void>,
): Promise<ReportPictures> {
  const encode = (bytes: Uint8Array) => shrunk(bytes, THUMBNAIL_SIDE);
  return eachPicture(digests, readBlob, encode, async (digest, thumbnail) => {
    const name = `pictures/${digest.slice('sha256:'.length)}.webp`;
    await write(name, thumbnail);
    return name;
  });
}

/**
 * Every picture once. One that cannot be read or decoded never fails the report.
 * @param place where the encoded picture is to be found
 */
async function eachPicture<Encoded>(
  digests: readonly Digest[],
  readBlob: ReadBlob,
  encode: (bytes: Uint8Array) => Promise<Encoded>,
  place: (digest: Digest, encoded: Encoded) => Promise<string>,
): Promise<ReportPictures> {
  const show = async (digest: Digest): Promise<ReportPicture> => {
    const read = await attempt('not in the store', () => readBlob(digest));
    if ('problem' in read) return { src: null, problem: read.problem };
    const encoded = await attempt('not a readable picture', () => encode(read.value));
    if ('problem' in encoded) return { src: null, problem: encoded.problem };
    return { src: await place(digest, encoded.value), problem: null };
  };
  const limit = pLimit(READS_AT_ONCE);
  return new Map(await Promise.all([...new Set(digests)].map((digest) => limit(async () => [digest, await show(digest)] as const))));
}

async function attempt<T>(problem: string, action: () => Promise<T>): Promise<{ value: T } | { problem: string }> {
  try {
    return { value: await action() };
  } catch (error) {
    return { problem: `${problem}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** WebP of at most `side` pixels on the longer side. */
function shrunk(bytes: Uint8Array, side: number): Promise<Buffer> {
  return sharp(bytes).resize(side, side, { fit: 'inside', withoutEnlargement: true }).webp({ quality: 90 }).toBuffer();
}

const dataUri = (type: string, bytes: Uint8Array): string => `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;

/** Media type by the first bytes, of the pixel formats that every browser shows; anything else is encoded anew. */
function browserType(bytes: Uint8Array): string | null {
  const head = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  if (head.startsWith('\x89PNG')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'image/webp';
  return null;
}
