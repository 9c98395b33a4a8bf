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
  /** Whether a word can reach it. */
  isThere: boolean;
}

/**
 * The open partitions of a run, and how they share the items in flight. Only as many are open as it takes: each holds a history in the worker's
 * memory. One that has no further items to start leaves what it does not hold to the others, and then to the next, so that an item that takes long holds
 * up no others.
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
    // All that wait are woken together, and the first may have taken the room.
    do await condition(() => this.free > 0);
    while (this.free <= 0);
    const items = Math.min(MAX_WINDOW, this.free);
    this.open.set(partition, { handle, items, isDraining: false, isThere: false });
    return items;
  }

  /** The partition is there. @param window what it was given to begin with */
  async started(partition: number, window: number): Promise<void> {
    const lane = this.open.get(partition);
    if (!lane) return;
    lane.isThere = true;
    if (!lane.isDraining && lane.items !== window) await tellWindow(lane);
  }

  /** A partition can start no further items for now; so many are still in flight. */
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

  /** Items that may be in flight beside those that are given away. */
  private get free(): number {
    return [...this.open.values()].reduce((free, { items }) => free - items, this.concurrency);
  }

  /** Gives what is free to the partitions that can start items, or takes from each its part of what is too much. */
  private async share(): Promise<void> {
    const filling = [...this.open.values()].filter(({ isDraining }) => !isDraining);
    const given = filling.reduce((sum, { items }) => sum + items, 0);
    const keep = Math.min(1, Math.max(0, given + this.free) / given);
    const before = filling.map(({ items }) => items);
    for (const lane of filling) {
      if (keep < 1) lane.items = Math.max(1, Math.floor(lane.items * keep));
      else lane.items += Math.min(MAX_WINDOW - lane.items, this.free);
    }
    await Promise.all(filling.filter((lane, i) => lane.isThere && lane.items !== before[i]).map(tellWindow));
  }
}

const tellWindow = ({ handle, items }: Lane): Promise<void> => handle.signal(concurrencySignal, items).catch(() => undefined);

/** A signal by hand may have asked for anything. */
const wholeNumber = (items: number): number => Math.max(1, Math.floor(items) || 1);
