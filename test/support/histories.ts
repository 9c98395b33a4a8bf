/** Reads what a run left in Temporal: the histories of all its workflows and the payloads in them. */
import type { Client } from '@temporalio/client';
import { itemWorkflowId, partitionWorkflowId, runWorkflowId } from '../../core/ids.js';
import { readItems } from './runs.js';

export interface FoundPayload {
  workflowId: string;
  event: string;
  bytes: number;
}

/** Root, first partition and every item that has a record. */
export async function workflowIds(store: string, runId: string): Promise<string[]> {
  const items = (await readItems(store, runId)).filter((item) => item.state !== 'skipped');
  return [runWorkflowId(runId), partitionWorkflowId(runId, 0), ...items.map((item) => itemWorkflowId(runId, item.key))];
}

/** Every payload in every event of a workflow: inputs, results, signals, failures, headers, memos, summaries. */
export async function payloadsOf(client: Client, workflowId: string): Promise<FoundPayload[]> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).flatMap((event) =>
    payloadSizes(event).map((bytes) => ({ workflowId, event: `${String(event.eventId)} ${String(event.eventType)}`, bytes })),
  );
}

/** Wherever it stands, a payload is an object with `metadata` and `data`. */
function payloadSizes(value: unknown): number[] {
  if (typeof value !== 'object' || value === null) return [];
  const { data, metadata } = value as { data?: unknown; metadata?: unknown };
  if (data instanceof Uint8Array && metadata !== undefined) return [data.byteLength];
  if (value instanceof Uint8Array) return [];
  return Object.values(value).flatMap(payloadSizes);
}
