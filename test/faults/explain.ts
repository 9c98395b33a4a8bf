/** Where a disturbed run's surplus attempts come from: from the ledger, and from when which fault struck what. */
import type { FailureCode } from '../../core/errors.js';
import type { LedgerLine } from '../../engine/storage/index.js';
import { WORKERS, type Fault, type FaultName, type WorkerName } from './schedule.js';

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
  /** Attempts beyond the one that gave its step its result, by the fault that ended them or had them made twice. */
  surplus: Partial<Record<FaultName, Surplus>>;
  /** Those that no fault accounts for, and steps without a result. */
  unexplained: string[];
}

/** Which attempts a fault may cost, of those that were in flight where it struck. What is not named it cannot. */
interface Effect {
  /** Ends that it may give them; `failed`: by an error of this type. */
  lost?: true;
  cancelled?: true;
  dropped?: true;
  failed?: FailureCode;
  /** It strikes at its beginning; what follows is the time until another worker is there. */
  once?: true;
  /** Fewer than the slots of what it strikes. */
  most?: number;
}

/** One request is in the host; those that wait go to the next. */
const HOST: Effect = { failed: 'HostCrashed', most: 1 };
/** The server may think a worker dead that is not: its steps are given to another, and both carry them out. */
const PARTED: Effect = { cancelled: true, dropped: true };
/** Nothing can be read or recorded, not even that an attempt has failed. */
const NO_STORE: Effect = { failed: 'StorageUnavailable', lost: true };
const NONE: Effect = {};

const EFFECTS: Record<FaultName, Effect> = {
  'kill-host': HOST,
  'abort-host': HOST,
  'stuck-host': HOST,
  'hang-host': NONE, // For less than the watchdog's time.
  'kill-gpu': { lost: true, once: true },
  'kill-cpu': { lost: true, once: true },
  'kill-orchestrator': NONE, // It carries out no steps.
  'stop-worker': { cancelled: true, once: true },
  'freeze-worker': PARTED,
  'kill-server': PARTED,
  'restart-server': PARTED,
  'slow-server': PARTED,
  'reset-server': PARTED,
  'kill-store': NO_STORE,
  'slow-store': NO_STORE,
  'reset-store': NO_STORE,
  'spoil-picture': NONE,
};

/** By the ledger's name of a device: how many steps it has at once. */
const SLOTS: Record<WorkerName, { device: string; slots: number } | null> = {
  'gpu-0': { device: 'cpu:0', slots: 2 },
  'gpu-1': { device: 'cpu:1', slots: 2 },
  cpu: { device: 'cpu', slots: 4 },
  orchestrator: null,
};

/** What reconnects and what is tried again goes on failing for a moment. */
const SETTLE_MS = 2_000;

interface Attempt {
  name: string;
  device: string | null;
  status: keyof Surplus | 'completed';
  /** Type of what it failed with. */
  error?: string;
  from: number;
  to: number;
}

const nameOf = ({ item, arm, round, step, draw, key }: Extract<LedgerLine, { row: 'start' | 'recorded' }>) =>
  [item, arm, round, step, draw, key].join(' ');

/**
 * Lays each attempt that gave no result at a fault: one that struck its device, or what all devices need, while it was in flight, that can end an
 * attempt so, and that has not cost as many already as it can have met.
 */
export function explain(lines: readonly LedgerLine[], struck: readonly Struck[]): Explained {
  const result: Explained = { attempts: 0, unique: 0, surplus: {}, unexplained: [] };
  const recorded = new Map(lines.flatMap((line) => (line.row === 'recorded' ? [[nameOf(line), Date.parse(line.at)] as const] : [])));
  const costs: Array<{ attempt: Attempt; faults: Struck[]; isSurplus: boolean }> = [];
  for (const [name, attempts] of attemptsByStep(lines, recorded)) {
    result.attempts += attempts.length;
    result.unique++;
    const first = attempts.filter(({ status }) => status === 'completed').sort((a, b) => a.to - b.to)[0];
    if (!first && !recorded.has(name)) result.unexplained.push(`no result: ${name}`);
    // Without an end in the ledger, or with a failed one, where worker or store went away between the record and that end.
    const author = first ?? attempts.at(-1);
    for (const attempt of attempts) {
      if (attempt === first) continue;
      // Of two that were made side by side, either may have been the one whose worker was thought dead.
      const beside = attempts.filter((other) => other !== attempt && other.from <= attempt.to && other.to >= attempt.from);
      const faults = struck.filter((fault) => mayCost(fault, reaching(attempt, struck), beside));
      costs.push({ attempt, faults, isSurplus: attempt !== author });
    }
  }
  const causes = assign(costs.map(({ faults }) => faults));
  for (const [i, { attempt, isSurplus }] of costs.entries()) {
    const fault = causes[i];
    if (!fault) result.unexplained.push(`${attempt.status}${whereAndWhen(attempt, lines)}: ${attempt.name}`);
    if (!fault || !isSurplus) continue;
    const counts = (result.surplus[fault.kind] ??= { lost: 0, failed: 0, cancelled: 0, dropped: 0 });
    counts[endOf(attempt)]++;
  }
  return result;
}

export const surplusOf = ({ surplus }: Explained): number =>
  Object.values(surplus).reduce((sum, { lost, failed, cancelled, dropped }) => sum + lost + failed + cancelled + dropped, 0);

const endOf = ({ status }: Attempt): keyof Surplus => (status === 'completed' ? 'dropped' : status);

/** Of one that nothing accounts for; seconds since the run's first line. */
function whereAndWhen({ device, from, to }: Attempt, lines: readonly LedgerLine[]): string {
  const began = Math.min(...lines.map(({ at }) => Date.parse(at)));
  const seconds = (ms: number) => ((ms - began) / 1000).toFixed(1);
  return ` on ${device} from ${seconds(from)} to ${seconds(to)} s`;
}

function mayCost(fault: Struck, attempt: Attempt, beside: readonly Attempt[]): boolean {
  const effect = EFFECTS[fault.kind];
  const end = endOf(attempt);
  if (end === 'failed' ? effect.failed !== attempt.error : !effect[end]) return false;
  return met(fault, attempt) || (effect === PARTED && beside.some((other) => met(fault, other)));
}

/** Whether the attempt was in flight where and when the fault struck. */
function met(fault: Struck, { device, from, to }: Attempt): boolean {
  const until = (EFFECTS[fault.kind].once ? fault.begin : fault.end) + SETTLE_MS;
  return devicesOf(fault).has(device ?? '') && from <= until && to >= fault.begin;
}

/**
 * A lost one whose worker was parted from the server may have gone on when the next began, until that worker heard of it: a kill may have met it then.
 * It hears later where it is parted once more before it has heard.
 */
function reaching(attempt: Attempt, struck: readonly Struck[]): Attempt {
  if (attempt.status !== 'lost') return attempt;
  let reached = attempt;
  for (const fault of [...struck].sort((a, b) => a.begin - b.begin))
    if (EFFECTS[fault.kind] === PARTED && met(fault, reached)) reached = { ...reached, to: Math.max(reached.to, fault.end + SETTLE_MS) };
  return reached;
}

/** Slots by device, of what the fault strikes: one worker, or the server or the store, which all of them need. */
function devicesOf({ target }: Struck): Map<string, number> {
  const names = Object.keys(WORKERS) as WorkerName[];
  const struck = names.filter((name) => name === target || !names.includes(target as WorkerName));
  return new Map(struck.flatMap((name) => (SLOTS[name] ? [[SLOTS[name].device, SLOTS[name].slots] as const] : [])));
}

function mostOf(fault: Struck): number {
  const slots = [...devicesOf(fault).values()].reduce((sum, n) => sum + n, 0);
  return Math.min(EFFECTS[fault.kind].most ?? Infinity, slots);
}

/** To as many as can be one of theirs each, none to more than it may have: a largest matching, by augmenting paths. */
function assign(wishes: readonly Struck[][]): Array<Struck | undefined> {
  const given: Array<Struck | undefined> = wishes.map(() => undefined);
  const place = (i: number, tried: Set<Struck>): boolean =>
    wishes[i]!.some((fault) => {
      if (tried.has(fault)) return false;
      tried.add(fault);
      const holders = given.flatMap((held, k) => (held === fault ? [k] : []));
      if (holders.length >= mostOf(fault) && !holders.some((k) => place(k, tried))) return false;
      given[i] = fault;
      return true;
    });
  wishes.forEach((_, i) => place(i, new Set()));
  return given;
}

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
    const status = end === undefined || end.status === 'unknown' ? 'lost' : end.status;
    const error = end?.error?.split(':')[0];
    steps.set(name, [...others, { name, device: start.device, status, error, from, to: end ? Date.parse(end.at) : Infinity }]);
  }
  for (const [name, attempts] of steps) {
    const last = attempts.at(-1)!;
    if (last.to === Infinity) last.to = recorded.get(name) ?? Infinity;
  }
  return steps;
}
