import sharp from 'sharp';
import type { Digest } from '../../core/types.js';
import type { ResultsDocument } from './results-document.js';

/** A picture ready to stand in a page; `uri` is `null` where it could not be read, and `problem` says why. */
export type InlinePicture = { uri: string; problem: null } | { uri: null; problem: string };

/** Longer sides are shrunk to this many pixels, so that a report over large pictures stays a file that opens. */
export const MAX_SIDE = 384;

const READS_AT_ONCE = 8;

/** Reads every picture of the document once. One that cannot be read never fails the report. */
export async function inlinePictures(
  doc: ResultsDocument,
  readBlob: (digest: Digest) => Promise<Uint8Array>,
): Promise<Map<Digest, InlinePicture>> {
  const wanted = doc.items.flatMap((item) => [
    ...(item.trueImage ? [item.trueImage] : []),
    ...item.arms.flatMap((arm) => arm.rounds.map((round) => round.image)),
  ]);
  const queue = [...new Set(wanted)];
  const pictures = new Map<Digest, InlinePicture>();
  const reader = async () => {
    for (let digest = queue.shift(); digest !== undefined; digest = queue.shift()) pictures.set(digest, await inline(digest, readBlob));
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
  return pictures;
}

async function inline(digest: Digest, readBlob: (digest: Digest) => Promise<Uint8Array>): Promise<InlinePicture> {
  let bytes: Uint8Array;
  try {
    bytes = await readBlob(digest);
  } catch (error) {
    return { uri: null, problem: `not in the store: ${error instanceof Error ? error.message : String(error)}` };
  }
  try {
    const { width, height } = await sharp(bytes).metadata();
    const type = browserType(bytes);
    if (type && Math.max(width, height) <= MAX_SIDE) return dataUri(type, bytes);
    const small = sharp(bytes).resize(MAX_SIDE, MAX_SIDE, { fit: 'inside', withoutEnlargement: true });
    return dataUri('image/webp', await small.webp({ quality: 90 }).toBuffer());
  } catch (error) {
    return { uri: null, problem: `not a readable picture: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function dataUri(type: string, bytes: Uint8Array): InlinePicture {
  return { uri: `data:${type};base64,${Buffer.from(bytes).toString('base64')}`, problem: null };
}

/** Media type by the first bytes, of the pixel formats that every browser shows; anything else is encoded anew. */
function browserType(bytes: Uint8Array): string | null {
  const head = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  if (head.startsWith('\x89PNG')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'image/webp';
  return null;
}
