import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy, WorkflowNotFoundError } from '@temporalio/common';
import type { Selection } from '../../activities/types.js';
import { canonicalJson } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import { runWorkflowId } from '../../core/ids.js';
import { TASK_QUEUES, type Placement } from '../../core/queues.js';
import type { AnalysisPlan, RunManifest } from '../../core/recipe.js';
import { detectableGain } from '../../engine/metrics/index.js';
import { openStore } from '../../engine/storage/index.js';
import type { FinishRunResult } from '../../activities/types.js';
import type { RefineDatasetInput } from '../../workflows/refine-dataset.js';
import { ServiceUnreachable } from './service-unreachable.js';
import type { PreparedRun } from './prepare-run.js';

/** Items in flight where nothing else is said: enough to keep a device busy while others wait for their scores. */
export const DEFAULT_CONCURRENCY = 8;

export interface StartOptions {
  concurrency?: number;
  /** Base URL for links to pictures in the Temporal UI. */
  links?: string | null;
  selection?: Selection;
  /** 1 (first) to 5; steps of a more urgent run go before those of others. Default 3, the server's own middle. */
  priority?: number;
  /** Which workers take model steps first, and how long steps wait for them. Default: what the recipe says. */
  placement?: Placement;
}

export type Started = 'started' | 'attached' | 'finished';

/**
 * Writes the run's manifest and starts its workflow, or finds it: the same id with the same recipe is the same run.
 * `finished`: it is over and nothing was started.
 * @throws InvalidInput where the id belongs to another recipe or to a training
 */
export async function startRun(client: Client, prepared: PreparedRun, options: StartOptions = {}): Promise<Started> {
  const { manifest, storeUri } = prepared;
  await claimRun(prepared);
  const files = (await openStore(storeUri)).run(manifest.runId);
  const state = await files.readState();
  const over = state?.finishedAt !== undefined && state.finishedAt !== null;
  if (await isOpen(client, manifest.runId)) return 'attached';
  if (over && state?.state !== 'cancelled' && state?.state !== 'failed') return 'finished';
  const placement = prepared.placement || options.placement ? { ...prepared.placement, ...options.placement } : undefined;
  await startWorkflow(client, manifest.runId, storeUri, { ...options, placement });
  return 'started';
}

/**
 * Writes the manifest, or compares it with the one that is there.
 * @throws InvalidInput where the id belongs to another recipe or to a training
 */
export async function claimRun(prepared: PreparedRun): Promise<RunManifest> {
  const { manifest, storeUri, artifacts } = prepared;
  await checkRunId(prepared);
  const store = await openStore(storeUri);
  for (const bytes of artifacts) await store.putArtifact(bytes, 'application/json');
  const files = store.run(manifest.runId);
  const kept = requireSame(await files.createManifest(manifest), prepared);
  await files.createPlan(analysisPlan(prepared));
  return kept;
}

/** What the run is to show. A row whose picture turns out to be unusable is a deviation from it, and the report says so. */
function analysisPlan({ manifest, rows }: PreparedRun): AnalysisPlan {
  const { recipeDigest, recipe } = manifest;
  const primary = recipe.scores.primary.metric;
  return { recipeDigest, primary, estimand: 'fixed', n: rows, detectableGain: detectableGain(rows) };
}

/**
 * Whether the id is free or this run's own; writes nothing.
 * @throws InvalidInput where it belongs to another recipe or to a training
 */
export async function checkRunId(prepared: PreparedRun): Promise<void> {
  const { runId } = prepared.manifest;
  const store = await openStore(prepared.storeUri);
  const kept = await store.run(runId).readManifest();
  if (kept) requireSame(kept, prepared);
  else if (await store.training(runId).readManifest()) {
    throw new InvalidInput(`${runId} is a training of this store; give the run another id with --run`);
  }
}

function requireSame(kept: RunManifest, { manifest }: PreparedRun): RunManifest {
  if (kept.recipeDigest === manifest.recipeDigest) return kept;
  const changed = differences(kept.recipe, manifest.recipe);
  const what = changed.length > 0 ? `with another recipe (${changed.slice(0, 5).join('; ')})` : 'with other models';
  throw new InvalidInput(`run ${manifest.runId} is there already ${what}; give this one another id with --run`);
}

/** Fields that differ, as `rounds: 2, now 1`. */
function differences(before: unknown, now: unknown, path = ''): string[] {
  if (canonicalJson(before ?? null) === canonicalJson(now ?? null)) return [];
  if (!isObject(before) || !isObject(now)) return [`${path}: ${JSON.stringify(before)}, now ${JSON.stringify(now)}`];
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names.flatMap((name) => differences(before[name], now[name], path === '' ? name : `${path}.${name}`));
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

export async function startWorkflow(client: Client, runId: string, store: string, options: StartOptions = {}): Promise<void> {
  const { concurrency = DEFAULT_CONCURRENCY, links = null, selection = { kind: 'missing' }, priority, placement } = options;
  const input: RefineDatasetInput = { run: { runId, store }, selection, concurrency, links, placement };
  try {
    await client.workflow.start('refineDataset', {
      workflowId: runWorkflowId(runId),
      taskQueue: TASK_QUEUES.orchestrator,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      staticSummary: `refineloop run ${runId}`,
      // Items and steps inherit it: runs on one queue are served in turn, however many items each has waiting.
      priority: { fairnessKey: runId, ...(priority === undefined ? {} : { priorityKey: priority }) },
      args: [input],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

export const isOpen = (client: Client, runId: string): Promise<boolean> => isWorkflowOpen(client, runWorkflowId(runId));

export async function isWorkflowOpen(client: Client, workflowId: string): Promise<boolean> {
  try {
    return (await client.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** Waits for the run's workflow; how it ended stands in the store. */
export async function waitForRun(client: Client, runId: string): Promise<void> {
  await client.workflow
    .getHandle(runWorkflowId(runId))
    .result()
    .then(
      (result: FinishRunResult) => result,
      (error: unknown) => {
        if (error instanceof Error && error.name === 'WorkflowFailedError') return;
        throw new ServiceUnreachable(`the Temporal server went away while run ${runId} was open; the same command goes on with it`, {
          cause: error,
        });
      },
    );
}
