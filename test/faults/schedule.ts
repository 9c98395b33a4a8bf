/** What may break in the chaos test, and the schedule by which it does. */
import { faultSchedule, type FaultKind, type PlannedFault } from '../../app/embedded/fault-schedule.js';

export const WORKERS = {
  orchestrator: ['orchestrator'],
  cpu: ['cpu'],
  'gpu-0': ['gpu', '--device', '0', '--hang-timeout', '20'],
  'gpu-1': ['gpu', '--device', '1', '--hang-timeout', '20'],
} as const;
export type WorkerName = keyof typeof WORKERS;

const [ALL, GPUS] = [Object.keys(WORKERS), ['gpu-0', 'gpu-1']];
const [SERVER, STORE] = [['server'], ['store']];

/** `seconds`: how long it lasts, or how long what was killed stays away. */
export const FAULTS = {
  /** SIGKILL of an inference host. */
  'kill-host': { targets: GPUS, seconds: [0, 0] },
  /** SIGABRT of one, as a native call that fails an assertion ends it. */
  'abort-host': { targets: GPUS, seconds: [0, 0] },
  /** SIGSTOP and SIGCONT of one: a native call that does not come back for so long. */
  'hang-host': { targets: GPUS, seconds: [2, 5] },
  /** SIGSTOP until its worker's watchdog kills it: one that does not come back. */
  'stuck-host': { targets: GPUS, seconds: [0, 0] },
  /** SIGKILL of a worker, with its host. */
  'kill-gpu': { targets: GPUS, seconds: [0.5, 3] },
  'kill-cpu': { targets: ['cpu'], seconds: [0.5, 3] },
  'kill-orchestrator': { targets: ['orchestrator'], seconds: [0.5, 3] },
  /** SIGTERM: it ends its steps first, or lets them go. */
  'stop-worker': { targets: ALL, seconds: [0.5, 3] },
  /** SIGSTOP of a worker for longer than its heartbeats may be late, then SIGCONT: another takes its steps, and both finish. */
  'freeze-worker': { targets: GPUS, seconds: [12, 15] },
  /** SIGKILL of the Temporal server. */
  'kill-server': { targets: SERVER, seconds: [0, 2] },
  /** SIGTERM. */
  'restart-server': { targets: SERVER, seconds: [0, 2] },
  /** SIGKILL of MinIO. */
  'kill-store': { targets: STORE, seconds: [1, 4] },
  /** Half a second for each answer. */
  'slow-store': { targets: ['way to store'], seconds: [3, 6] },
  /** Connections are reset after a tenth of a second. */
  'reset-store': { targets: ['way to store'], seconds: [2, 4] },
  'slow-server': { targets: ['way to server'], seconds: [3, 6] },
  'reset-server': { targets: ['way to server'], seconds: [2, 4] },
  /** A byte is flipped in a picture of an item that is over. */
  'spoil-picture': { targets: ['picture'], seconds: [0, 0] },
} satisfies Record<string, FaultKind>;

export type FaultName = keyof typeof FAULTS;
export type Fault = PlannedFault<FaultName>;

/** The same seed and number of faults give the same schedule, whatever the machine. */
export function chaosSchedule(seed: number, faults: number): Fault[] {
  return faultSchedule<FaultName>(seed, faults, FAULTS);
}

/** As `at 12.3%: kill-worker gpu-0, 2.1 s`. */
export const inWords = ({ at, kind, target, seconds }: Fault): string =>
  `at ${(100 * at).toFixed(1)}%: ${kind} ${target}${seconds > 0 ? `, ${seconds} s` : ''}`;
