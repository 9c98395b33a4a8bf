import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { checkImage, loadImage } from './image-file.js';

let folder: string;
beforeEach(async () => (folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-image-'))));
afterEach(() => fs.rm(folder, { recursive: true }));

/** 96 x 96 pixels of noise: nothing of it compresses away, so that a cut hits pixels. */
const noise = (): Sharp =>
  sharp(Buffer.from(Array.from({ length: 96 * 96 * 3 }, (_, i) => (i * 7919) % 251)), { raw: { width: 96, height: 96, channels: 3 } });
const encoded = {
  png: () => noise().png().toBuffer(),
  jpeg: () => noise().jpeg().toBuffer(),
  webp: () => noise().webp().toBuffer(),
  gif: () => noise().gif().toBuffer(),
  tiff: () => noise().tiff().toBuffer(),
};

describe.each(Object.entries(encoded))('%s', (format, encode) => {
  it('is taken by what it is, not by its name', async () => {
    const path = join(folder, 'picture.txt');
    const bytes = await encode();
    await fs.writeFile(path, bytes);
    expect(await loadImage(path)).toEqual({ ok: true, bytes, mediaType: `image/${format}` });
  });

  it.each([0.1, 0.5, 0.9])('is refused when it is cut off after %d of its bytes', async (share) => {
    const bytes = await encode();
    const result = await checkImage(bytes.subarray(0, Math.floor(bytes.length * share)), 'cut');
    expect(result).toMatchObject({ ok: false, reason: expect.stringContaining('the image cut is cut off or spoilt') as string });
  });
});

it('refuses a PNG with a flipped byte among its pixels', async () => {
  const bytes = await encoded.png();
  bytes[Math.floor(bytes.length / 2)]! ^= 0xff;
  expect((await checkImage(bytes, 'x')).ok).toBe(false);
});

it('refuses what is no picture, nothing, and a picture of another kind', async () => {
  expect(await checkImage(Buffer.from('hello'), 'x')).toMatchObject({ ok: false });
  expect(await checkImage(new Uint8Array(), 'x')).toEqual({ ok: false, reason: 'the image x is empty' });
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
  expect(await checkImage(svg, 'x')).toMatchObject({ ok: false, reason: expect.stringContaining('is svg; known are png') as string });
});

it('refuses an absurd size by its header alone', async () => {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(60_000, 0);
  header.writeUInt32BE(60_000, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const bomb = Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(1000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
  expect(await checkImage(bomb, 'bomb')).toEqual({ ok: false, reason: 'the image bomb has 60000 x 60000 pixels, more than 64 million' });
});

it('says that a file is missing, or is a folder', async () => {
  expect(await loadImage(join(folder, 'none.png'))).toEqual({ ok: false, reason: `the image ${folder}/none.png is not there` });
  expect(await loadImage(folder)).toEqual({ ok: false, reason: `the image ${folder} cannot be read (EISDIR)` });
});
