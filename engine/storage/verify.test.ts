import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stepKey } from '../../core/step-key.js';
import { digestOf } from '../../core/content-hash.js';
import { itemKey } from '../../core/ids.js';
import type { ArtifactRef, ItemRecord, StepKeyInput } from '../../core/types.js';
import { artifactKey } from './artifact-store.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';
import { verifyRun } from './verify.js';

let folder: string;
let store: Store;
/** What the run refers to, by name. */
let refs: Record<'trueImage' | 'image' | 'feedback' | 'prompt' | 'embedding', ArtifactRef>;
const input: StepKeyInput = { step: 'embed', stepVersion: 1, inputs: [], params: {}, model: null, runtime: null, draw: 0 };
const key = stepKey(input);
const itemName = itemKey('a');

beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-verify-'));
  store = await openStore(folder);
  const put = (text: string, ...parents: ArtifactRef[]): Promise<ArtifactRef> =>
    store.putArtifact(
      Buffer.from(text),
      'x/y',
      parents.map((ref) => ref.digest),
    );
  const trueImage = await put('true image');
  const image = await put('image');
  const embedding = await put('embedding', image);
  refs = { trueImage, image, embedding, feedback: await put('feedback', trueImage), prompt: await put('prompt') };
  await store.recordStep({ ...input, key, outputs: { vector: embedding }, values: {}, unpinned: false, seconds: 0 });
  const run = store.run('r');
  const source = { file: 'm', line: 1 };
  await run.writeIndexShard(0, [
    { offset: 0, position: 0, id: 'a', key: itemName, caption: 'c', trueImage, feedback: {}, strata: {}, trainedOn: [], source },
  ]);
  await run.writeIndexSummary({ total: 1, items: 1, skipped: 0, shardSize: 500, shards: 1 });
  const round = { round: 0, draw: 0, seed: 1, image, tokens: { used: 1, cut: 0 }, scores: {}, steps: { embed: key } };
  const outcome = {
    ...round,
    prompt: { form: 'join' as const, parts: [{ role: 'caption' as const, weight: 1, ref: refs.prompt }] },
    feedback: { ref: refs.feedback },
  };
  const arm = {
    name: 'opt',
    repeat: 0,
    oracle: false,
    state: 'improved' as const,
    rounds: [outcome],
    best: { round: 0 },
    stopped: { round: 0, reason: 'rounds' as const },
  };
  const rest = { steps: { executed: 0, cached: 0, retried: 0 }, spent: { images: 0, seconds: 0, usd: 0 } };
  const record: ItemRecord = { id: 'a', key: itemName, position: 0, state: 'improved', arms: [arm], ...rest };
  await run.writeItem(record);
});
afterEach(() => fs.rm(folder, { recursive: true }));

it('finds nothing wrong with a whole run', async () => {
  expect(await verifyRun(store, 'r')).toEqual({ checked: 5, corrupt: [], missing: [], spoiltRecords: [] });
});

it.each(['trueImage', 'image', 'feedback', 'prompt', 'embedding'] as const)('finds a spoilt and a missing %s', async (name) => {
  const path = join(folder, artifactKey(refs[name].digest));
  await fs.truncate(path, 2);
  expect(await verifyRun(store, 'r')).toMatchObject({ checked: 5, corrupt: [refs[name].digest], missing: [] });
  await fs.rm(path);
  expect(await verifyRun(store, 'r')).toMatchObject({ checked: 5, corrupt: [], missing: [refs[name].digest] });
});

it('finds a parent that is not in the store', async () => {
  const parent = digestOf('never stored');
  const other = { ...input, draw: 1 };
  const image = await store.putArtifact(Buffer.from('child'), 'x/y', [parent]);
  const record = (await store.run('r').readItem(itemName))!;
  await store.recordStep({ ...other, key: stepKey(other), outputs: { image }, values: {}, unpinned: false, seconds: 0 });
  record.arms[0]!.rounds[0]!.steps['generate'] = stepKey(other);
  await store.run('r').writeItem(record);
  expect(await verifyRun(store, 'r')).toMatchObject({ checked: 7, missing: [parent] });
});

it('lists what is wrong in order', async () => {
  for (const ref of Object.values(refs)) await fs.rm(join(folder, artifactKey(ref.digest)));
  expect((await verifyRun(store, 'r')).missing).toEqual(
    Object.values(refs)
      .map((ref) => ref.digest)
      .sort(),
  );
});

it('names records that cannot be read', async () => {
  await fs.truncate(join(folder, `steps/${key}.json`), 20);
  expect((await verifyRun(store, 'r')).spoiltRecords).toEqual([`steps/${key}.json`]);
  await fs.truncate(join(folder, `runs/r/items/${itemName}.json`), 20);
  expect((await verifyRun(store, 'r')).spoiltRecords).toEqual([`runs/r/items/${itemName}.json`]);
});
