import { sha256Hex } from './content-hash.js';

/** Run ids become workflow ids and folder names: letters, digits, `.`, `_`, `-`, at most 64. */
export const RUN_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** First 16 hex of the id's SHA-256: the item's name in workflow ids and file names, whatever the id holds. */
export function itemKey(itemId: string): string {
  return sha256Hex(itemId).slice(0, 16);
}

export const runWorkflowId = (runId: string): string => runId;
export const partitionWorkflowId = (runId: string, n: number): string => `${runId}/p${n}`;
export const itemWorkflowId = (runId: string, key: string): string => `${runId}/item/${key}`;
