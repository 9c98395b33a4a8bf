import { promises as fs } from 'node:fs';
import sharp from 'sharp';
import { EmbeddedImage } from './parquet-file.js';
import { messageOf, storageUnavailable, systemCode } from '../storage/file-errors.js';

/** Pixels of the largest picture that is taken: beyond it lie mistakes and decompression bombs. */
export const MAX_IMAGE_PIXELS = 64_000_000;
/** Bytes of the largest picture file that is taken. */
export const MAX_IMAGE_BYTES = 256 * 1024 * 1024;

const MEDIA_TYPES: Record<string, string> = {
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  tiff: 'image/tiff',
  heif: 'image/avif',
};

/** Names that are taken for pictures when a folder is searched. */
export const IMAGE_NAME = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;

export type LoadedImage = { ok: true; bytes: Uint8Array; mediaType: string } | { ok: false; reason: string };

/** Where a picture is: the absolute path of its file, or a place in a Parquet file. */
export type ImageSource = string | EmbeddedImage;

/**
 * Reads a picture and decodes it to its last pixel. `reason`: why it cannot be used.
 * Throws StorageUnavailable where the disk, not the file, is at fault.
 */
export async function loadImage(source: ImageSource): Promise<LoadedImage> {
  if (source instanceof EmbeddedImage) {
    const bytes = await source.read();
    if (bytes === null) return { ok: false, reason: `the image ${source.name} is missing` };
    if (bytes.byteLength <= MAX_IMAGE_BYTES) return checkImage(bytes, source.name);
    return { ok: false, reason: `the image ${source.name} has ${bytes.byteLength} bytes, more than ${MAX_IMAGE_BYTES}` };
  }
  const path = source;
  try {
    const { size } = await fs.stat(path);
    if (size > MAX_IMAGE_BYTES) return { ok: false, reason: `the image ${path} has ${size} bytes, more than ${MAX_IMAGE_BYTES}` };
    return await checkImage(await fs.readFile(path), path);
  } catch (error) {
    const code = systemCode(error) ?? '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return { ok: false, reason: `the image ${path} is not there` };
    if (['EISDIR', 'EACCES', 'EPERM', 'ENAMETOOLONG', 'ELOOP'].includes(code)) {
      return { ok: false, reason: `the image ${path} cannot be read (${code})` };
    }
    throw storageUnavailable('read', path, error);
  }
}

/** See {@link loadImage}; `name` names the picture in the reason. */
export async function checkImage(bytes: Uint8Array, name: string): Promise<LoadedImage> {
  if (bytes.byteLength === 0) return { ok: false, reason: `the image ${name} is empty` };
  try {
    // The limit is checked here, on the header, so that the reason can name the size.
    const { format, width, height } = await sharp(bytes, { limitInputPixels: false }).metadata();
    if (width * height > MAX_IMAGE_PIXELS) {
      return { ok: false, reason: `the image ${name} has ${width} x ${height} pixels, more than ${MAX_IMAGE_PIXELS / 1e6} million` };
    }
    const mediaType = MEDIA_TYPES[format];
    if (mediaType === undefined) {
      return { ok: false, reason: `the image ${name} is ${format}; known are ${Object.keys(MEDIA_TYPES).join(', ')}` };
    }
    // Beyond 'truncated': a TIFF whose end is cut off may lose only its tables, which is an error of another kind.
    await sharp(bytes, { failOn: 'error', limitInputPixels: MAX_IMAGE_PIXELS }).raw().toBuffer();
    return { ok: true, bytes, mediaType };
  } catch (error) {
    const why = messageOf(error).split('\n')[0];
    return { ok: false, reason: `the image ${name} is cut off or spoilt: ${why}` };
  }
}
