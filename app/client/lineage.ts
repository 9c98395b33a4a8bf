import { InvalidInput } from '../../core/errors.js';
import type { Digest, IndexedItem, ItemRecord, RoundOutcome, StepRecord } from '../../core/types.js';
import type { Store } from '../../engine/storage/index.js';
import { findItem } from './find-item.js';

/** A picture of a run with every step that led to it, the picture's own first. */
export interface Lineage {
  runId: string;
  item: string;
  caption: string;
  arm: string | null;
  repeat: number;
  round: number;
  image: Digest;
  steps: StepRecord[];
  /** What nothing in the run made: the true image behind an oracle's words, a long caption. */
  roots: Array<{ digest: Digest; what: string }>;
}

export interface PictureName {
  runId: string;
  /** Id or key. */
  item: string;
  round: number;
  /** `undefined`: the only arm that has the round; round 0 belongs to all. */
  arm?: string;
  repeat?: number;
}

/**
 * Where a picture comes from, read from the records of the steps behind it.
 * @throws InvalidInput where there is no such picture
 */
export async function lineageOf(store: Store, name: PictureName): Promise<Lineage> {
  const files = store.run(name.runId);
  const record = await findItem(store, name.runId, name.item);
  const { arm, outcome } = findRound(record, name);
  const items = (await files.readIndexSummary())?.items ?? 0;
  const index = await files.readIndexRange(0, items);
  const indexed = index.find((item) => item.key === record.key)!;
  const lender = indexed.placebo === undefined ? undefined : await files.readItem(index[indexed.placebo]!.key);
  const makers = await makersOf(store, [record, ...(lender ? [lender] : [])]);
  const { steps, roots } = walk(outcome.image.digest, makers, indexed, index);
  return {
    runId: name.runId,
    item: record.id,
    caption: indexed.caption,
    arm: name.round === 0 ? null : arm,
    repeat: name.repeat ?? 0,
    round: name.round,
    image: outcome.image.digest,
    steps,
    roots,
  };
}

function findRound(record: ItemRecord, { round, arm, repeat = 0 }: PictureName): { arm: string; outcome: RoundOutcome } {
  const arms = record.arms.filter((a) => a.repeat === repeat && (arm === undefined || a.name === arm));
  const having = arms.flatMap((a) => a.rounds.flatMap((outcome) => (outcome.round === round ? [{ arm: a.name, outcome }] : [])));
  const names = having.map((h) => h.arm).join(', ');
  if (having.length === 0) {
    const all = record.arms.filter((a) => a.repeat === repeat).map((a) => `${a.name} (rounds 0 to ${a.rounds.length - 1})`);
    throw new InvalidInput(
      `item ${record.id} has no round ${round}${arm === undefined ? '' : ` of an arm ${arm}`}; it has ${all.join(', ') || 'no arms'}`,
    );
  }
  if (having.length > 1 && round > 0)
    throw new InvalidInput(`item ${record.id} has round ${round} in several arms; name one with --arm: ${names}`);
  return having[0]!;
}

/** Records of all steps of these items, by what they made. */
async function makersOf(store: Store, records: ItemRecord[]): Promise<Map<Digest, StepRecord>> {
  const keys = new Set(records.flatMap((r) => r.arms.flatMap((a) => a.rounds.flatMap((round) => Object.values(round.steps)))));
  const makers = new Map<Digest, StepRecord>();
  for (const key of keys) {
    const step = await store.steps.readStep(key);
    for (const { digest } of Object.values(step?.outputs ?? {})) if (!makers.has(digest)) makers.set(digest, step!);
  }
  return makers;
}

function walk(image: Digest, makers: Map<Digest, StepRecord>, own: IndexedItem, index: IndexedItem[]): Pick<Lineage, 'steps' | 'roots'> {
  const steps: StepRecord[] = [];
  const roots: Lineage['roots'] = [];
  const seen = new Set<Digest>();
  const queue = [image];
  for (let digest = queue.shift(); digest !== undefined; digest = queue.shift()) {
    if (seen.has(digest)) continue;
    seen.add(digest);
    const maker = makers.get(digest);
    if (maker) {
      if (!steps.includes(maker)) steps.push(maker);
      queue.push(...maker.inputs);
    } else roots.push({ digest, what: rootName(digest, own, index) });
  }
  return { steps, roots };
}

function rootName(digest: Digest, own: IndexedItem, index: IndexedItem[]): string {
  if (own.trueImage?.digest === digest) return 'the true image of this item';
  const other = index.find((item) => item.trueImage?.digest === digest);
  return other ? `the true image of item ${other.id}` : 'from outside the run';
}
