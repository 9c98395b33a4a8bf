import sharp from 'sharp';
import { cosine } from './cosine.js';
import { decodePair, decodePixels, type RgbImage } from './pixels.js';
import { psnr, PSNR_CAP_DB } from './psnr.js';
import { ssim } from './ssim.js';

function picture(width: number, height: number, value: (x: number, y: number, c: number) => number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = value(x, y, c) % 256;
  return { width, height, data };
}
const texture = (w: number, h: number, k: number) =>
  picture(w, h, (x, y, c) => x * (7 + k) + y * 13 + c * 31 + Math.floor((x * y) / (4 + k)) + k * 5);
const smooth = (w: number, h: number, k: number) =>
  picture(w, h, (x, y, c) => x * 4 + y * 2 + c * 20 + k * ((Math.floor(x / 8) + Math.floor(y / 8)) % 2) * 3);

/** scikit-image 0.26.0 on the same pictures, with the arguments named in ssim.ts and psnr.ts. */
const GOLDEN: Array<[string, RgbImage, RgbImage, { ssim: number; psnr: number }]> = [
  ['a texture', texture(64, 64, 0), texture(64, 64, 1), { ssim: 0.5528971075486494, psnr: 10.709249829388977 }],
  ['close pictures, not square', smooth(48, 32, 0), smooth(48, 32, 4), { ssim: 0.8232322716182096, psnr: 19.277191408363983 }],
  ['the smallest size', texture(11, 11, 2), texture(11, 11, 3), { ssim: 0.8725359862156922, psnr: 15.732619458728864 }],
];

describe('ssim and psnr', () => {
  test.each(GOLDEN)('equal scikit-image on %s', (_, a, b, expected) => {
    expect(ssim(a, b)).toBeCloseTo(expected.ssim, 12);
    expect(psnr(a, b)).toBeCloseTo(expected.psnr, 12);
    expect(ssim(b, a)).toBeCloseTo(expected.ssim, 12);
  });

  test('equal pictures: 1 and the cap', () => {
    expect(ssim(texture(20, 12, 0), texture(20, 12, 0))).toBeCloseTo(1, 12);
    expect(psnr(texture(20, 12, 0), texture(20, 12, 0))).toBe(PSNR_CAP_DB);
  });

  test('refuse other sizes and pictures below the window', () => {
    expect(() => ssim(texture(20, 12, 0), texture(12, 20, 0))).toThrow('one size');
    expect(() => psnr(texture(20, 12, 0), texture(12, 20, 0))).toThrow('one size');
    expect(() => ssim(texture(10, 64, 0), texture(10, 64, 0))).toThrow('at least 11x11');
  });
});

describe('pixels', () => {
  const png = (image: RgbImage) =>
    sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
      .png()
      .toBuffer();

  test('a PNG comes back as it was', async () => {
    const original = texture(17, 9, 3);
    expect(await decodePixels(await png(original))).toEqual(original);
  });

  test('grey becomes three channels, transparency white', async () => {
    const grey = await sharp(Buffer.from([10, 200]), { raw: { width: 2, height: 1, channels: 1 } })
      .png()
      .toBuffer();
    expect([...(await decodePixels(grey)).data]).toEqual([10, 10, 10, 200, 200, 200]);
    const clear = await sharp(Buffer.from([9, 9, 9, 0, 7, 8, 9, 255]), { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    expect([...(await decodePixels(clear)).data]).toEqual([255, 255, 255, 7, 8, 9]);
  });

  test('of two sizes the generated picture takes the true one’s', async () => {
    const pair = await decodePair(await png(texture(64, 64, 0)), await png(texture(32, 20, 0)));
    expect(pair).toMatchObject({ resized: true, image: { width: 32, height: 20 }, trueImage: { width: 32, height: 20 } });
    expect(pair.image.data).toHaveLength(32 * 20 * 3);
    expect((await decodePair(await png(texture(8, 8, 0)), await png(texture(8, 8, 1)))).resized).toBe(false);
  });

  test('bytes that are no picture are refused', async () => {
    await expect(decodePixels(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({ code: 'InvalidInput' });
  });
});

describe('cosine', () => {
  test('by hand', () => {
    expect(cosine(new Float32Array([3, 4]), new Float32Array([4, 3]))).toBeCloseTo(24 / 25, 12);
    expect(cosine(new Float32Array([1, 0]), new Float32Array([-2, 0]))).toBe(-1);
  });
  test('refuses vectors of two lengths, zero vectors and NaN', () => {
    expect(() => cosine(new Float32Array(3), new Float32Array(2))).toThrow('one length');
    expect(() => cosine(new Float32Array(2), new Float32Array([1, 0]))).toThrow('not finite');
    expect(() => cosine(new Float32Array([NaN, 1]), new Float32Array([1, 0]))).toThrow('not finite');
  });
});
