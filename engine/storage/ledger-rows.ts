import type { StepCounts, StepName } from '../../core/types.js';

/** `recorded`: a result was found and nothing ran. `unknown`: a billable call whose reply never came. */
export type LedgerStatus = 'completed' | 'failed' | 'recorded' | 'lost' | 'cancelled' | 'unknown';

/** Which step of which item. */
export interface LedgerStep {
  step: StepName;
  /** The item's readable id. */
  item: string;
  arm: string | null;
  round: number;
  draw: number;
  /** Step key. */
  key: string;
}

export interface LedgerStart extends LedgerStep {
  /** From 1. */
  attempt: number;
  /** What it runs on, such as `cpu` or `cuda:0`; `null` where nothing is pinned. */
  device: string | null;
  /** True: the call costs money even when its reply is lost. */
  billable?: boolean;
}

export interface LedgerEnd {
  /** What {@link LedgerWriter.start} returned. */
  id: string;
  status: 'completed' | 'failed' | 'cancelled' | 'unknown';
  seconds: number;
  tokens?: number | null;
  /** Bytes of the artifacts that came out. */
  bytes?: number | null;
  usd?: number | null;
  /** `Type: message`. */
  error?: string | null;
}

/** One attempt, or one recorded result that was found. What is not known is `null`. */
export interface LedgerRow extends LedgerStep {
  attempt: number;
  status: LedgerStatus;
  device: string | null;
  seconds: number | null;
  tokens: number | null;
  bytes: number | null;
  usd: number | null;
  error: string | null;
}

/** A line of a ledger file. `at`: when it was written, ISO 8601. */
export type LedgerLine =
  | ({ row: 'start'; id: string; at: string } & LedgerStart)
  | ({ row: 'end'; at: string } & LedgerEnd)
  | ({ row: 'recorded'; id: string; at: string } & LedgerStep);

type StartLine = Extract<LedgerLine, { row: 'start' }>;
type EndLine = Extract<LedgerLine, { row: 'end' }>;
type RecordedLine = Extract<LedgerLine, { row: 'recorded' }>;

export interface ReadLedgerOptions {
  /** True: no attempt is running any more, so that one without an end is lost. */
  closed?: boolean;
}

const stepName = (row: LedgerStep): string => JSON.stringify([row.item, row.arm, row.round, row.step, row.draw, row.key]);
const pick = ({ step, item, arm, round, draw, key }: LedgerStep): LedgerStep => ({ step, item, arm, round, draw, key });
const nothing = { seconds: null, tokens: null, bytes: null, usd: null, error: null };

/** Merges the lines of all workers into one row per attempt, ordered by start time, then id. Open attempts are left out. */
export function mergeLedger(lines: readonly LedgerLine[], options: ReadLedgerOptions = {}): LedgerRow[] {
  const ends = new Map<string, EndLine>();
  const begun: (StartLine | RecordedLine)[] = [];
  for (const line of lines) {
    if (line.row === 'end') ends.set(line.id, line);
    else if (line.row === 'start' || line.row === 'recorded') begun.push(line);
  }
  begun.sort((a, b) => compare(a.at, b.at) || compare(a.id, b.id));

  const last = new Map<string, string>();
  for (const line of begun) last.set(stepName(line), line.id);
  const recorded = new Set<string>();
  const seen = new Set<string>();
  return begun.flatMap((line): LedgerRow[] => {
    const name = stepName(line);
    const known = line.row === 'recorded' ? recorded.has(name) : seen.has(line.id);
    if (known) return [];
    seen.add(line.id);
    if (line.row === 'start') return attemptRow(line, ends.get(line.id), options.closed === true || last.get(name) !== line.id);
    recorded.add(name);
    return [{ ...pick(line), attempt: 0, status: 'recorded', device: null, ...nothing }];
  });
}

function attemptRow(start: StartLine, end: EndLine | undefined, over: boolean): LedgerRow[] {
  const known = { ...pick(start), attempt: start.attempt };
  if (end) {
    const { status, seconds, tokens = null, bytes = null, usd = null, error = null } = end;
    return [{ ...known, status, device: start.device, seconds, tokens, bytes, usd, error }];
  }
  return over ? [{ ...known, status: start.billable ? 'unknown' : 'lost', device: start.device, ...nothing }] : [];
}

/** `retried` counts the attempts beyond the first of each step, whatever became of them. */
export function countSteps(ledger: readonly LedgerRow[]): StepCounts {
  const counts: StepCounts = { executed: 0, cached: 0, retried: 0 };
  const attempted = new Set<string>();
  for (const row of ledger) {
    if (row.status === 'recorded') {
      counts.cached += 1;
      continue;
    }
    if (row.status === 'completed') counts.executed += 1;
    const name = stepName(row);
    if (attempted.has(name)) counts.retried += 1;
    attempted.add(name);
  }
  return counts;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
