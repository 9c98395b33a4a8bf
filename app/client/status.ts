import { isGrpcServiceError, ServiceError, type Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { gainBy, itemPlan, worstCaseImages, type ItemPlan } from '../../core/item-plan.js';
import { partitionWorkflowId, runWorkflowId } from '../../core/ids.js';
import type { RunManifest } from '../../core/recipe.js';
import type { ItemRecord, ItemState, RunState, StepCounts } from '../../core/types.js';
import { openStore, StepTally, type LedgerFollower, type RunFiles, type Store } from '../../engine/storage/index.js';
import type { PartitionProgress, RunProgress } from '../../workflows/messages.js';
import { requireRun, type RunName } from './control.js';

/** `status --json`. */
export interface RunStatus {
  runId: string;
  state: RunState;
  items: {
    total: number;
    pending: number;
    running: number;
    /** Needs a person. */
    waiting: number;
    /** Improved, unchanged or uncurable. */
    done: number;
    failed: number;
    skipped: number;
    cancelled: number;
  };
  steps: StepCounts;
  startedAt: string;
  elapsedSeconds: number;
  /** `null`: over, or not known yet. */
  etaSeconds: number | null;
  /** Where it was read: the server that answered, or the store alone. */
  source: 'server' | 'store';
}

const OVER: RunState[] = ['budget_reached', 'completed', 'completed_with_failures', 'cancelled', 'failed'];
export const isOver = (state: RunState): boolean => OVER.includes(state);

/** Mean gain of the last round over round 0 by the primary score, over the items that are through. */
export interface GainSoFar {
  arm: string;
  n: number;
  mean: number;
}

/**
 * Where a run stands, counted from its records.
 * @param client `null`: no server answers, and the store alone is read
 * @throws InvalidInput for an unknown run
 */
export async function getStatus(client: Client | null, run: RunName): Promise<RunStatus> {
  return (await StatusReader.open(client, run)).read();
}

/** What of an item's record a status is made of. */
interface ItemSummary {
  id: string;
  state: ItemState;
  /** Last round over round 0, by arm. */
  gains: Array<[arm: string, gain: number]>;
  /** Of the record, where the store has tags. */
  tag: string | undefined;
}

/** Looks at a run again and again, and reads each time what is new: a run of many thousand items costs no more to watch than one of few. */
export class StatusReader {
  private readonly items = new Map<string, ItemSummary>();
  private readonly tally = new StepTally();
  private readonly ledger: LedgerFollower;
  private readonly plan: ItemPlan;
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly client: Client | null,
    private readonly files: RunFiles,
    private readonly manifest: RunManifest,
    store: Store,
  ) {
    this.ledger = store.followLedger(files.runId);
    this.plan = itemPlan(manifest.recipe);
  }

  /** @throws InvalidInput for an unknown run */
  static async open(client: Client | null, run: RunName): Promise<StatusReader> {
    await requireRun(run);
    const store = await openStore(run.storeUri);
    const files = store.run(run.runId);
    return new StatusReader(client, files, (await files.readManifest())!, store);
  }

  /** One look after the other. @throws StorageUnavailable */
  read(): Promise<RunStatus> {
    const status = this.turn.then(() => this.readNew());
    this.turn = status.catch(() => undefined);
    return status;
  }

  private async readNew(): Promise<RunStatus> {
    const live = this.client ? await liveState(this.client, this.files) : null;
    const kept = await this.files.readState();
    const told = live?.state ?? kept?.state ?? 'starting';
    const startedAt = kept?.startedAt ?? this.manifest.createdAt;
    const finishedAt = isOver(told) && kept?.finishedAt ? Date.parse(kept.finishedAt) : Date.now();
    const elapsedSeconds = Math.max(0, (finishedAt - Date.parse(startedAt)) / 1000);
    await this.readRecords();
    this.tally.add(await this.ledger.readOn());
    const total = Math.max((await this.files.readIndexSummary())?.total ?? 0, this.items.size);
    const items = this.countItems(total, isOver(told) ? 0 : (live?.running ?? 0), told);
    const state = ended(told, items.failed);
    return {
      runId: this.files.runId,
      state,
      items,
      steps: { ...this.tally.counts },
      startedAt,
      elapsedSeconds: round(elapsedSeconds),
      etaSeconds: isOver(state) || state === 'paused' ? null : this.eta(total, elapsedSeconds),
      source: live ? 'server' : 'store',
    };
  }

  /** As of the last {@link read}. */
  gains(): GainSoFar[] {
    const byArm = new Map<string, { n: number; sum: number }>();
    for (const { gains } of this.items.values()) {
      for (const [arm, gain] of gains) {
        const { n, sum } = byArm.get(arm) ?? { n: 0, sum: 0 };
        byArm.set(arm, { n: n + 1, sum: sum + gain });
      }
    }
    return [...byArm].map(([arm, { n, sum }]) => ({ arm, n, mean: sum / n }));
  }

  get primary(): string {
    return this.plan.primary;
  }

  /** New records, and those that a retry has written anew or, where the store cannot tell, may have. */
  private async readRecords(): Promise<void> {
    const tags = await this.files.listItemTags();
    for (const key of this.items.keys()) if (!tags.has(key)) this.items.delete(key);
    const wanted = [...tags.keys()].filter((key) => !this.isKnown(key, tags.get(key)));
    const records = await this.files.readItems(wanted);
    wanted.forEach((key, i) => {
      const record = records[i];
      if (record)
        this.items.set(key, { id: record.id, state: record.state, gains: gainsOf(record, this.plan.primary), tag: tags.get(key) });
      else this.items.delete(key);
    });
  }

  private isKnown(key: string, tag: string | undefined): boolean {
    const known = this.items.get(key);
    return known !== undefined && (DONE.includes(known.state) || (tag !== undefined && tag === known.tag));
  }

  private countItems(total: number, running: number, state: RunState): RunStatus['items'] {
    const counts: Partial<Record<ItemState, number>> = {};
    for (const item of this.items.values()) counts[item.state] = (counts[item.state] ?? 0) + 1;
    const { improved = 0, unchanged = 0, uncurable = 0, failed = 0, skipped = 0, cancelled = 0 } = counts;
    const done = improved + unchanged + uncurable;
    const open = total - (done + failed + skipped + cancelled);
    const ended = { total, waiting: 0, done, failed, skipped };
    // What a cancelled run never began is cancelled with it.
    if (state === 'cancelled') return { ...ended, pending: 0, running: 0, cancelled: cancelled + open };
    const inFlight = Math.min(running, open);
    return { ...ended, pending: open - inFlight, running: inFlight, cancelled };
  }

  /** By the generator calls that were made, and those still to come if every arm runs all its rounds. */
  private eta(total: number, elapsedSeconds: number): number | null {
    const over = new Set([...this.items.values()].map(({ id }) => id));
    let [made, madeOfOpen] = [0, 0];
    for (const [item, images] of this.tally.images) {
      made += images;
      if (!over.has(item)) madeOfOpen += images;
    }
    const left = (total - over.size) * worstCaseImages(this.plan) - madeOfOpen;
    return made === 0 ? null : round((elapsedSeconds / made) * left);
  }
}

const DONE: ItemState[] = ['improved', 'unchanged', 'uncurable'];

/** An item that was reset after the run's end may have changed how it ended. */
function ended(state: RunState, failed: number): RunState {
  if (state !== 'completed' && state !== 'completed_with_failures') return state;
  return failed > 0 ? 'completed_with_failures' : 'completed';
}

function gainsOf({ arms }: ItemRecord, primary: string): ItemSummary['gains'] {
  return arms.flatMap(({ name, rounds }): ItemSummary['gains'] => {
    const [first, last] = [rounds[0]?.scores[primary], rounds.at(-1)?.scores[primary]];
    return rounds.length > 1 && first !== undefined && last !== undefined ? [[name, gainBy(primary, last, first)]] : [];
  });
}

/** What the server says; `null` where it does not answer or knows nothing of the run any more. */
async function liveState(client: Client, files: RunFiles): Promise<{ state: RunState; running: number } | null> {
  const { runId } = files;
  const root = client.workflow.getHandle(runWorkflowId(runId));
  let status: string;
  try {
    status = (await root.describe()).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || isServiceError(error)) return null;
    throw error;
  }
  if (status !== 'RUNNING') {
    const kept = await files.readState();
    if (kept && isOver(kept.state)) return { state: kept.state, running: 0 };
    return { state: status === 'CANCELLED' ? 'cancelled' : 'failed', running: 0 };
  }
  try {
    const { state, partitions } = await withTimeout(root.query<RunProgress>('progress'));
    const running = await Promise.all(partitions.map((n) => runningItems(client, partitionWorkflowId(runId, n))));
    return { state, running: running.reduce((sum, n) => sum + n, 0) };
  } catch {
    // No worker answers the query: nothing moves, but the run is open.
    const kept = (await files.readState())?.state;
    // Of an execution before this one, which no worker has taken up yet.
    return { state: kept === undefined || isOver(kept) ? 'starting' : kept, running: 0 };
  }
}

async function runningItems(client: Client, partition: string): Promise<number> {
  try {
    return (await withTimeout(client.workflow.getHandle(partition).query<PartitionProgress>('partitionProgress'))).running.length;
  } catch {
    return 0;
  }
}

const isServiceError = (error: unknown): boolean => error instanceof ServiceError || isGrpcServiceError(error);

const QUERY_TIMEOUT_MS = 3_000;

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no worker answers')), QUERY_TIMEOUT_MS);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

const round = (seconds: number): number => Math.round(seconds * 10) / 10;
