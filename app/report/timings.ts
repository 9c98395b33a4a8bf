import type { LedgerRow, LedgerStatus } from '../../engine/storage/ledger-rows.js';

export interface Cost {
  attempts: number;
  statuses: Partial<Record<LedgerStatus, number>>;
  seconds: number;
  /** `null` where no attempt had a price. */
  usd: number | null;
}

/** `timings.json`: what the run took, which stands beside the results because it differs from machine to machine. */
export interface Timings {
  runId: string;
  total: Cost;
  steps: Record<string, Cost & { secondsPerCall: number | null }>;
  /** By device; `none` for steps that are not pinned to one. */
  devices: Record<string, Cost>;
  /** By arm, critic and scoring included; `round 0` belongs to all arms. Recorded steps cost nothing here. */
  arms: Record<string, Cost>;
}

/** Sums a run's ledger, failed and lost attempts too. Deterministic for the same rows, in any order but for rounding. */
export function buildTimings(runId: string, ledger: readonly LedgerRow[]): Timings {
  const steps = groupBy(ledger, (row) => row.step);
  return {
    runId,
    total: costOf(ledger),
    steps: mapValues(steps, (rows) => ({ ...costOf(rows), secondsPerCall: meanSeconds(rows) })),
    devices: mapValues(
      groupBy(ledger, (row) => row.device ?? 'none'),
      costOf,
    ),
    arms: mapValues(
      groupBy(ledger, (row) => row.arm ?? 'round 0'),
      costOf,
    ),
  };
}

function costOf(rows: readonly LedgerRow[]): Cost {
  const statuses: Cost['statuses'] = {};
  for (const { status } of rows) statuses[status] = (statuses[status] ?? 0) + 1;
  const prices = rows.flatMap((row) => (row.usd === null ? [] : [row.usd]));
  return {
    attempts: rows.filter((row) => row.status !== 'recorded').length,
    statuses,
    seconds: rows.reduce((sum, row) => sum + (row.seconds ?? 0), 0),
    usd: prices.length === 0 ? null : prices.reduce((sum, usd) => sum + usd, 0),
  };
}

/** Seconds of a call that gave a result. */
function meanSeconds(rows: readonly LedgerRow[]): number | null {
  const seconds = rows.flatMap((row) => (row.status === 'completed' && row.seconds !== null ? [row.seconds] : []));
  return seconds.length === 0 ? null : seconds.reduce((sum, s) => sum + s, 0) / seconds.length;
}

function groupBy(rows: readonly LedgerRow[], name: (row: LedgerRow) => string): Map<string, LedgerRow[]> {
  const groups = new Map<string, LedgerRow[]>();
  for (const row of rows) {
    const group = groups.get(name(row));
    if (group) group.push(row);
    else groups.set(name(row), [row]);
  }
  return groups;
}

function mapValues<T>(groups: Map<string, LedgerRow[]>, value: (rows: LedgerRow[]) => T): Record<string, T> {
  return Object.fromEntries([...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, rows]) => [name, value(rows)]));
}
