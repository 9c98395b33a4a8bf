import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { itemKey } from '../../core/ids.js';
import { stepKey } from '../../core/step-key.js';
import type { ArtifactRef, ItemRecord, StepKeyInput } from '../../core/types.js';
import { artifactKey } from './artifact-store.js';
import { collectGarbage } from './collect-garbage.js';
import { openStore } from './open-store.js';
import { stepRecordKey } from './step-records.js';
import type { Store } from './store.js';

const NOW = new Date('2026-06-03T12:00:00Z');
const OLD = '2026-06-01T12:00:00.000Z';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-gc-'));
  store = await openStore(folder);
});
afterEach(() => fs.rm(folder, { recursive: true }));

const put = (text: string, ...parents: ArtifactRef[]) => store.putArtifact(Buffer.from(text), 'x/y', parents.map((ref) => ref.digest)); // prettier-ignore

/** A finished run of one item: its true image, a picture by a recorded step, and an embedding that only the ledger names. */
async function run(runId: string, finishedAt: string | null = OLD) {
  const [trueImage, image] = [await put('true image'), await put(`image of ${runId}`)];
  const vector = await put(`embedding of ${runId}`, image);
  const record = async (name: string, outputs: Record<string, ArtifactRef>, inputs: ArtifactRef[] = []) => {
    const input: StepKeyInput = { step: 'embed', stepVersion: 1, inputs: inputs.map((ref) => ref.digest), params: { name }, model: null, runtime: null, draw: 0 }; // prettier-ignore
    await store.recordStep({ ...input, key: stepKey(input), outputs, values: {}, unpinned: false, seconds: 0 });
    return stepKey(input);
  };
  const generate = await record(`generate ${runId}`, { image });
  const embed = await record(`embed ${runId}`, { vector }, [image]);
  const files = store.run(runId);
  const taught = await put('what a model was taught with');
  await files.createManifest({ runId, models: { m: { trainingFeedback: taught.digest } } } as never);
  await files.writeState({ state: 'completed', startedAt: OLD, finishedAt });
  const key = itemKey('a');
  const source = { file: 'm', line: 1 };
  await files.writeIndexShard(0, [{ offset: 0, position: 0, id: 'a', key, caption: 'c', trueImage, feedback: {}, strata: {}, trainedOn: [], source }]); // prettier-ignore
  await files.writeIndexSummary({ total: 1, items: 1, skipped: 0, shardSize: 500, shards: 1 });
  const prompt = { form: 'join' as const, parts: [] };
  const round = { round: 0, draw: 0, seed: 1, prompt, feedback: null, image, tokens: { used: 1, cut: 0 }, scores: {}, steps: { generate } };
  const arm = { name: 'control', repeat: 0, oracle: false, state: 'unchanged' as const, rounds: [round], best: { round: 0 }, stopped: { round: 0, reason: 'rounds' as const } }; // prettier-ignore
  const rest = { steps: { executed: 0, cached: 0, retried: 0 }, spent: { images: 0, seconds: 0, usd: 0 } };
  await files.writeItem({ id: 'a', key, position: 0, state: 'unchanged', arms: [arm], ...rest } satisfies ItemRecord);
  await store.ledgerWriter(runId, 'w').recorded({ step: 'embed', item: 'a', arm: null, round: 0, draw: 0, key: embed });
  return { trueImage, image, vector, taught, generate, embed };
}

const keys = async (): Promise<string[]> => {
  const found: string[] = [];
  for await (const key of store.objects.list('')) found.push(key);
  return found;
};

test('deletes what no kept run refers to, and nothing else; without being told to it deletes nothing', async () => {
  const [kept, gone] = [await run('kept'), await run('gone')];
  const orphan = await put('an orphan');
  const before = await keys();
  const found = { runs: ['gone'], steps: 2, artifacts: 3, bytes: 'image of gone'.length + 'embedding of gone'.length + 'an orphan'.length };
  expect(await collectGarbage(store, { keep: ['kept'], delete: false, now: NOW })).toEqual({ ...found, deleted: false });
  expect(await keys()).toEqual(before);
  expect(await collectGarbage(store, { keep: ['kept'], delete: true, now: NOW })).toEqual({ ...found, deleted: true });
  const lost = [gone.image, gone.vector, orphan]
    .map(({ digest }) => artifactKey(digest))
    .concat([gone.generate, gone.embed].map(stepRecordKey));
  expect(await keys()).toEqual(before.filter((key) => !key.startsWith('runs/gone/') && !lost.includes(key)));
  for (const ref of [kept.trueImage, kept.image, kept.vector, kept.taught]) expect(await store.artifacts.checkArtifact(ref)).toBe('intact');
  for (const key of [kept.generate, kept.embed]) expect(await store.findStep(key)).toBeDefined();
  expect(await store.listRuns()).toEqual(['kept']);
});

test('with all runs kept only orphans go, and a second time nothing', async () => {
  await run('one');
  await put('an orphan');
  expect(await collectGarbage(store, { keep: null, delete: true, now: NOW })).toMatchObject({ runs: [], steps: 0, artifacts: 1 });
  expect(await collectGarbage(store, { keep: null, delete: true, now: NOW })).toMatchObject({ runs: [], steps: 0, artifacts: 0 });
});

test('goes on where an earlier one was interrupted', async () => {
  await run('gone');
  await run('kept');
  await store.objects.delete('runs/gone/manifest.json');
  expect(await collectGarbage(store, { keep: ['kept'], delete: true, now: NOW })).toMatchObject({ runs: ['gone'], steps: 2, artifacts: 2 });
  expect((await keys()).filter((key) => key.startsWith('runs/gone/'))).toEqual([]);
});

test.each([
  ['open', null, /run busy is open/],
  ['younger than a day', '2026-06-02T13:00:00.000Z', /run busy ended less than a day ago/],
])('refuses while a run is %s, also one that would not be touched', async (_, finishedAt, message) => {
  await run('busy', finishedAt);
  await run('old');
  const before = await keys();
  await expect(collectGarbage(store, { keep: ['busy'], delete: true, now: NOW })).rejects.toThrow(message);
  expect(await keys()).toEqual(before);
});

test('refuses to keep a run that is not there', async () => {
  await run('one');
  await expect(collectGarbage(store, { keep: ['won'], delete: true, now: NOW })).rejects.toThrow(/no run won in .*known runs: one/);
});
