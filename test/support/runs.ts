/** What a run left in its store, as the product's own readers see it. */
import { openStore, type LedgerRow } from '../../engine/storage/index.js';
import type { ItemRecord } from '../../core/types.js';

export type { LedgerRow };

export interface StatusDocument {
  runId: string;
  state: string;
  items: Record<'total' | 'pending' | 'running' | 'waiting' | 'done' | 'failed' | 'skipped' | 'cancelled', number>;
  steps: { executed: number; cached: number; retried: number };
  startedAt: string;
  elapsedSeconds: number;
  etaSeconds: number | null;
}

export interface RunDocument extends StatusDocument {
  report: string | null;
  resultsDigest: string;
  store: string;
  ui: string | null;
}

/** All attempts so far; with `closed` also those that never ended, as `lost`. */
export async function readLedger(store: string, runId: string, closed = false): Promise<LedgerRow[]> {
  return (await openStore(store)).readLedger(runId, { closed });
}

export async function readItems(store: string, runId: string): Promise<ItemRecord[]> {
  return (await openStore(store)).run(runId).listItems();
}

export const completed = (ledger: LedgerRow[]): LedgerRow[] => ledger.filter((row) => row.status === 'completed');

/** Which step of which item: two items may share a key, and then both may carry it out at the same moment. */
const nameOf = ({ item, arm, round, step, draw, key }: LedgerRow): string => [item, arm, round, step, draw, key].join(' ');

/** Steps that were carried out again although their result was recorded. */
export function executedTwice(ledger: LedgerRow[]): string[] {
  const names = completed(ledger).map(nameOf);
  return names.filter((name, i) => names.indexOf(name) !== i);
}
