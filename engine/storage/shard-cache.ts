/** Shards that stay in memory: the newest few that were read. */
const KEPT = 8;

/** Least recently used shards of an index. Readers that come while a shard is being loaded wait for the same load. */
export class ShardCache<T> {
  private readonly kept = new Map<number, Promise<T[]>>();

  constructor(private readonly load: (shard: number) => Promise<T[]>) {}

  /** A load that failed is tried again by the next reader. */
  get(shard: number): Promise<T[]> {
    const lines = this.kept.get(shard) ?? this.load(shard);
    this.kept.delete(shard);
    this.kept.set(shard, lines);
    lines.catch(() => {
      if (this.kept.get(shard) === lines) this.kept.delete(shard);
    });
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(oldest);
    }
    return lines;
  }

  forget(shard: number): void {
    this.kept.delete(shard);
  }
}
