import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { itemKey } from '../../core/ids.js';
import type { ArmRecipe, RunManifest } from '../../core/recipe.js';
import type { ArmOutcome, IndexedItem, ItemRecord, RoundOutcome } from '../../core/types.js';
import { openStore, type Store } from '../storage/index.js';
import type { FeedbackChoice, FeedbackRow } from './feedback-rows.js';
import { readFeedbackSet } from './feedback-set.js';
import { readDataset, writeFeedbackSet } from './index.js';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'refineloop-set-'));
  store = await openStore(join(folder, 'store'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const CONTROL = { name: 'control', feedback: null };
const WRITTEN = { name: 'written', feedback: { source: 'dataset', column: null } };
const PLACEBO = { name: 'placebo', feedback: { source: 'shuffled', from: 'written' } };
const CHOICE: FeedbackChoice = { seed: 7, validation: 0.25 };

/** What is said of each item, one text a round; `null`: it has no record. The same `picture` is the same true image. */
type Said = Record<string, { texts: string[] | null; picture?: string; state?: ItemRecord['state']; reason?: string }>;

async function makeRun(said: Said, arms: Array<Partial<ArmRecipe>> = [CONTROL, WRITTEN, PLACEBO] as never): Promise<void> {
  const dataset = join(folder, 'dataset');
  await mkdir(dataset);
  await writeFile(join(dataset, 'README.md'), '---\nlicense: cc0-1.0\n---\n');
  const files = store.run('r');
  const recipe = { arms, glossary: {}, dataset: { uri: './dataset' } };
  const datasetUri = pathToFileURL(dataset).href;
  await files.createManifest({ runId: 'r', recipe, recipeDigest: digestOf('recipe'), datasetUri } as unknown as RunManifest);
  const put = (text: string) => store.putArtifact(Buffer.from(text), 'image/png');
  const items: IndexedItem[] = [];
  for (const [position, [id, { texts, picture, state = 'unchanged', reason }]] of Object.entries(said).entries()) {
    const key = itemKey(id);
    const trueImage = picture === '' ? undefined : await put(`true ${picture ?? id}`);
    const index = { feedback: {}, strata: {}, trainedOn: [], source: { file: 'm', line: position + 1 } };
    items.push({ offset: position, position, id, key, caption: `caption of ${id}`, ...(trueImage ? { trueImage } : {}), ...index });
    if (texts === null) continue;
    const round = async (n: number): Promise<RoundOutcome> => ({
      round: n,
      draw: 0,
      seed: 40 + n,
      prompt: { form: 'join', parts: ['caption', ...texts.slice(0, n)].map((text) => ({ role: 'caption', weight: 1, text })) },
      feedback: n === 0 ? null : { text: texts[n - 1]! },
      image: await put(`${id} round ${n}`),
      tokens: { used: 9, cut: 0 },
      scores: {},
      steps: {},
    });
    const rounds = await Promise.all([0, ...texts.map((_, i) => i + 1)].map(round));
    const arm = (name: string): ArmOutcome => {
      const best = { round: 0 };
      return { name, repeat: 0, oracle: false, state: 'unchanged', rounds, best, stopped: { ...best, reason: 'rounds' } };
    };
    const steps = { executed: 0, cached: 0, retried: 0 };
    const outcome = { state, arms: [arm('written')], steps, spent: { images: 0, seconds: 0, usd: 0 } };
    await files.writeItem({ id, key, position, ...outcome, ...(reason === undefined ? {} : { reason }) });
  }
  await files.writeIndexShard(0, items);
  await files.writeIndexSummary({ total: items.length, items: items.length, skipped: 0, shardSize: 500, shards: 1 });
}

const write = (choice: Partial<FeedbackChoice> = {}, name = 'set') =>
  writeFeedbackSet(store, 'r', join(folder, name), { ...CHOICE, ...choice });

const rowsOf = (split: string, name = 'set'): FeedbackRow[] =>
  readFileSync(join(folder, name, split, 'metadata.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as FeedbackRow);

const many = (n: number): Said => Object.fromEntries(Array.from({ length: n }, (_, i) => [`i${i}`, { texts: [`${i} is red.`] }]));

test('a row for every feedback, with the picture that it is on', async () => {
  await makeRun({ a: { texts: ['Make it red.', 'Add a tail.'] }, b: { texts: ['Make it blue.'] } });
  const set = await write({ validation: 0 });
  const rows = rowsOf('train');
  expect(rows.map(({ id, round, feedback, prompt, seed }) => [id, round, feedback, prompt, seed])).toEqual([
    ['a', 0, 'Make it red.', 'caption', 40],
    ['a', 1, 'Add a tail.', 'caption. Make it red.', 41],
    ['b', 0, 'Make it blue.', 'caption', 40],
  ]);
  expect(rows[1]).toMatchObject({ caption: 'caption of a', arm: 'written', itemDigest: digestOf('true a'), pictureDigest: digestOf('a round 1') }); // prettier-ignore
  for (const { file_name: file, round, id } of rows) {
    expect(await readFile(join(folder, 'set/train', file), 'utf8')).toBe(`${id} round ${round}`);
  }
  expect(existsSync(join(folder, 'set/validation'))).toBe(false);
  expect(set).toEqual(JSON.parse(readFileSync(join(folder, 'set/feedback-set.json'), 'utf8')));
  expect(set).toMatchObject({
    version: 1,
    run: 'r',
    arm: 'written',
    sample: { n: 2, seed: 7 },
    counts: { train: 3, validation: 0 },
    left: [],
  });
  expect(set.digest).toBe(digestOf(canonicalJson(rows)));
});

test('n items are drawn by the seed, and the same seed draws the same', async () => {
  await makeRun(many(20));
  const drawn = async (seed: number, name: string) => {
    const set = await write({ n: 8, seed }, name);
    expect(set).toMatchObject({ sample: { n: 8, seed }, counts: { train: 6, validation: 2 } });
    return [rowsOf('train', name), rowsOf('validation', name)].map((rows) => rows.map(({ id }) => id));
  };
  const first = await drawn(7, 'one');
  expect(await drawn(7, 'two')).toEqual(first);
  expect(await drawn(8, 'three')).not.toEqual(first);
  expect(new Set(first.flat()).size).toBe(8);
});

test('no item stands in both splits, nor do two items of one true image', async () => {
  const twins = Object.fromEntries(
    Array.from({ length: 12 }, (_, i) => [`i${i}`, { texts: [`${i} a.`, `${i} b.`], picture: `p${i >> 1}` }]),
  );
  await makeRun(twins);
  for (const seed of [1, 2, 3]) {
    await write({ seed, validation: 0.5 }, `s${seed}`);
    const [train, validation] = ['train', 'validation'].map((split) => new Set(rowsOf(split, `s${seed}`).map((row) => row.itemDigest)));
    expect(train!.size).toBe(3);
    expect(validation!.size).toBe(3);
    expect([...train!].filter((picture) => validation!.has(picture))).toEqual([]);
  }
});

test('what cannot be learned from is left out with its reason, and another item is drawn in its place', async () => {
  const long = Array.from({ length: 61 }, () => 'word').join(' ');
  await makeRun({
    empty: { texts: [' '] },
    long: { texts: [long, 'short enough'] },
    pending: { texts: null },
    cancelled: { texts: [], state: 'cancelled', reason: 'asked for' },
    silent: { texts: [] },
    spoilt: { texts: ['Spoilt.'] },
    gone: { texts: ['Gone.'] },
    good: { texts: ['Good.'] },
    fine: { texts: ['Good.'], picture: '' },
  });
  const blob = (text: string) => {
    const hex = digestOf(text).slice('sha256:'.length);
    return join(folder, 'store/blobs/sha256', hex.slice(0, 2), hex);
  };
  await rm(blob('gone round 0'));
  await writeFile(blob('spoilt round 0'), 'other bytes');
  const set = await write({ n: 8 });
  expect(set.left.map(({ id, reason }) => [id, reason.replace(/sha256:\w+/, 'it')])).toEqual([
    ['empty', 'round 0: the feedback is empty'],
    ['long', 'round 0: the feedback has 61 words, more than 60'],
    ['pending', 'not finished yet'],
    ['cancelled', 'cancelled: asked for'],
    ['silent', 'no feedback of arm written'],
    ['gone', 'round 0: its picture is missing from the store'],
    ['spoilt', expect.stringMatching(/^round 0: .*corrupt/)],
  ]);
  const rows = [...rowsOf('train'), ...rowsOf('validation')];
  expect(rows.map(({ id, round }) => `${id} ${round}`).sort()).toEqual(['fine 0', 'good 0', 'long 1']);
  expect(rows.find(({ id }) => id === 'fine')!.itemDigest).toBeNull();
  // Said of two items of the four that were drawn.
  expect(set.texts).toEqual({ distinct: 3, sharedShare: 0.5 });
});

test('the same caption, picture and feedback stand there once', async () => {
  await makeRun({ a: { texts: ['Red.', 'Red.'] } });
  const record = (await store.run('r').readItem(itemKey('a')))!;
  const arm = record.arms[0]!;
  await store.run('r').writeItem({ ...record, arms: [arm, { ...arm, repeat: 1 }] });
  const set = await write({ validation: 0 });
  expect(set.counts.train).toBe(2);
  expect(set.left).toEqual([0, 1].map((n) => ({ id: 'a', reason: `round ${n}: the same caption, picture and feedback as a, round ${n}` })));
});

test('its card has the head that Hugging Face reads, with the dataset’s licence', async () => {
  await makeRun(many(4));
  await write();
  const card = readFileSync(join(folder, 'set/README.md'), 'utf8');
  expect(parse(/^---\n(.*?)\n---/s.exec(card)![1]!)).toMatchObject({
    license: 'cc0-1.0',
    configs: [{ data_files: [{ split: 'train', path: 'train/**' }, { split: 'validation', path: 'validation/**' }] }], // prettier-ignore
  });
  // Hugging Face reads the picture into `image`: a column of that name would stand in its place.
  expect(Object.keys(rowsOf('train')[0]!)).not.toContain('image');
});

test('it is a dataset of its own, and a set of feedback that others are held against', async () => {
  await makeRun(many(4));
  await write();
  const columns = { id: 'id', caption: 'caption', image: 'file_name', feedback: 'feedback' };
  const read = await readDataset(join(folder, 'set'), { split: 'train', columns, strata: [] }, '/');
  expect(read.entries.map((entry) => entry.kind)).toEqual(['row', 'row', 'row']);
  expect(await readFeedbackSet(join(folder, 'set'))).toEqual(rowsOf('train').map(({ feedback }) => feedback));
});

test.each([
  [undefined, [CONTROL, WRITTEN, { ...WRITTEN, name: 'other' }], /several arms .*--arm, or data\.arm .*: written, other/],
  [
    undefined,
    [CONTROL, { name: 'opt', feedback: { source: 'opt' } }],
    /no arm has feedback that a person wrote.*--arm, or data\.arm .*: opt/,
  ],
  ['none', undefined, /no arm "none"; it has control, written, placebo/],
  ['control', undefined, /is the control/],
  ['placebo', undefined, /is a placebo/],
])('arm %s of such arms is refused', async (arm, arms, message) => {
  await makeRun(many(2), arms as never);
  await expect(write({ arm })).rejects.toMatchObject({ code: 'InvalidInput', message: expect.stringMatching(message) });
});

test('a run without any, and one that is not there, say so', async () => {
  await makeRun({ a: { texts: [] }, b: { texts: [] } });
  await expect(write()).rejects.toThrow(/no feedback of arm written to learn from: no feedback of arm written \(2 items\)/);
  await expect(writeFeedbackSet(store, 'none', join(folder, 'set'), CHOICE)).rejects.toThrow(/there is no run none/);
});
