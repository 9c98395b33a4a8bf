import { condition, type ExternalWorkflowHandle } from '@temporalio/workflow';
import { concurrencySignal } from './messages.js';

/** Items a partition has in flight at most: 2,000 children that are open bring a parent to a halt. */
const MAX_WINDOW = 200;

/** A partition that is open. */
interface Lane {
  handle: ExternalWorkflowHandle;
  /** Items it may have in flight; once it has no further ones to start, those that it has left. */
  items: number;
  isDraining: boolean;
}

/**
 * The open partitions of a run, and how they share the items in flight. Only as many are open as it takes: each holds a history in the worker's
 * memory. One that has no further items to start makes room for the next, so that an item that takes long holds up no others.
 */
export class PartitionLanes {
  private readonly open = new Map<number, Lane>();
  private concurrency: number;

  /** @param concurrency items in flight over the whole run */
  constructor(concurrency: number) {
    this.concurrency = wholeNumber(concurrency);
  }

  /** Numbers of the open partitions. */
  get numbers(): number[] {
    return [...this.open.keys()];
  }

  /** Waits for the partition's turn and gives the items that it may have in flight at first. */
  async enter(partition: number, handle: ExternalWorkflowHandle): Promise<number> {
    const hasRoom = () => this.filling.length < Math.ceil(this.concurrency / MAX_WINDOW);
    // All that wait are woken together, and the first may have taken the room.
    do await condition(hasRoom);
    while (!hasRoom());
    const lane: Lane = { handle, items: 0, isDraining: false };
    this.open.set(partition, lane);
    return (lane.items = this.window());
  }

  /** The partition is there: until now no word could reach it. */
  async started(partition: number, window: number): Promise<void> {
    const lane = this.open.get(partition);
    if (!lane || lane.isDraining) return;
    if (lane.items !== window) await lane.handle.signal(concurrencySignal, lane.items).catch(() => undefined);
  }

  /** A partition has started all of its items; so many of them are still in flight. */
  async drain(partition: number, items: number): Promise<void> {
    const lane = this.open.get(partition);
    if (lane) Object.assign(lane, { items, isDraining: true });
    await this.share();
  }

  async leave(partition: number): Promise<void> {
    this.open.delete(partition);
    await this.share();
  }

  /** From now on so many items are in flight over the whole run. */
  async resize(concurrency: number): Promise<void> {
    this.concurrency = wholeNumber(concurrency);
    await this.share();
  }

  /** Carries something to every open partition; one that has ended meanwhile needs no word. */
  async tell(word: (partition: ExternalWorkflowHandle) => Promise<void>): Promise<void> {
    for (const { handle } of [...this.open.values()]) await word(handle).catch(() => undefined);
  }

  private get filling(): Lane[] {
    return [...this.open.values()].filter(({ isDraining }) => !isDraining);
  }

  /** What is not in flight in draining partitions, evenly among the others. */
  private window(): number {
    const draining = [...this.open.values()].reduce((sum, { isDraining, items }) => sum + (isDraining ? items : 0), 0);
    return Math.min(MAX_WINDOW, Math.max(1, Math.floor((this.concurrency - draining) / this.filling.length)));
  }

  private async share(): Promise<void> {
    for (const lane of this.filling) {
      const items = this.window();
      if (lane.items === items) continue;
      lane.items = items;
      await lane.handle.signal(concurrencySignal, items).catch(() => undefined);
    }
  }
}

/** A signal by hand may have asked for anything. */
const wholeNumber = (items: number): number => Math.max(1, Math.floor(items) || 1);
