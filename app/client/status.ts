import { isGrpcServiceError, ServiceError, type Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { itemPlan, worstCaseImages } from '../../core/item-plan.js';
import { partitionWorkflowId, runWorkflowId } from '../../core/ids.js';
import type { ItemState, RunState, StepCounts } from '../../core/types.js';
import { countSteps, openStore, type LedgerRow, type RunFiles } from '../../engine/storage/index.js';
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

/**
 * Where a run stands, counted from its records.
 * @param client `null`: no server answers, and the store alone is read
 * @throws InvalidInput for an unknown run
 */
export async function getStatus(client: Client | null, run: RunName): Promise<RunStatus> {
  await requireRun(run);
  const store = await openStore(run.storeUri);
  const files = store.run(run.runId);
  const live = client ? await liveState(client, files) : null;
  const kept = await files.readState();
  const manifest = await files.readManifest();
  const told = live?.state ?? kept?.state ?? 'starting';
  const startedAt = kept?.startedAt ?? manifest!.createdAt;
  const finishedAt = isOver(told) && kept?.finishedAt ? Date.parse(kept.finishedAt) : Date.now();
  const elapsedSeconds = Math.max(0, (finishedAt - Date.parse(startedAt)) / 1000);
  const items = await countItems(files, isOver(told) ? 0 : (live?.running ?? 0), told);
  const state = ended(told, items.failed);
  const ledger = await store.readLedger(run.runId, { closed: isOver(state) });
  return {
    runId: run.runId,
    state,
    items,
    steps: countSteps(ledger),
    startedAt,
    elapsedSeconds: round(elapsedSeconds),
    etaSeconds: isOver(state) || state === 'paused' ? null : eta(await imagesLeft(files, ledger), elapsedSeconds),
    source: live ? 'server' : 'store',
  };
}

/** An item that was reset after the run's end may have changed how it ended. */
function ended(state: RunState, failed: number): RunState {
  if (state !== 'completed' && state !== 'completed_with_failures') return state;
  return failed > 0 ? 'completed_with_failures' : 'completed';
}

async function countItems(files: RunFiles, running: number, state: RunState): Promise<RunStatus['items']> {
  const counts: Partial<Record<ItemState, number>> = {};
  for (const record of await files.listItems()) counts[record.state] = (counts[record.state] ?? 0) + 1;
  const { improved = 0, unchanged = 0, uncurable = 0, failed = 0, skipped = 0, cancelled = 0 } = counts;
  const done = improved + unchanged + uncurable;
  const known = done + failed + skipped + cancelled;
  const total = Math.max((await files.readIndexSummary())?.total ?? 0, known);
  const open = total - known;
  const ended = { total, waiting: 0, done, failed, skipped };
  // What a cancelled run never began is cancelled with it.
  if (state === 'cancelled') return { ...ended, pending: 0, running: 0, cancelled: cancelled + open };
  const inFlight = Math.min(running, open);
  return { ...ended, pending: open - inFlight, running: inFlight, cancelled };
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
    const running = await Promise.all(Array.from({ length: partitions }, (_, n) => runningItems(client, partitionWorkflowId(runId, n))));
    return { state, running: running.reduce((sum, n) => sum + n, 0) };
  } catch {
    // No worker answers the query: nothing moves, but the run is open.
    return { state: (await files.readState())?.state ?? 'starting', running: 0 };
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

/** Generator calls that were made, and those still to come if every arm runs all its rounds. */
async function imagesLeft(files: RunFiles, ledger: LedgerRow[]): Promise<{ made: number; left: number }> {
  const made = ledger.filter((row) => row.step === 'generate' && (row.status === 'completed' || row.status === 'recorded'));
  const over = new Set((await files.listItems()).map((record) => record.id));
  const open = ((await files.readIndexSummary())?.total ?? 0) - over.size;
  const worstCase = worstCaseImages(itemPlan((await files.readManifest())!.recipe));
  return { made: made.length, left: open * worstCase - made.filter((row) => !over.has(row.item)).length };
}

function eta({ made, left }: { made: number; left: number }, elapsedSeconds: number): number | null {
  return made === 0 ? null : round((elapsedSeconds / made) * left);
}

const round = (seconds: number): number => Math.round(seconds * 10) / 10;
