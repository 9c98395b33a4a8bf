import { metricMeter } from '@temporalio/workflow';

/** Says how many items of a partition are not over. */
export function tellOpenItems(runId: string, partition: number, items: number): void {
  const open = metricMeter.createGauge('refineloop_items_open', 'int', '', 'Items of a run that are not over');
  // The SDK's tag would part what the root says of a partition that is yet to open from what the partition says: the first would stand for ever.
  open.set(items, { run: runId, partition, workflowType: 'refinePartition' });
}
