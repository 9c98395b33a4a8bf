import {
  CancellationScope,
  ParentClosePolicy,
  WorkflowIdReusePolicy,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { IndexPageEntry, ItemDone, ReadIndexPageResult, Selection } from '../activities/types.js';
import { itemWorkflowId } from '../core/ids.js';
import { emptyBudget, finished, reserve, started, type BudgetState } from '../core/policy/budget.js';
import type { Placement } from '../core/queues.js';
import type { BudgetRecipe } from '../core/recipe.js';
import type { RunRef } from '../core/types.js';
import { concurrencySignal, drainingSignal, itemDoneSignal, partitionProgressQuery, pauseSignal, resumeSignal } from './messages.js';
import { refineItem } from './refine-item.js';
import { tellOpenItems } from './open-items.js';
import { orchestration } from './run-activities.js';
import { isTimeToContinue, onCurrentVersion, versioned } from './versioning.js';
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
  /** Whether no partition comes after it. */
  isLast: boolean;
  budget: BudgetRecipe;
  worstCaseImages: number;
  links: string | null;
  placement?: Placement;
  paused: boolean;
  /** Carried on when the workflow continues as new. */
  carried?: { budget: BudgetState; running: IndexPageEntry[]; lookAt: number };
}

export interface PartitionResult {
  budgetReached: boolean;
}

/** Items read at once: about as many as are started before the history is begun anew. */
const PAGE_ITEMS = 128;
/** How often items in flight are looked up, should their word be lost: doubling from the first to the last while nothing ends. */
const [FIRST_LOOK_MS, LAST_LOOK_MS] = [60_000, 16 * 60_000];

/**
 * A part of a run: starts its items in the index's order, at most `window` at once, within its share of the budget.
 * An item's signal frees its slot; an item that ended without a word (terminated, deleted) is found by its closed workflow.
 */
export async function refinePartition(input: RefinePartitionInput): Promise<PartitionResult> {
  const { run, worstCaseImages } = input;
  const running = new Map<string, IndexPageEntry>((input.carried?.running ?? []).map((entry) => [entry.key, entry]));
  let budget = input.carried?.budget ?? emptyBudget();
  let paused = input.paused;
  let window = input.window;
  let budgetReached = false;
  let next: number | null = input.from;
  let endedHere = 0;
  /** When items in flight are next looked up, in milliseconds since 1970. */
  let lookAt = input.carried?.lookAt ?? Date.now() + FIRST_LOOK_MS;
  /** The item whose workflow is being started: not there yet, and no sign that it has ended. */
  let starting: string | null = null;
  /** Offset of the first item that nothing is decided of yet. */
  let reached = input.from;

  /** Whether the root was told that no further items can be started for now. */
  let draining = input.isLast;

  const tellOpen = () => tellOpenItems(run.runId, input.partition, running.size + input.to - reached);

  const onDone = (done: ItemDone) => {
    if (!running.delete(done.key)) return;
    endedHere++;
    // What an item spent that was stopped is in the ledger alone; until that is read again, it counts at its worst.
    const spent = done.state === 'cancelled' || done.ended ? { ...done.spent, images: worstCaseImages } : done.spent;
    budget = finished(budget, worstCaseImages, spent);
    tellOpen();
  };
  setHandler(itemDoneSignal, onDone, { description: "From an item, once its record is written: frees the item's slot." });
  setHandler(pauseSignal, () => void (paused = true));
  setHandler(resumeSignal, () => void (paused = false));
  setHandler(concurrencySignal, (items) => void (window = items), { description: 'Items in flight from now on; those that run go on.' });
  setHandler(partitionProgressQuery, () => ({ running: [...running.values()].map((entry) => entry.id), paused }));

  const reconcile = async (entries: IndexPageEntry[]) => {
    const items = entries.map(({ offset, id, key }) => ({ offset, id, key }));
    // A server or store that is away for longer than an activity is tried: at the next look.
    const { over } = await orchestration.reconcileItems({ run, items }).catch(() => ({ over: [] }));
    over.forEach(onDone);
  };

  /** Nobody tells of an item that was started by an earlier execution, or reset, and then terminated. */
  const lookAfter = async (): Promise<never> => {
    for (let pause = FIRST_LOOK_MS; ;) {
      const [before, ended] = [new Set(running.keys()), endedHere];
      await sleep(Math.max(1, lookAt - Date.now()));
      const still = [...running.values()].filter(({ key }) => before.has(key) && key !== starting);
      if (still.length > 0) await reconcile(still);
      pause = endedHere > ended ? FIRST_LOOK_MS : Math.min(2 * pause, LAST_LOOK_MS);
      lookAt = Date.now() + pause;
    }
  };
  void CancellationScope.nonCancellable(lookAfter);

  const startItem = async (entry: IndexPageEntry) => {
    running.set(entry.key, entry);
    starting = entry.key;
    budget = started(budget, worstCaseImages);
    try {
      const child = await startChild(refineItem, {
        workflowId: itemWorkflowId(run.runId, entry.key),
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        // Items outlive this execution when it continues as new, and a partition that is terminated.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: entry.summary,
        typedSearchAttributes: attributes({ RefineRun: run.runId, RefineItem: entry.id, RefineStatus: 'running' }),
        args: [
          {
            item: { run, offset: entry.offset, id: entry.id, key: entry.key },
            partition: workflowInfo().workflowId,
            links: input.links,
            placement: input.placement,
          },
        ],
      });
      // Ended without a word: terminated, or its record could not be written.
      void child.result().catch(() => (running.has(entry.key) ? reconcile([entry]) : undefined));
    } catch (error) {
      if (isCancellation(error)) throw error;
      // Already running, from an earlier execution of this run.
    } finally {
      starting = null;
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
      next = page.next;
      for (const entry of page.entries) {
        if (running.has(entry.key)) continue;
        const isFree = () => !paused && running.size < window && reserve(budget, input.budget, worstCaseImages) !== 'wait';
        const isSpent = () => !draining && reserve(budget, input.budget, worstCaseImages) === 'wait';
        await condition(() => isTimeToContinue() || isFree() || isSpent());
        if (isSpent()) {
          drain();
          await condition(() => isTimeToContinue() || isFree());
        }
        if (isTimeToContinue()) {
          next = entry.offset;
          break;
        }
        if (reserve(budget, input.budget, worstCaseImages) === 'reached') {
          budgetReached = true;
          break;
        }
        reached = entry.offset + 1;
        tellOpen();
        await startItem(entry);
        setCurrentDetails(`Items up to ${entry.offset - input.from + 1} of ${input.to - input.from} started, ${running.size} in flight.`);
      }
      // A history holds 51,200 events at most; each item adds about ten. Items in flight are carried along.
      if (next !== null && !budgetReached && isTimeToContinue()) {
        await makeContinueAsNewFunc<typeof refinePartition>(onCurrentVersion())({
          ...input,
          from: next,
          paused,
          window,
          // Without their captions, which no longer serve: 200 of them may be more than a payload holds.
          carried: { budget, running: [...running.values()].map((entry) => ({ ...entry, summary: '' })), lookAt },
        });
      }
    }
    reached = input.to;
    drain();
    await condition(() => running.size === 0);
  } catch (error) {
    if (isCancellation(error)) {
      reached = input.to;
      await CancellationScope.nonCancellable(() => cancelItems());
      tellOpen();
      upsertSearchAttributes(attributes({ RefineStatus: 'cancelled' }));
    }
    throw error;
  }
  tellOpen();
  upsertSearchAttributes(attributes({ RefineStatus: budgetReached ? 'budget_reached' : 'completed' }));
  return { budgetReached };

  /** Leaves its part of the window to other partitions as it gets free: what is in flight now gets no more. */
  function drain(): void {
    if (draining) return;
    draining = true;
    const root = getExternalWorkflowHandle(workflowInfo().parent!.workflowId);
    const tell = async () => {
      for (let told = Infinity; running.size > 0;) {
        await condition(() => running.size <= told / 4);
        told = running.size;
        await root.signal(drainingSignal, { partition: input.partition, items: told });
      }
    };
    void tell().catch(() => undefined); // Cancelled, or the root is gone.
  }

  async function cancelItems(): Promise<void> {
    for (const { key } of running.values()) {
      await getExternalWorkflowHandle(itemWorkflowId(run.runId, key))
        .cancel()
        .catch(() => undefined); // It has ended meanwhile.
    }
    await condition(() => running.size === 0);
  }
}

// Moves to a new version of the workers where it begins anew, and its further items with it.
versioned('PINNED', refinePartition);
