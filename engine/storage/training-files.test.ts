import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isArtifactLoss } from './artifact-store.js';
import { getFolder, putFolder } from './folder-artifact.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';
import type { CellCheckpoints, CheckpointRecord } from './training-files.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-training-files-'));
  store = await openStore(join(folder, 'store'));
});
afterEach(() => fs.rm(folder, { recursive: true }));

const cell = () => store.training('t').checkpoints(0);

async function upload(checkpoints: CellCheckpoints, step: number) {
  const path = await fs.mkdtemp(join(folder, 'checkpoint-'));
  await fs.writeFile(join(path, 'state'), `state ${step}`);
  await fs.writeFile(join(path, 'vocabulary'), 'the same in all');
  return putFolder(checkpoints.blobs, path);
}

async function save(checkpoints: CellCheckpoints, step: number): Promise<void> {
  await checkpoints.write({ key: 'k', step, name: `checkpoint-${step}`, folder: await upload(checkpoints, step) }, []);
}

async function stateOf({ folder: stored, writer }: CheckpointRecord): Promise<string> {
  const out = join(folder, 'out');
  await getFolder(cell().blobsOf(writer), stored, out);
  return fs.readFile(join(out, 'state'), 'utf8');
}

async function blobs(): Promise<number> {
  let count = 0;
  for await (const _ of store.objects.list('training/t/cells/0/checkpoint/')) count += 1;
  return count;
}

test('the newest checkpoint alone is kept, whoever wrote the one before', async () => {
  const first = cell();
  await save(first, 5);
  await save(first, 10);
  expect(await blobs()).toBe(3);
  const second = cell();
  expect(await stateOf((await second.find('k'))!.record)).toBe('state 10');
  await save(second, 15);
  expect(await stateOf((await cell().find('k'))!.record)).toBe('state 15');
  expect(await blobs()).toBe(3);
  await second.remove();
  expect(await blobs()).toBe(0);
});

test('two attempts that write at once take nothing from each other', async () => {
  const [old, young] = [cell(), cell()];
  await save(old, 5);
  await young.find('k');
  const uploaded = await upload(young, 10);
  await save(old, 10);
  await young.write({ key: 'k', step: 10, name: 'checkpoint-10', folder: uploaded }, []);
  expect(await stateOf((await cell().find('k'))!.record)).toBe('state 10');
});

test.each([
  ['spoilt', Buffer.from('state 6')],
  ['lost', null],
])('a checkpoint that is %s is told, and heals where the same is written again', async (_, bytes) => {
  const checkpoints = cell();
  await save(checkpoints, 5);
  for await (const name of store.objects.list('training/t/cells/0/checkpoint/')) {
    if (Buffer.from((await store.objects.get(name))!).toString() !== 'state 5') continue;
    if (bytes) await store.objects.put(name, bytes);
    else await store.objects.delete(name);
  }
  const { record } = (await cell().find('k'))!;
  expect(isArtifactLoss(await stateOf(record).catch((error: unknown) => error))).toBe(true);
  await save(checkpoints, 5);
  expect(await stateOf((await cell().find('k'))!.record)).toBe('state 5');
});
