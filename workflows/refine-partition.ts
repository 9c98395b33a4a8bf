import {
  CancellationScope,
  ParentClosePolicy,
  WorkflowIdReusePolicy,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  metricMeter,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { IndexPageEntry, ItemDone, ReadIndexPageResult, Selection } from '../activities/types.js';
import { itemWorkflowId } from '../core/ids.js';
import { emptyBudget, finished, reserve, started, type BudgetState } from '../core/policy/budget.js';
import type { BudgetRecipe } from '../core/recipe.js';
import type { RunRef } from '../core/types.js';
import { concurrencySignal, itemDoneSignal, partitionProgressQuery, pauseSignal, resumeSignal } from './messages.js';
import { refineItem } from './refine-item.js';
import { orchestration } from './run-activities.js';
import { attributes } from './search-attributes.js';

export interface RefinePartitionInput {
  run: RunRef;
  partition: number;
  selection: Selection;
  /** Offsets [from, to) of the index. */
  from: number;
  to: number;
  /** Items in flight. */
  window: number;
  budget: BudgetRecipe;
  worstCaseImages: number;
  links: string | null;
  paused: boolean;
  /** Carried on when the workflow continues as new. */
  carried?: { budget: BudgetState; running: IndexPageEntry[] };
}

export interface PartitionResult {
  budgetReached: boolean;
}

/** Items read at once, and started before the history is begun anew. */
const PAGE_ITEMS = 500;
/** How often items that were started before a continue-as-new are looked up, should their word be lost. */
const RECONCILE_EVERY = '1 minute';

/**
 * A part of a run: starts its items in the index's order, at most `window` at once, within its share of the budget.
 * An item's signal frees its slot; an item that ended without a word (terminated, deleted) is found by its closed workflow.
 */
export async function refinePartition(input: RefinePartitionInput): Promise<PartitionResult> {
  const { run, worstCaseImages } = input;
  const running = new Map<string, IndexPageEntry>((input.carried?.running ?? []).map((entry) => [entry.key, entry]));
  /** Items whose end no promise of this execution will tell. */
  const unwatched = new Set(running.keys());
  let budget = input.carried?.budget ?? emptyBudget();
  let paused = input.paused;
  let window = input.window;
  let budgetReached = false;
  let next: number | null = input.from;
  let startedHere = 0;
  /** Items that are still to be started: of the page that was read, and at most of those behind it. */
  let waiting = 0;
  let unread = input.to - input.from;

  const open = metricMeter.createGauge('refineloop_items_open', 'int', '', 'Items of a run that are not over');
  const tellOpen = () => open.set(running.size + waiting + unread, { run: run.runId, partition: input.partition });

  const onDone = (done: ItemDone) => {
    if (!running.delete(done.key)) return;
    unwatched.delete(done.key);
    budget = finished(budget, worstCaseImages, done.spent);
    tellOpen();
  };
  setHandler(itemDoneSignal, onDone, { description: "From an item, once its record is written: frees the item's slot." });
  setHandler(pauseSignal, () => void (paused = true));
  setHandler(resumeSignal, () => void (paused = false));
  setHandler(concurrencySignal, (items) => void (window = items), { description: 'Items in flight from now on; those that run go on.' });
  setHandler(partitionProgressQuery, () => ({ running: [...running.values()].map((entry) => entry.id), paused }));

  const reconcile = async (entries: IndexPageEntry[]) => {
    const items = entries.map(({ offset, id, key }) => ({ offset, id, key }));
    const { over } = await orchestration.reconcileItems({ run, items });
    over.forEach(onDone);
  };

  /** Waits for what running items will change; looks after those that nobody watches. */
  const waitUntil = async (ready: () => boolean) => {
    while (!ready()) {
      if (unwatched.size === 0) await condition(() => ready() || unwatched.size > 0);
      else if (!(await condition(ready, RECONCILE_EVERY))) await reconcile([...unwatched].map((key) => running.get(key)!));
    }
  };

  const startItem = async (entry: IndexPageEntry) => {
    running.set(entry.key, entry);
    budget = started(budget, worstCaseImages);
    startedHere++;
    try {
      const child = await startChild(refineItem, {
        workflowId: itemWorkflowId(run.runId, entry.key),
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        // Items outlive this execution when it continues as new, and a partition that is terminated.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: entry.summary,
        typedSearchAttributes: attributes({ RefineRun: run.runId, RefineItem: entry.id, RefineStatus: 'running' }),
        args: [
          { item: { run, offset: entry.offset, id: entry.id, key: entry.key }, partition: workflowInfo().workflowId, links: input.links },
        ],
      });
      // Ended without a word: terminated, or its record could not be written.
      void child.result().catch(() => (running.has(entry.key) ? reconcile([entry]) : undefined));
    } catch (error) {
      if (isCancellation(error)) throw error;
      unwatched.add(entry.key); // Already running, from an earlier execution of this run.
    }
  };

  try {
    while (next !== null && !budgetReached) {
      const page: ReadIndexPageResult = await orchestration.readIndexPage({
        run,
        selection: input.selection,
        from: next,
        to: input.to,
        limit: PAGE_ITEMS,
      });
      waiting = page.entries.filter(({ key }) => !running.has(key)).length;
      unread = page.next === null ? 0 : input.to - page.next;
      tellOpen();
      for (const entry of page.entries) {
        if (running.has(entry.key)) continue;
        await waitUntil(() => !paused && running.size < window && reserve(budget, input.budget, worstCaseImages) !== 'wait');
        if (reserve(budget, input.budget, worstCaseImages) === 'reached') {
          budgetReached = true;
          break;
        }
        waiting = Math.max(0, waiting - 1);
        await startItem(entry);
        setCurrentDetails(`Items up to ${entry.offset - input.from + 1} of ${input.to - input.from} started, ${running.size} in flight.`);
      }
      next = page.next;
      // A history holds 51,200 events at most; each item adds about ten. Items in flight are carried along.
      if (next !== null && !budgetReached && (startedHere >= PAGE_ITEMS || workflowInfo().continueAsNewSuggested)) {
        await continueAsNew<typeof refinePartition>({
          ...input,
          from: next,
          paused,
          window,
          carried: { budget, running: [...running.values()] },
        });
      }
    }
    await waitUntil(() => running.size === 0);
  } catch (error) {
    if (isCancellation(error)) {
      await CancellationScope.nonCancellable(() => cancelItems());
      nothingOpen();
      upsertSearchAttributes(attributes({ RefineStatus: 'cancelled' }));
    }
    throw error;
  }
  nothingOpen();
  upsertSearchAttributes(attributes({ RefineStatus: budgetReached ? 'budget_reached' : 'completed' }));
  return { budgetReached };

  /** What a budget or a cancellation left is not to be started. */
  function nothingOpen(): void {
    [waiting, unread] = [0, 0];
    tellOpen();
  }

  async function cancelItems(): Promise<void> {
    for (const { key } of running.values()) {
      await getExternalWorkflowHandle(itemWorkflowId(run.runId, key))
        .cancel()
        .catch(() => undefined); // It has ended meanwhile.
    }
    for (const key of running.keys()) unwatched.add(key);
    await waitUntil(() => running.size === 0);
  }
}
