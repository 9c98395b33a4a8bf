import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { openStore, storeUri } from './open-store.js';

it.each([
  ['file:./runs', 'file:///base/runs'],
  ['file:runs', 'file:///base/runs'],
  ['file:../runs/', 'file:///runs'],
  ['file:///abs/runs', 'file:///abs/runs'],
  ['file://localhost/abs', 'file:///abs'],
  ['file:/abs', 'file:///abs'],
  ['FILE:./runs', 'file:///base/runs'],
  ['./runs', 'file:///base/runs'],
  ['/abs/with space', 'file:///abs/with%20space'],
  ['file:///abs/with%20space', 'file:///abs/with%20space'],
  ['./100%25', 'file:///base/100%2525'],
  ['s3://bucket/runs/', 's3://bucket/runs'],
  ['s3://bucket', 's3://bucket'],
  ['s3://bucket/a?path_style=true&endpoint=http://localhost:9000/', 's3://bucket/a?endpoint=http://localhost:9000&path_style=true'],
])('makes %s absolute', (text, uri) => {
  expect(storeUri(text, '/base')).toBe(uri);
});

it('is stable: a URI that was made is its own absolute form, and leads to the path', () => {
  const name = fc.stringMatching(/^[^/\0\\:]{1,12}$/).filter((part) => part.trim() !== '');
  fc.assert(
    fc.property(name, (part) => {
      const uri = storeUri(`./${part}`, '/base');
      expect(storeUri(uri, '/elsewhere')).toBe(uri);
      expect(fileURLToPath(uri)).toBe(resolve('/base', part));
    }),
  );
});

it.each([
  ['s3://', 'names no bucket'],
  ['s3://Bucket', 'cannot be the name of a bucket'],
  ['s3://bucket/a//b', 'is no prefix'],
  ['s3://bucket/a?endpont=x', 'known are endpoint, region, path_style'],
  ['s3://bucket/a?endpoint=localhost:9000', 'no URL of a server'],
  ['gs://bucket', 'known are file: and s3:'],
  ['http://x/y', 'known are file: and s3:'],
  ['', 'empty'],
  ['file:', 'names no folder'],
  ['file://server/share', 'another machine'],
])('refuses "%s" and says why', async (text, why) => {
  expect(() => storeUri(text, '/base')).toThrow(InvalidInput);
  await expect(openStore(text)).rejects.toThrow(why);
});

it('makes nothing when it opens, and a file in the way is named', async () => {
  const folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-open-'));
  try {
    const store = await openStore(`file:${folder}/runs`);
    expect(store.uri).toBe(pathToFileURL(join(folder, 'runs')).href);
    expect(await store.listRuns()).toEqual([]);
    expect(await fs.readdir(folder)).toEqual([]);
    await fs.writeFile(join(folder, 'runs'), '');
    await expect(openStore(store.uri)).rejects.toThrow(StorageUnavailable);
    await expect(openStore(`${store.uri}/below`)).rejects.toThrow(`${folder}/runs/below: a file stands`);
  } finally {
    await fs.rm(folder, { recursive: true });
  }
});
