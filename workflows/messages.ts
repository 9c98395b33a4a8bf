import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ItemDone, Selection } from '../activities/types.js';
import type { RunState } from '../core/types.js';

/** To a run's root, and on to its partitions: start no further item / go on. */
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');

/** To a run's root: items in flight over the whole run from now on; to its partitions: their share of it. */
export const concurrencySignal = defineSignal<[number]>('concurrency');

/** From an item to its partition, once its record is written: it only frees a slot, the record is the truth. */
export const itemDoneSignal = defineSignal<[ItemDone]>('itemDone');

/** To an open run: take these items up again once what runs now is through. */
export const retryUpdate = defineUpdate<void, [Selection]>('retry');

/** From a partition that can start no further items to the root: which one, and how many it has in flight; again at each quarter of that. */
export const drainingSignal = defineSignal<[{ partition: number; items: number }]>('draining');

export interface RunProgress {
  state: RunState;
  /** Numbers of the partitions that are open. */
  partitions: number[];
}
/** Of a run's root. */
export const runProgressQuery = defineQuery<RunProgress>('progress');

export interface PartitionProgress {
  /** Readable ids of the items that are running. */
  running: string[];
  paused: boolean;
}
/** Of a partition. */
export const partitionProgressQuery = defineQuery<PartitionProgress>('partitionProgress');
