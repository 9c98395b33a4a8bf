import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowCancellationType,
  ParentClosePolicy,
  WorkflowIdReusePolicy,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import type { FinishRunResult, IndexDatasetResult, Selection } from '../activities/types.js';
import { partitionWorkflowId } from '../core/ids.js';
import { shareOf } from '../core/policy/budget.js';
import type { Placement } from '../core/queues.js';
import type { RunRef, RunState } from '../core/types.js';
import { concurrencySignal, drainingSignal, pauseSignal, resumeSignal, retryUpdate, runProgressQuery } from './messages.js';
import { tellOpenItems } from './open-items.js';
import { PartitionLanes } from './partition-lanes.js';
import { refinePartition, type PartitionResult } from './refine-partition.js';
import { indexing, orchestration } from './run-activities.js';
import { versioned } from './versioning.js';
import { attributes } from './search-attributes.js';

export interface RefineDatasetInput {
  run: RunRef;
  selection: Selection;
  /** Items in flight over the whole run. */
  concurrency: number;
  /** Base URL under which artifacts can be looked at, for links in the Temporal UI; `null`: digests are shown. */
  links: string | null;
  placement?: Placement;
}

/** Items a partition holds at most, and partitions a run: what one parent's history carries. */
const PARTITION_ITEMS = 5_000;
const MAX_PARTITIONS = 200;

/** Root of a run: indexes the dataset, runs its partitions, writes down how it ended. Holds no items itself. */
export async function refineDataset(input: RefineDatasetInput): Promise<FinishRunResult> {
  const { run } = input;
  const selections: Selection[] = [input.selection];
  const lanes = new PartitionLanes(input.concurrency);
  let state: RunState = 'starting';
  let paused = false;

  const setPaused = (value: boolean) => async () => {
    paused = value;
    if (state === 'running' || state === 'paused') state = value ? 'paused' : 'running';
    await orchestration.setRunState({ run, state });
    await lanes.tell((partition) => partition.signal(value ? pauseSignal : resumeSignal));
  };
  setHandler(pauseSignal, setPaused(true), { description: 'Start no further item; items in flight go on to their end.' });
  setHandler(resumeSignal, setPaused(false), { description: 'Go on after a pause.' });
  const resize = (items: number) => lanes.resize(items);
  setHandler(concurrencySignal, resize, { description: 'Items in flight over the whole run from now on.' });
  setHandler(drainingSignal, ({ partition, items }) => lanes.drain(partition, items));
  setHandler(retryUpdate, (selection) => void selections.push(selection), {
    description: 'Take failed or named items up again once what runs now is through.',
    // It may come from a person's hand; what no selection is must not get into the history.
    validator: requireSelection,
  });
  setHandler(runProgressQuery, () => ({ state, partitions: lanes.numbers }));
  upsertSearchAttributes(attributes({ RefineRun: run.runId, RefineStatus: 'running' }));

  try {
    let index = await indexing.indexDataset({ run });
    let isFirst = true;
    state = paused ? 'paused' : 'running';
    await orchestration.setRunState({ run, state });
    setCurrentDetails(describeIndex(index));
    for (;;) {
      let ended: 'completed' | 'budget_reached' = 'completed';
      for (const asked of selections.splice(0)) {
        let selection = asked;
        // What the selections before it have spent is gone from the budget.
        if (!isFirst && asked.kind !== 'items') index = await indexing.indexDataset({ run });
        isFirst = false;
        if (asked.kind === 'items') {
          const restored = await indexing.restoreSkipped({ run, keys: asked.keys });
          index = restored.index;
          selection = { kind: 'items', keys: restored.keys };
        }
        const ranges = partitionRanges(index.items);
        const results = await allOf(
          ranges.map((range, n) =>
            runPartition(input, index, selection, n, range, { lanes, isLast: n === ranges.length - 1, paused: () => paused }),
          ),
        );
        if (results.some((r) => r.budgetReached)) ended = 'budget_reached';
      }
      const result = await finish(run, ended);
      if (selections.length === 0) return result; // Else a retry came in while the end was written down.
      await orchestration.setRunState({ run, state });
    }
  } catch (error) {
    if (isCancellation(error)) {
      await CancellationScope.nonCancellable(() => finish(run, 'cancelled'));
    } else {
      await orchestration.setRunState({ run, state: 'failed' });
      upsertSearchAttributes(attributes({ RefineStatus: 'failed' }));
    }
    throw error;
  }
}

// As long as the run, and so it moves with every deployment; what changes in it stands behind `patched`.
versioned('AUTO_UPGRADE', refineDataset);

function requireSelection(selection: unknown): void {
  const { kind, keys } = (selection ?? {}) as { kind?: unknown; keys?: unknown };
  const areKeys = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
  if (kind === 'failed' || kind === 'missing' || (kind === 'items' && areKeys)) return;
  throw ApplicationFailure.nonRetryable('expected {"kind": "failed"} or {"kind": "items", "keys": [...]}', 'InvalidInput');
}

async function finish(run: RunRef, ended: 'completed' | 'budget_reached' | 'cancelled'): Promise<FinishRunResult> {
  const result = await orchestration.finishRun({ run, ended });
  const counts = Object.entries(result.items).map(([state, n]) => `| ${state} | ${n} |`);
  setCurrentDetails(['| items | |', '|---|---|', ...counts].join('\n'));
  upsertSearchAttributes(attributes({ RefineStatus: result.state }));
  return result;
}

async function runPartition(
  input: RefineDatasetInput,
  index: IndexDatasetResult,
  selection: Selection,
  n: number,
  [from, to]: [number, number],
  { lanes, isLast, paused }: { lanes: PartitionLanes; isLast: boolean; paused: () => boolean },
): Promise<PartitionResult> {
  const workflowId = partitionWorkflowId(input.run.runId, n);
  tellOpenItems(input.run.runId, n, to - from); // Until it is open and says so itself.
  const window = await lanes.enter(n, getExternalWorkflowHandle(workflowId));
  try {
    const wasPaused = paused();
    const partition = await startChild(refinePartition, {
      workflowId,
      // Of a root that was terminated, and started again before its partitions were gone.
      workflowIdReusePolicy: WorkflowIdReusePolicy.TERMINATE_IF_RUNNING,
      staticSummary: `${input.run.runId}: items ${from}..${to - 1}`,
      // A root that is gone takes its partitions along; items in flight end on their own and are recorded.
      parentClosePolicy: ParentClosePolicy.TERMINATE,
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
      typedSearchAttributes: attributes({ RefineRun: input.run.runId, RefineStatus: 'running' }),
      args: [
        {
          run: input.run,
          partition: n,
          selection,
          from,
          to,
          window,
          isLast,
          budget: shareOf(index.budget, [from, to], index.items, index.worstCaseImages),
          worstCaseImages: index.worstCaseImages,
          links: input.links,
          placement: input.placement,
          paused: wasPaused,
        },
      ],
    });
    // A word that came before the partition was there has not reached it.
    if (paused() !== wasPaused) await partition.signal(paused() ? pauseSignal : resumeSignal);
    await lanes.started(n, window);
    return await partition.result();
  } finally {
    await lanes.leave(n);
  }
}

/** As Promise.all, but what is cancelled still has items to end. */
async function allOf<T>(promises: Promise<T>[]): Promise<T[]> {
  try {
    return await Promise.all(promises);
  } catch (error) {
    if (isCancellation(error)) await Promise.allSettled(promises);
    throw error;
  }
}

/** Even ranges [from, to) of at most {@link PARTITION_ITEMS} items. */
function partitionRanges(items: number): Array<[number, number]> {
  if (items === 0) return [];
  const count = Math.min(MAX_PARTITIONS, Math.ceil(items / PARTITION_ITEMS));
  const size = Math.ceil(items / count);
  return Array.from({ length: count }, (_, n): [number, number] => [n * size, Math.min(items, (n + 1) * size)]).filter(
    ([from, to]) => from < to,
  );
}

function describeIndex(index: IndexDatasetResult): string {
  return `${index.items} items, ${index.skipped} skipped, at most ${index.items * index.worstCaseImages} images.`;
}
