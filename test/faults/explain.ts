/** Where a disturbed run's surplus attempts come from: from the ledger, and from when which fault struck. */
import type { LedgerLine } from '../../engine/storage/index.js';
import type { Fault, FaultName } from './schedule.js';

/** A fault that has struck; times as the ledger's, in ms. */
export interface Struck extends Fault {
  begin: number;
  /** What it broke is whole again. */
  end: number;
  /** Completed steps of the run by then. */
  steps: number;
}

/** `dropped`: it came to its end although another had, whose result stands. */
export type Surplus = Record<'lost' | 'failed' | 'cancelled' | 'dropped', number>;

export interface Explained {
  attempts: number;
  /** Steps that were carried out at least once. */
  unique: number;
  /** Attempts beyond the one that gave its step its result, by the fault in which they were in flight. */
  surplus: Partial<Record<FaultName, Surplus>>;
  /** Those in flight at no fault, and steps without a result. */
  unexplained: string[];
}

/** Faults after which the server may think a worker dead that is not. */
export const PARTS: readonly FaultName[] = ['freeze-worker', 'kill-server', 'restart-server', 'slow-server', 'reset-server'];

/** What reconnects and what is tried again goes on failing for a moment. */
const SETTLE_MS = 2_000;

interface Attempt {
  name: string;
  status: keyof Surplus | 'completed';
  from: number;
  to: number;
}

const nameOf = ({ item, arm, round, step, draw, key }: Extract<LedgerLine, { row: 'start' | 'recorded' }>) =>
  [item, arm, round, step, draw, key].join(' ');

export function explain(lines: readonly LedgerLine[], struck: readonly Struck[]): Explained {
  const result: Explained = { attempts: 0, unique: 0, surplus: {}, unexplained: [] };
  const recorded = new Map(lines.flatMap((line) => (line.row === 'recorded' ? [[nameOf(line), Date.parse(line.at)] as const] : [])));
  for (const [name, attempts] of attemptsByStep(lines, recorded)) {
    result.attempts += attempts.length;
    result.unique++;
    const first = attempts.filter(({ status }) => status === 'completed').sort((a, b) => a.to - b.to)[0];
    if (!first && !recorded.has(name)) result.unexplained.push(`no result: ${name}`);
    // Without an end in the ledger, or with a failed one, where worker or store went away between the record and that end.
    const author = first ?? attempts.at(-1);
    for (const attempt of attempts) {
      if (attempt === first) continue;
      const during = struck.filter(({ begin, end }) => begin <= attempt.to && end + SETTLE_MS >= attempt.from);
      // What was given to a second worker lost its first by a fault that parts a worker from the server, whatever else struck meanwhile.
      const parted = attempt.status === 'completed' ? during.findLast(({ kind }) => PARTS.includes(kind)) : undefined;
      const fault = parted ?? during.at(-1);
      if (!fault) result.unexplained.push(`${attempt.status}: ${name}`);
      if (!fault || attempt === author) continue;
      const counts = (result.surplus[fault.kind] ??= { lost: 0, failed: 0, cancelled: 0, dropped: 0 });
      counts[attempt.status === 'completed' ? 'dropped' : attempt.status]++;
    }
  }
  return result;
}

export const surplusOf = ({ surplus }: Explained): number =>
  Object.values(surplus).reduce((sum, { lost, failed, cancelled, dropped }) => sum + lost + failed + cancelled + dropped, 0);

function attemptsByStep(lines: readonly LedgerLine[], recorded: ReadonlyMap<string, number>): Map<string, Attempt[]> {
  const ends = new Map(lines.flatMap((line) => (line.row === 'end' ? [[line.id, line] as const] : [])));
  const steps = new Map<string, Attempt[]>();
  const starts = new Map(lines.flatMap((line) => (line.row === 'start' ? [[line.id, line] as const] : [])));
  for (const start of [...starts.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))) {
    const [name, end] = [nameOf(start), ends.get(start.id)];
    const others = steps.get(name) ?? [];
    const from = Date.parse(start.at);
    // One without an end was over when the next one began, or its result was found.
    const before = others.at(-1);
    if (before?.status === 'lost' && before.to === Infinity) before.to = from;
    const status = end === undefined ? 'lost' : end.status === 'unknown' ? 'lost' : end.status;
    steps.set(name, [...others, { name, status, from, to: end ? Date.parse(end.at) : Infinity }]);
  }
  for (const [name, attempts] of steps) {
    const last = attempts.at(-1)!;
    if (last.to === Infinity) last.to = recorded.get(name) ?? Infinity;
  }
  return steps;
}
