import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { digestOf } from '../../core/content-hash.js';
import { failureCode, InvalidInput } from '../../core/errors.js';
import type { Digest } from '../../core/types.js';
import { ArtifactCorrupt, artifactKey, ArtifactMissing, digestOfBytes, isArtifactLoss } from './artifact-store.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-artifacts-'));
  store = await openStore(folder);
});
afterEach(() => fs.rm(folder, { recursive: true }));

const bytes = Buffer.from('a picture');
const pathOf = (digest: Digest): string => join(folder, artifactKey(digest));

async function flipByte(digest: Digest): Promise<void> {
  const content = await fs.readFile(pathOf(digest));
  content[3]! ^= 1;
  await fs.writeFile(pathOf(digest), content);
}

it('stores bytes under their digest and gives them back by digest or reference', async () => {
  const parent = digestOf('parent');
  const ref = await store.putArtifact(bytes, 'image/png', [parent, parent]);
  expect(ref).toEqual({ digest: digestOf(bytes), mediaType: 'image/png', bytes: 9, derivedFrom: [parent] });
  expect(pathOf(ref.digest)).toMatch(/blobs\/sha256\/([0-9a-f]{2})\/\1[0-9a-f]{62}$/);
  expect(Buffer.from(await store.getArtifact(ref)).equals(bytes)).toBe(true);
  expect(Buffer.from(await store.getArtifact(ref.digest)).equals(bytes)).toBe(true);
  expect(await store.hasArtifact(ref)).toBe(true);
});

it('digests bytes as the core does', () => {
  fc.assert(fc.property(fc.uint8Array(), (value) => digestOfBytes(value) === digestOf(value)));
});

it('tells a missing artifact from a store that does not work', async () => {
  const digest = digestOf('never put');
  expect(await store.hasArtifact(digest)).toBe(false);
  const error: unknown = await store.getArtifact(digest).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ArtifactMissing);
  expect(error).toMatchObject({ digest });
  expect(isArtifactLoss(error)).toBe(true);
  expect(failureCode(error)).toBe('StorageUnavailable');
  await fs.mkdir(pathOf(digest), { recursive: true });
  const broken: unknown = await store.getArtifact(digest).catch((thrown: unknown) => thrown);
  expect(failureCode(broken)).toBe('StorageUnavailable');
  expect(isArtifactLoss(broken)).toBe(false);
});

it.each(['a flipped byte', 'a cut-off end'])('refuses %s, and heals when the right bytes are put again', async (damage) => {
  const { digest } = await store.putArtifact(bytes, 'image/png');
  if (damage === 'a flipped byte') await flipByte(digest);
  else await fs.truncate(pathOf(digest), 4);
  await expect(store.getArtifact(digest)).rejects.toThrow(ArtifactCorrupt);
  await expect(store.getArtifact(digest)).rejects.toThrow(digest);
  await store.putArtifact(bytes, 'image/png');
  expect(Buffer.from(await store.getArtifact(digest)).equals(bytes)).toBe(true);
});

it('does not write again what is there', async () => {
  const { digest } = await store.putArtifact(bytes, 'image/png');
  const before = await fs.stat(pathOf(digest));
  await store.putArtifact(bytes, 'image/png');
  expect((await fs.stat(pathOf(digest))).ino).toBe(before.ino);
});

it.each(['sha256:../../etc/passwd', 'sha256:AB', 'md5:00'])('refuses %s as a digest', async (digest) => {
  await expect(store.getArtifact(digest as Digest)).rejects.toThrow(InvalidInput);
});
