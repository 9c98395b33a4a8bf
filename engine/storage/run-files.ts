import pLimit from 'p-limit';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { RUN_ID_PATTERN } from '../../core/ids.js';
import type { AnalysisPlan, RunManifest } from '../../core/recipe.js';
import type { IndexedItem, ItemRecord, RunState, SkippedRow } from '../../core/types.js';
import { encodeJson, encodeJsonLines, parseLines, readJson } from './json-objects.js';
import type { ObjectStore } from './object-store.js';
import { ShardCache } from './shard-cache.js';

/** Lines of a shard of the index. */
export const SHARD_SIZE = 500;
/** Records that are read side by side. */
const READERS = 32;

/** `runs/<run>/state.json`. Times in ISO 8601. */
export interface RunStateRecord {
  state: RunState;
  startedAt: string;
  finishedAt: string | null;
}

/** `runs/<run>/index/index.json`: written last, so that its presence says that the index is whole. */
export interface IndexSummary {
  /** Rows that were taken from the dataset: items + skipped. */
  total: number;
  items: number;
  skipped: number;
  shardSize: number;
  shards: number;
}

/** Throws InvalidInput on what cannot name a run. */
export function checkRunId(runId: string): void {
  if (RUN_ID_PATTERN.test(runId)) return;
  throw new InvalidInput(`"${runId}" cannot name a run: letters, digits, ".", "_" and "-", at most 64, the first a letter or a digit`);
}

/** Ids of the runs that have a manifest, sorted. */
export async function listRuns(objects: ObjectStore): Promise<string[]> {
  const runs = (await objects.listFolders('runs/')).filter((name) => RUN_ID_PATTERN.test(name));
  const limit = pLimit(READERS);
  const there = await Promise.all(runs.map((run) => limit(() => objects.has(`runs/${run}/manifest.json`))));
  return runs.filter((_, i) => there[i]);
}

/** The files under `runs/<run>/`, typed. Reads of the index are cached: a whole index changes only by items added at its end. */
export class RunFiles {
  readonly prefix: string;
  private readonly shards = new ShardCache<IndexedItem>((shard) => this.loadShard(shard));
  private summary: IndexSummary | undefined;

  constructor(
    readonly objects: ObjectStore,
    readonly runId: string,
  ) {
    checkRunId(runId);
    this.prefix = `runs/${runId}/`;
  }

  /** Writes the manifest where there is none and returns the one that is there: the caller compares `recipeDigest`. */
  async createManifest(manifest: RunManifest): Promise<RunManifest> {
    const key = this.key('manifest.json');
    const bytes = encodeJson(manifest);
    if (await this.objects.put(key, bytes, { ifAbsent: true })) return manifest;
    const found = await readJson<RunManifest>(this.objects, key);
    if (found.state === 'unreadable') await this.objects.put(key, bytes, { ifMatch: found.bytes });
    return (await this.readManifest()) ?? this.createManifest(manifest);
  }

  /** Writes the plan where there is none: what was planned first stands. */
  async createPlan(plan: AnalysisPlan): Promise<void> {
    await this.objects.put(this.key('plan.json'), encodeJson(plan), { ifAbsent: true });
  }

  async readPlan(): Promise<AnalysisPlan | undefined> {
    return this.readOwn<AnalysisPlan>('plan.json');
  }

  /** `undefined`: there is no such run in the store. Throws StorageUnavailable on one that cannot be read. */
  async readManifest(): Promise<RunManifest | undefined> {
    return this.readOwn<RunManifest>('manifest.json');
  }

  async writeState(state: RunStateRecord): Promise<void> {
    await this.objects.put(this.key('state.json'), encodeJson(state));
  }

  async readState(): Promise<RunStateRecord | undefined> {
    return this.readOwn<RunStateRecord>('state.json');
  }

  /** Writes shard `shard` (from 0): the items with offsets from `shard * SHARD_SIZE`. */
  async writeIndexShard(shard: number, items: readonly IndexedItem[]): Promise<void> {
    await this.objects.put(this.shardKey(shard), encodeJsonLines(items));
    this.shards.forget(shard);
  }

  async writeSkipped(rows: readonly SkippedRow[]): Promise<void> {
    await this.objects.put(this.key('index/skipped.jsonl'), encodeJsonLines(rows));
  }

  /** The last write of an index. */
  async writeIndexSummary(summary: IndexSummary): Promise<void> {
    await this.objects.put(this.key('index/index.json'), encodeJson(summary));
    this.summary = summary;
  }

  /** `undefined`: the index is not whole yet. */
  async readIndexSummary(): Promise<IndexSummary | undefined> {
    this.summary ??= await this.readOwn<IndexSummary>('index/index.json');
    return this.summary;
  }

  /** The item at an offset. Throws InvalidInput where there is none, StorageUnavailable without a whole index. */
  async readIndexed(offset: number): Promise<IndexedItem> {
    const [item] = await this.readIndexRange(offset, 1);
    if (item) return item;
    throw new InvalidInput(`run ${this.runId} has no item at offset ${offset}`);
  }

  /** Up to `count` items from an offset on, in the order in which they are started; fewer at the end. */
  async readIndexRange(offset: number, count: number): Promise<IndexedItem[]> {
    const { items, shardSize } = await this.wholeIndex(offset + count);
    const end = Math.min(items, offset + count);
    const found: IndexedItem[] = [];
    for (let at = Math.max(0, offset); at < end;) {
      const shard = Math.floor(at / shardSize);
      const until = Math.min(end, (shard + 1) * shardSize);
      const lines = await this.shards.get(shard);
      found.push(...lines.slice(at - shard * shardSize, until - shard * shardSize));
      at = until;
    }
    return found;
  }

  /** Rows of the dataset that cannot be used, in dataset order. */
  async readSkipped(): Promise<SkippedRow[]> {
    const bytes = await this.objects.get(this.key('index/skipped.jsonl'));
    return bytes ? parseLines<SkippedRow>(bytes).values : [];
  }

  async writeItem(record: ItemRecord): Promise<void> {
    await this.objects.put(this.itemKey(record.key), encodeJson(record));
  }

  /** `undefined`: the item has no record, or one that cannot be read, so that it is done again. */
  async readItem(key: string): Promise<ItemRecord | undefined> {
    const found = await readJson<ItemRecord>(this.objects, this.itemKey(key));
    return found.state === 'found' && found.value.key === key ? found.value : undefined;
  }

  async deleteItem(key: string): Promise<void> {
    await this.objects.delete(this.itemKey(key));
  }

  /** Keys of the items that have a record, sorted. */
  async listItemKeys(): Promise<string[]> {
    return [...(await this.listItemTags()).keys()];
  }

  /** The same with the records' tags, where the store has some ({@link ObjectStore.listTags}). */
  async listItemTags(): Promise<Map<string, string | undefined>> {
    const prefix = this.key('items/');
    const tags = new Map<string, string | undefined>();
    for await (const { key, tag } of this.objects.listTags(prefix)) {
      if (key.endsWith('.json')) tags.set(key.slice(prefix.length, -'.json'.length), tag);
    }
    return tags;
  }

  /** Records by key, in the order of the keys; `undefined` as in {@link readItem}. */
  readItems(keys: readonly string[]): Promise<Array<ItemRecord | undefined>> {
    return pLimit(READERS).map(keys, (key) => this.readItem(key));
  }

  /** All records that can be read, in dataset order. */
  async listItems(): Promise<ItemRecord[]> {
    const records = await this.readItems(await this.listItemKeys());
    return records.filter((record) => record !== undefined).sort((a, b) => a.position - b.position);
  }

  /** The key of a file of the report, such as `index.html` or `images/a.png`. */
  reportKey(name: string): string {
    return this.key(`report/${name}`);
  }

  async writeReport(name: string, content: string | Uint8Array): Promise<void> {
    await this.objects.put(this.reportKey(name), typeof content === 'string' ? Buffer.from(content) : content);
  }

  async readReport(name: string): Promise<Uint8Array | undefined> {
    return this.objects.get(this.reportKey(name));
  }

  private key(name: string): string {
    return this.prefix + name;
  }

  private itemKey(key: string): string {
    return this.key(`items/${key}.json`);
  }

  private shardKey(shard: number): string {
    return this.key(`index/items-${String(shard).padStart(5, '0')}.jsonl`);
  }

  private async readOwn<T extends object>(name: string): Promise<T | undefined> {
    const found = await readJson<T>(this.objects, this.key(name));
    if (found.state === 'unreadable') throw this.spoilt(this.key(name));
    return found.state === 'found' ? found.value : undefined;
  }

  /** The summary; read anew when more items are asked for than it had, because a retry may have added some. */
  private async wholeIndex(wanted = 0): Promise<IndexSummary> {
    const known = await this.readIndexSummary();
    if (!known) throw new StorageUnavailable(`run ${this.runId} has no index in ${this.objects.uri}: it was not built, or not to its end`);
    if (wanted <= known.items) return known;
    const now = (await this.readOwn<IndexSummary>('index/index.json')) ?? known;
    if (now.items > known.items) this.shards.forget(Math.floor(known.items / known.shardSize));
    return (this.summary = now);
  }

  private async loadShard(shard: number): Promise<IndexedItem[]> {
    const { items, shardSize } = await this.wholeIndex();
    const key = this.shardKey(shard);
    const bytes = await this.objects.get(key);
    const { values, unreadable } = parseLines<IndexedItem>(bytes ?? new Uint8Array());
    const expected = Math.min(shardSize, items - shard * shardSize);
    const ordered = values.every((item, i) => item.offset === shard * shardSize + i);
    if (unreadable > 0 || values.length !== expected || !ordered) throw this.spoilt(key);
    return values;
  }

  private spoilt(key: string): StorageUnavailable {
    return new StorageUnavailable(`${key} in ${this.objects.uri} is missing, cut off or spoilt; start the run under another id`);
  }
}
