import type { OutputFault } from '../../core/errors.js';
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
  /** Why a model's output was of no use. */
  reason?: OutputFault;
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
  /** Why a model's output was of no use; absent where nothing of the kind is known. */
  reason?: OutputFault;
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
    const { status, seconds, tokens = null, bytes = null, usd = null, error = null, reason } = end;
    return [{ ...known, status, device: start.device, seconds, tokens, bytes, usd, error, ...(reason ? { reason } : {}) }];
  }
  return over ? [{ ...known, status: start.billable ? 'unknown' : 'lost', device: start.device, ...nothing }] : [];
}

/** Counts a ledger as it grows: each line once, in any order of files. */
export class StepTally {
  /** `retried`: attempts beyond the first of each step, whatever became of them. */
  readonly counts: StepCounts = { executed: 0, cached: 0, retried: 0 };
  /** Images that were made or found recorded, by item. */
  readonly images = new Map<string, number>();
  private readonly attempted = new Set<string>();
  private readonly recorded = new Set<string>();
  /** Attempts that have begun and not ended. */
  private readonly open = new Map<string, LedgerStep>();
  /** Ends whose start is yet to be read. */
  private readonly early = new Map<string, EndLine>();

  add(lines: readonly LedgerLine[]): void {
    for (const line of lines) {
      if (line.row === 'end') this.end(line);
      else if (line.row === 'start') this.start(line);
      else if (line.row === 'recorded') this.find(line);
    }
  }

  private start(line: StartLine): void {
    const name = stepName(line);
    if (this.attempted.has(name)) this.counts.retried += 1;
    this.attempted.add(name);
    this.open.set(line.id, pick(line));
    const end = this.early.get(line.id);
    if (end && this.early.delete(line.id)) this.end(end);
  }

  private end(line: EndLine): void {
    const step = this.open.get(line.id);
    if (!step) return void this.early.set(line.id, line);
    this.open.delete(line.id);
    if (line.status !== 'completed') return;
    this.counts.executed += 1;
    this.countImage(step);
  }

  private find(line: RecordedLine): void {
    const name = stepName(line);
    if (this.recorded.has(name)) return;
    this.recorded.add(name);
    this.counts.cached += 1;
    this.countImage(line);
  }

  private countImage({ step, item }: LedgerStep): void {
    if (step === 'generate') this.images.set(item, (this.images.get(item) ?? 0) + 1);
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
