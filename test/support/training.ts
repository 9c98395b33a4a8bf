/** The real trainer as child processes, in its pinned Python environment. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './cli.js';

/** What a trainer says, one JSON line each. */
export interface TrainerEvent {
  event: string;
  step?: number;
  [field: string]: unknown;
}

export interface TrainerRun {
  /** `null` where a signal ended it. */
  code: number | null;
  events: TrainerEvent[];
  stderr: string;
}

let interpreter: string | undefined;

/** Path of the environment's interpreter; makes it where it is not there yet. */
export function python(): string {
  if (interpreter) return interpreter;
  const made = spawnSync(process.execPath, [join(ROOT, 'scripts/python-env.mjs')], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`no Python environment: ${made.stderr}`);
  return (interpreter = made.stdout.trim().split('\n').at(-1)!);
}

/** Runs a script of `models/training/feedback`, or another. `at` and `signal`: what it gets as soon as it says that step. */
export function runPython(
  script: string,
  args: string[],
  { at, signal }: { at?: number; signal?: NodeJS.Signals } = {},
): Promise<TrainerRun> {
  const file = script.includes('/') ? script : join('models/training/feedback', script);
  // One thread each: the same sums in the same order, and two runs side by side on two cores.
  const env = { ...process.env, OMP_NUM_THREADS: '1' };
  const child = spawn(python(), [join(ROOT, file), ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const events: TrainerEvent[] = [];
  let [rest, stderr] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const said = JSON.parse(line) as TrainerEvent;
      events.push(said);
      if (signal && said.event === 'step' && said.step === at) child.kill(signal);
    }
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, events, stderr })));
}
