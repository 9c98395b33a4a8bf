import { seedOf, uniform } from '../../core/seeds.js';
import type { IndexedItem } from '../../core/types.js';
import { SHARD_SIZE, type IndexSummary } from '../storage/run-files.js';
import { skippedRecord, takeRow, type BuildIndexInput } from './build-index.js';

export interface RestoreRowsInput extends BuildIndexInput {
  /** Keys of items that someone asks for again; those that were not skipped are left as they are. */
  keys: readonly string[];
}

export interface RestoredRows {
  summary: IndexSummary;
  /** The keys asked for; a row whose id was mended has a new one. */
  keys: string[];
}

/**
 * Takes skipped rows into the index after their cause was mended: they come last, so that no offset shifts.
 * A row that still cannot be used stays skipped, with what is wrong now.
 */
export async function restoreRows({ entries, store, runFiles, seed, trainedOn, keys }: RestoreRowsInput): Promise<RestoredRows> {
  const before = (await runFiles.readIndexSummary())!;
  const rows = await runFiles.readSkipped();
  const byPosition = new Map(entries.map((entry) => [entry.row.position, entry]));
  const added: IndexedItem[] = [];
  const renamed = new Map<string, string>();
  for (const [i, row] of rows.entries()) {
    if (!keys.includes(row.key)) continue;
    const entry = byPosition.get(row.position);
    if (!entry) continue;
    const taken = entry.kind === 'skipped' ? entry : await takeRow(entry.row, store, trainedOn);
    if (taken.kind === 'skipped') {
      rows[i] = { ...taken.row, key: row.key };
      await runFiles.writeItem(skippedRecord(rows[i]));
      continue;
    }
    const offset = before.items + added.length;
    const placebo = await anotherWithFeedback(before.items, (at) => runFiles.readIndexed(at), seedOf(seed, 'placebo', row.position));
    added.push({ offset, ...taken.item, ...(placebo === undefined ? {} : { placebo }) });
    renamed.set(row.key, taken.item.key);
  }
  if (added.length === 0) return { summary: before, keys: [...keys] };
  const first = Math.floor(before.items / SHARD_SIZE);
  const kept = await runFiles.readIndexRange(first * SHARD_SIZE, before.items - first * SHARD_SIZE);
  const tail = [...kept, ...added];
  for (let at = 0; at < tail.length; at += SHARD_SIZE)
    await runFiles.writeIndexShard(first + at / SHARD_SIZE, tail.slice(at, at + SHARD_SIZE));
  const items = before.items + added.length;
  const summary = { ...before, items, skipped: before.skipped - added.length, shards: Math.ceil(items / SHARD_SIZE) };
  await runFiles.writeIndexSummary(summary);
  await runFiles.writeSkipped(rows.filter((row) => !renamed.has(row.key)));
  for (const key of renamed.keys()) await runFiles.deleteItem(key);
  return { summary, keys: keys.map((key) => renamed.get(key) ?? key) };
}

/** An item that has feedback to lend, from a seeded place on; `undefined` where none has. */
async function anotherWithFeedback(
  items: number,
  read: (offset: number) => Promise<IndexedItem>,
  seed: number,
): Promise<number | undefined> {
  const start = Math.floor(uniform(seed)() * items);
  for (let i = 0; i < items; i++) {
    const offset = (start + i) % items;
    if (Object.keys((await read(offset)).feedback).length > 0) return offset;
  }
  return undefined;
}
