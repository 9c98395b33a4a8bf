import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { METRICS } from '../../core/item-plan.js';
import { scoreImage, scorers } from './scores.js';

const solid = (r: number) =>
  sharp({ create: { width: 16, height: 16, channels: 3, background: { r, g: 40, b: 40 } } })
    .png()
    .toBuffer();
const docs = readFileSync('docs/scores.md', 'utf8');
const ALL = ['clip_text', 'image_similarity', 'ssim', 'psnr'];
const embeddings = { clip_text: new Float32Array([1, 0]), image_similarity: new Float32Array([0, 1]) };
const references = { clip_text: new Float32Array([0.6, 0.8]), image_similarity: new Float32Array([0.6, 0.8]) };

test('there is a scorer for every metric that core knows, and no other', () => {
  expect(Object.keys(scorers).sort()).toEqual(Object.keys(METRICS).sort());
});

test('what may stop the loop is higher where it is better, and every metric stands in docs/scores.md as it is declared', () => {
  for (const [name, { needsTrueImage, better, range, calibration }] of Object.entries(METRICS)) {
    if (!needsTrueImage) expect(better).toBe('higher');
    expect(docs).toContain(`| \`${name}\` |`);
    expect(docs).toContain(`| ${range.join(' to ')} | ${better} | ${calibration} |`);
  }
});

test('scores by name, each metric with its own embedding', async () => {
  const image = await solid(40);
  const scores = await scoreImage(ALL, { image, trueImage: image }, embeddings, references);
  expect(scores).toEqual({
    clip_text: expect.closeTo(0.6, 6),
    image_similarity: expect.closeTo(0.8, 6),
    ssim: expect.closeTo(1, 12),
    psnr: 100,
  });
});

test('without a true picture the metrics that need one are left out', async () => {
  expect(Object.keys(await scoreImage(ALL, { image: await solid(40) }, embeddings, references))).toEqual(['clip_text']);
});

test('scores lie within the ranges that core declares', async () => {
  const scores = await scoreImage(ALL, { image: await solid(0), trueImage: await solid(255) }, embeddings, references);
  for (const [name, value] of Object.entries(scores)) {
    const [lo, hi] = METRICS[name]!.range;
    expect(value).toBeGreaterThanOrEqual(lo);
    expect(value).toBeLessThanOrEqual(hi);
  }
});

test('a judgement is the number that the model gave', async () => {
  const image = await solid(1);
  const lpips = (value?: number) =>
    scoreImage(['lpips'], { image, trueImage: image }, value === undefined ? {} : { lpips: Float32Array.of(value) });
  expect(await lpips(0.25)).toEqual({ lpips: 0.25 });
  await expect(lpips(NaN)).rejects.toMatchObject({ code: 'ModelOutputInvalid' });
  await expect(lpips()).rejects.toThrow("lpips needs the model's judgement");
});

test('an unknown metric and a missing embedding are refused', async () => {
  const image = await solid(1);
  await expect(scoreImage(['fid'], { image })).rejects.toThrow('unknown metric fid');
  await expect(scoreImage(['toString'], { image })).rejects.toThrow('unknown metric');
  await expect(scoreImage(['clip_text'], { image })).rejects.toThrow('clip_text needs the embeddings');
});
