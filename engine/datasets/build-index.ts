import pLimit from 'p-limit';
import { derangement, permutation, seedOf } from '../../core/seeds.js';
import type { Digest, IndexedItem, ItemRecord, SkippedRow } from '../../core/types.js';
import { SHARD_SIZE, type IndexSummary, type RunFiles } from '../storage/run-files.js';
import type { Store } from '../storage/store.js';
import type { DatasetEntry, DatasetRow } from './dataset-rows.js';
import { loadImage } from './image-file.js';

/** Pictures that are decoded side by side; each takes up to 4 bytes a pixel. */
const LOADERS = 4;
const WRITERS = 32;

export interface BuildIndexInput {
  /** The rows that the run takes, in dataset order: {@link sampleRows} of {@link readDataset}. */
  entries: readonly DatasetEntry[];
  store: Store;
  runFiles: RunFiles;
  /** The recipe's seed: start order and placebo partners come from it. */
  seed: number;
  /** By model name: digests of the items that it was trained on. */
  trainedOn: Readonly<Record<string, ReadonlySet<Digest>>>;
  /** Called after each row. */
  onProgress?: (done: number, total: number) => void;
}

type Item = Omit<IndexedItem, 'offset' | 'placebo'>;

/**
 * Writes a run's index: true images into the store, items into shards in seeded random start order, skipped rows with
 * their records, and the summary last. Where the index is whole already, nothing is done. The same input gives the same index.
 */
export async function buildIndex(input: BuildIndexInput): Promise<IndexSummary> {
  const { entries, runFiles } = input;
  const whole = await runFiles.readIndexSummary();
  if (whole) return whole;

  const items: Item[] = [];
  const skipped: SkippedRow[] = [];
  for (const taken of await takeRows(input)) {
    if (taken.kind === 'item') items.push(taken.item);
    else skipped.push(taken.row);
  }
  const indexed = inStartOrder(items, input.seed);
  const shards = Math.ceil(indexed.length / SHARD_SIZE);
  for (let shard = 0; shard < shards; shard++) {
    await runFiles.writeIndexShard(shard, indexed.slice(shard * SHARD_SIZE, (shard + 1) * SHARD_SIZE));
  }
  await runFiles.writeSkipped(skipped);
  const limit = pLimit(WRITERS);
  await Promise.all(skipped.map((row) => limit(() => runFiles.writeItem(skippedRecord(row)))));
  const summary = { total: entries.length, items: items.length, skipped: skipped.length, shardSize: SHARD_SIZE, shards };
  await runFiles.writeIndexSummary(summary);
  return summary;
}

type Taken = { kind: 'item'; item: Item } | { kind: 'skipped'; row: SkippedRow };

async function takeRows({ entries, store, trainedOn, onProgress }: BuildIndexInput): Promise<Taken[]> {
  const limit = pLimit(LOADERS);
  let done = 0;
  const take = async (entry: DatasetEntry): Promise<Taken> => {
    const taken = entry.kind === 'skipped' ? entry : await takeRow(entry.row, store, trainedOn);
    onProgress?.(++done, entries.length);
    return taken;
  };
  try {
    return await Promise.all(entries.map((entry) => limit(() => take(entry))));
  } finally {
    // After a failure the rest is not begun.
    limit.clearQueue();
  }
}

/** A row with its image read into the store, or why it cannot be used. */
export async function takeRow(row: DatasetRow, store: Store, trainedOn: BuildIndexInput['trainedOn']): Promise<Taken> {
  const { image: source, ...known } = row;
  if (source === null) return { kind: 'item', item: { ...known, trainedOn: [] } };
  const image = await loadImage(source);
  if (!image.ok) {
    const { position, id, key, caption, source: at } = row;
    return { kind: 'skipped', row: { position, id, key, caption, reason: `${at.file}:${at.line}: ${image.reason}`, source: at } };
  }
  const trueImage = await store.putArtifact(image.bytes, image.mediaType, []);
  const models = Object.entries(trainedOn).filter(([, digests]) => digests.has(trueImage.digest));
  return { kind: 'item', item: { ...known, trueImage, trainedOn: models.map(([name]) => name).sort() } };
}

/** Items by offset: a seeded permutation, with each item's placebo partner. */
function inStartOrder(items: readonly Item[], seed: number): IndexedItem[] {
  const order = permutation(items.length, seed);
  const offsetOf: number[] = [];
  for (const [offset, i] of order.entries()) offsetOf[i] = offset;
  const partners = placeboPartners(items, seed);
  return order.map((i, offset) => {
    const partner = partners.get(i);
    return { offset, ...items[i]!, ...(partner === undefined ? {} : { placebo: offsetOf[partner]! }) };
  });
}

/**
 * Whose feedback a placebo shows, by index. Items with written feedback are dealt among themselves, so that none is
 * shown nothing where it could be shown something; the only one with feedback joins the others.
 */
function placeboPartners(items: readonly Item[], seed: number): Map<number, number> {
  const written: number[] = [];
  const others: number[] = [];
  for (const [i, item] of items.entries()) {
    if (Object.keys(item.feedback).length > 0) written.push(i);
    else others.push(i);
  }
  const groups = written.length === 1 ? [[...written, ...others].sort((a, b) => a - b)] : [written, others];
  const partners = new Map<number, number>();
  for (const [g, group] of groups.entries()) {
    const dealt = apart(derangement(group.length, seedOf(seed, 'placebo', g)), (k) => items[group[k]!]!.trueImage?.digest);
    for (const [k, partner] of dealt.entries()) partners.set(group[k]!, group[partner]!);
  }
  return partners;
}

/** Two items of the same picture are no strangers: their partners are swapped with others' where that parts all of them. */
function apart(partners: number[], pictureOf: (k: number) => string | undefined): number[] {
  const same = (k: number, partner: number) => k === partner || (pictureOf(k) !== undefined && pictureOf(k) === pictureOf(partner));
  for (const k of partners.keys()) {
    if (!same(k, partners[k]!)) continue;
    const other = partners.findIndex((partner, j) => j !== k && !same(k, partner) && !same(j, partners[k]!));
    if (other >= 0) [partners[k], partners[other]] = [partners[other]!, partners[k]!];
  }
  return partners;
}

/** The record of a row that no workflow ever sees. */
export function skippedRecord({ id, key, position, reason }: SkippedRow): ItemRecord {
  const steps = { executed: 0, cached: 0, retried: 0 };
  return { id, key, position, state: 'skipped', reason, arms: [], steps, spent: { images: 0, seconds: 0, usd: 0 } };
}
