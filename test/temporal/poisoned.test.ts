/** Items that cannot be done, one in twenty: the rest is done and exported, and once the cause is mended only what is missing is executed. */
import { jest } from '@jest/globals';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../core/types.js';
import { openStore } from '../../engine/storage/index.js';
import { cli, cliJson, scratch } from '../support/cli.js';
import { Cluster } from '../support/cluster.js';
import { workflowIds } from '../support/histories.js';
import { until } from '../support/processes.js';
import { completed, executedTwice, readItems, readLedger, type RunDocument, type StatusDocument } from '../support/runs.js';
import { CONTROL, WRITTEN, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(300_000);

const [ITEMS, POISONED] = [40, ['creature-0607', 'creature-0629']];
const folder = scratch();
const store = join(folder, 'store');
const recipe = writeRecipe(folder, { limit: ITEMS, steps: 1, arms: [CONTROL, WRITTEN] });
let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start();
});
afterAll(() => cluster.stop());

const on = (...args: string[]) => [...args, '--store', store, '--address', cluster.address];
/** Lines of an export's metadata, and what it says of itself. */
async function exported(name: string) {
  const dest = join(folder, name);
  const said = await cliJson<{ rows: number; skipped: Array<{ source: string; reason: string }> }>(on('export', 'poisoned', dest));
  return { dest, said, lines: readFileSync(join(dest, 'metadata.jsonl'), 'utf8').trim().split('\n') };
}
const pathOf = (digest: Digest) => join(store, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
let pictures: Digest[];
let before: Awaited<ReturnType<typeof exported>>;
let ledger: Awaited<ReturnType<typeof readLedger>>;

test('the rest is done, and what could not be is named with step, attempt and message', async () => {
  await cluster.worker('orchestrator');
  await cliJson(on('run', recipe, '--run', 'poisoned', '--detach', '--concurrency', '20'));
  const files = (await openStore(store)).run('poisoned');
  await until('the dataset is indexed', async () => (await files.readIndexSummary())?.items === ITEMS);
  const index = await files.readIndexRange(0, ITEMS);
  pictures = POISONED.map((id) => index.find((item) => item.id === id)!.trueImage!.digest);
  for (const digest of pictures) renameSync(pathOf(digest), `${pathOf(digest)}.away`);
  await Promise.all([cluster.worker('gpu'), cluster.worker('cpu')]);
  const ended = await cliJson<RunDocument>(on('run', recipe, '--run', 'poisoned'), 3);
  expect(ended).toMatchObject({ state: 'completed_with_failures', items: { total: ITEMS, done: ITEMS - 2, failed: 2 } });
  const failed = (await readItems(store, 'poisoned')).filter(({ state }) => state === 'failed');
  expect(failed.map(({ id }) => id)).toEqual(POISONED);
  for (const { failure } of failed) {
    expect(failure).toMatchObject({ type: 'StorageUnavailable', step: 'embed', attempt: 3, message: expect.stringContaining('is not in') });
  }
});

test('the rest is exported, in dataset order, as a dataset that can be run on', async () => {
  before = await exported('before');
  expect(before.said).toEqual({
    rows: 2 * (ITEMS - 2),
    skipped: POISONED.map((source) => ({ source, reason: expect.stringContaining('StorageUnavailable in embed') })),
  });
  const rows = before.lines.map((line) => JSON.parse(line) as { id: string; file_name: string; text: string; pictureDigest: Digest });
  const ids = rows.map(({ id }) => id);
  expect(ids).toEqual([...ids].sort());
  for (const { file_name, pictureDigest } of rows)
    expect(readFileSync(join(before.dest, file_name))).toEqual(readFileSync(pathOf(pictureDigest)));
  const again = writeRecipe(scratch(), { dataset: { uri: before.dest }, arms: [CONTROL, WRITTEN] });
  expect(await cliJson(['plan', again, '--store', join(folder, 'other')])).toMatchObject({ items: rows.length });

  const refused = await cli(on('export', 'poisoned', before.dest));
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('is not empty') });
  const unknown = await cli(on('export', 'poisoned', join(folder, 'none'), '--arm', 'writen'));
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('it has control, written') });
});

test('what Temporal has forgotten after its retention, the store still knows', async () => {
  const { client } = cluster;
  const ids = await workflowIds(store, 'poisoned');
  for (const workflowId of ids) {
    await client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: { workflowId } });
  }
  const known = (workflowId: string) => client.workflow.getHandle(workflowId).describe().then(() => true, () => false); // prettier-ignore
  for (const id of ids) await until(`${id} is gone`, async () => !(await known(id)));
  expect(await cliJson(on('status', 'poisoned'))).toMatchObject({
    state: 'completed_with_failures',
    items: { done: ITEMS - 2, failed: 2 },
  });
  const report = await cliJson<{ items: Array<{ id: string; state: string }> }>(on('report', 'poisoned'));
  expect(report.items.filter(({ state }) => state === 'failed').map(({ id }) => id)).toEqual(POISONED);
});

test('once the cause is mended, retry executes what failed and what depends on it, and no row moves', async () => {
  ledger = await readLedger(store, 'poisoned');
  for (const digest of pictures) renameSync(`${pathOf(digest)}.away`, pathOf(digest));
  const retried = await cliJson<StatusDocument>(on('retry', 'poisoned'));
  expect(retried).toMatchObject({ state: 'completed', items: { total: ITEMS, done: ITEMS, failed: 0 } });
  const now = await readLedger(store, 'poisoned');
  expect(executedTwice(now)).toEqual([]);
  const fresh = completed(now).slice(completed(ledger).length);
  expect(new Set(fresh.map(({ item }) => item))).toEqual(new Set(POISONED));
  // Their first pictures were there already.
  expect(fresh.filter(({ step, round }) => step === 'generate' && round === 0)).toEqual([]);
  const after = await exported('after');
  expect(after.said).toEqual({ rows: 2 * ITEMS, skipped: [] });
  // Everything in the store is this run's, and verify reads it all: also what only scores are made from.
  const blobs = readdirSync(join(store, 'blobs'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(await cliJson(on('verify', 'poisoned'))).toMatchObject({ checked: blobs.length, corrupt: [], missing: [] });
  const { pictureDigest: image } = JSON.parse(after.lines[0]!) as { pictureDigest: Digest };
  renameSync(pathOf(image), `${pathOf(image)}.away`);
  const without = await exported('without');
  expect(without.said.skipped[0]).toEqual({ source: expect.any(String), reason: expect.stringContaining(image) });
  expect(without.lines).toEqual(after.lines.filter((line) => !line.includes(image)));
  const others = after.lines.filter((line) => !POISONED.some((id) => line.includes(`"${id}/`)));
  expect(others).toEqual(before.lines);
});
