import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { artifactKey } from './artifact-store.js';
import { collectGarbage } from './collect-garbage.js';
import { getFolder, putFolder, readFolder } from './folder-artifact.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-folder-'));
  store = await openStore(join(folder, 'store'));
});
afterEach(() => fs.rm(folder, { recursive: true }));

async function write(files: Record<string, string | Uint8Array>): Promise<string> {
  const path = await fs.mkdtemp(join(folder, 'in-'));
  for (const [name, content] of Object.entries(files)) {
    await fs.mkdir(join(path, name, '..'), { recursive: true });
    await fs.writeFile(join(path, name), content);
  }
  return path;
}

test('a folder comes back as it was, in the place of what was there; what is skipped and empty files too', async () => {
  const ref = await putFolder(store.artifacts, await write({ 'a.txt': 'a', 'deep/er/b.txt': 'b', none: '', 'left/out': 'x' }), {
    skip: (path) => path === 'left',
  });
  const out = join(folder, 'out');
  await fs.mkdir(out);
  await fs.writeFile(join(out, 'old'), 'old');
  await getFolder(store.artifacts, ref, out);
  expect((await fs.readdir(out, { recursive: true })).sort()).toEqual(['a.txt', 'deep', 'deep/er', 'deep/er/b.txt', 'none']);
  expect(await fs.readFile(join(out, 'deep/er/b.txt'), 'utf8')).toBe('b');
  expect((await fs.stat(join(out, 'none'))).size).toBe(0);
  const again = await putFolder(store.artifacts, await write({ none: '', 'deep/er/b.txt': 'b', 'a.txt': 'a' }));
  expect(again.digest).toBe(ref.digest);
});

test('a file larger than a part comes back whole', async () => {
  const bytes = Buffer.alloc(64 * 2 ** 20 + 5, 'many parts ');
  const ref = await putFolder(store.artifacts, await write({ weights: bytes }));
  expect((await readFolder(store.artifacts, ref))[0]).toMatchObject({ path: 'weights', bytes: bytes.length, parts: { length: 2 } });
  await getFolder(store.artifacts, ref, join(folder, 'out'));
  expect((await fs.readFile(join(folder, 'out/weights'))).equals(bytes)).toBe(true);
});

test('a part that is gone is told, and what was there stays', async () => {
  const ref = await putFolder(store.artifacts, await write({ a: 'a' }));
  const [file] = await readFolder(store.artifacts, ref);
  await store.objects.delete(artifactKey(file!.parts[0]!));
  const out = await write({ old: 'old' });
  await expect(getFolder(store.artifacts, ref, out)).rejects.toMatchObject({ name: 'ArtifactMissing' });
  expect(await fs.readdir(out)).toEqual(['old']);
});

test('a step of which a part of a folder is lost counts as not recorded, and is recorded again', async () => {
  const model = await putFolder(store.artifacts, await write({ a: 'a', b: 'b' }));
  const record = { key: 'step', outputs: { model }, inputs: [], values: {} } as never;
  await store.recordStep(record);
  expect(await store.findStep('step')).toMatchObject({ outputs: { model } });
  const [, second] = await readFolder(store.artifacts, model);
  await store.objects.delete(artifactKey(second!.parts[0]!));
  expect(await store.findStep('step')).toBeUndefined();
  const again = await putFolder(store.artifacts, await write({ a: 'a', c: 'c' }));
  expect(await store.recordStep({ ...(record as object), outputs: { model: again } } as never)).toMatchObject({
    outputs: { model: again },
  });
});

test('what a training refers to is no garbage, and an open one stops the collection', async () => {
  const set = await putFolder(store.artifacts, await write({ 'train/metadata.jsonl': '{}' }));
  const pack = await putFolder(store.artifacts, await write({ 'pack.json': '{}' }));
  const [text, stray] = await Promise.all(['text', 'stray'].map((content) => store.putArtifact(Buffer.from(content), 'text/plain')));
  const files = store.training('learned');
  await files.createManifest({ data: { folder: set } } as never);
  await files.writeResult({ cells: [], steps: [], measured: text, picture: text, pack } as never);
  const now = new Date('2026-06-03T12:00:00Z');
  const collect = () => collectGarbage(store, { keep: null, delete: true, now });
  await files.writeState({ state: 'running', startedAt: '2026-06-01T00:00:00Z', finishedAt: null });
  await expect(collect()).rejects.toThrow(/training learned is open/);
  await files.writeState({ state: 'completed', startedAt: '2026-06-01T00:00:00Z', finishedAt: '2026-06-01T00:00:00Z' });
  expect(await collect()).toMatchObject({ artifacts: 1, deleted: true });
  expect(await store.hasArtifact(stray!)).toBe(false);
  await getFolder(store.artifacts, pack, join(folder, 'pack'));
  await getFolder(store.artifacts, set, join(folder, 'set'));
});

test('what a training that was cancelled has finished is no garbage', async () => {
  const files = store.training('cancelled');
  await files.createManifest({ data: { folder: await putFolder(store.artifacts, await write({ set: 's' })) } } as never);
  await files.writeState({ state: 'cancelled', startedAt: '2026-06-01T00:00:00Z', finishedAt: '2026-06-01T00:00:00Z' });
  const adapter = await putFolder(store.artifacts, await write({ adapter: 'a' }));
  for (const key of ['trained', 'stray']) await store.recordStep({ key, outputs: { adapter }, inputs: [], values: {} } as never);
  await files.writeStep(0, 'train', 'trained');
  await files.writeStep(1, 'train', 'never-recorded');
  const garbage = await collectGarbage(store, { keep: null, delete: true, now: new Date('2026-06-03T12:00:00Z') });
  expect(garbage).toMatchObject({ steps: 1, artifacts: 0 });
  expect(await store.findStep('trained')).toBeDefined();
});
