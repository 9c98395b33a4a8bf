import { fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { InvalidInput, OutOfMemory, RefineError, TrainerCrashed } from '../../core/errors.js';

const step = z.int().min(0);
const eventSchema = z.discriminatedUnion('event', [
  z.looseObject({
    event: z.literal('start'),
    totalSteps: step,
    resumedFrom: step,
    examples: z.looseObject({ train: step, validation: step }),
    /** Rows whose feedback has more tokens than arms write by default; absent where there is none. */
    overlong: z.int().positive().optional(),
  }),
  z.looseObject({ event: z.literal('step'), step, epoch: z.number(), loss: z.number(), learningRate: z.number() }),
  z.looseObject({ event: z.literal('eval'), step, loss: z.number() }),
  z.looseObject({ event: z.literal('checkpoint'), step, path: z.string() }),
  z.looseObject({ event: z.literal('done'), largestDifference: z.number().optional() }),
]);

/** What the training program says on its stdout, a line of JSON each. */
export type TrainerEvent = z.infer<typeof eventSchema>;
export type DoneEvent = Extract<TrainerEvent, { event: 'done' }>;

export interface TrainerRun {
  python: string;
  script: string;
  /** The configuration, a JSON file. */
  config: string;
  /** Names the process group while it runs, for {@link endLeftover}. */
  lockFile: string;
  /** Aborted: the program is asked to stop, and leaves a checkpoint. The promise then rejects with the signal's reason. */
  signal: AbortSignal;
  /** In order, and soon: the program does not wait for it. */
  onEvent(event: TrainerEvent): void;
  /** Whether it has got on since it was started, should it crash. */
  gotOn(): boolean;
}

/** What it is given to write a checkpoint when it is asked to stop. */
const STOP_MS = 120_000;
/** Silence after which it counts as stuck: more than reading the largest models and all pictures takes. */
const SILENCE_MS = 45 * 60_000;
const STDERR_LINES = 12;

/**
 * Runs one script of the training program to its end, in a process group of its own that ends with this process.
 * @throws InvalidInput for what it refuses (exit code 2), OutOfMemory, TrainerCrashed, or the signal's reason
 */
export async function runTrainer({ python, script, config, lockFile, signal, onEvent, gotOn }: TrainerRun): Promise<DoneEvent> {
  signal.throwIfAborted();
  const guard = fork(guardFile(), [JSON.stringify([python, script, config])], {
    detached: true,
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Lines come when they are written, and no byte code lands beside an installed program.
    env: { ...process.env, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' },
  });
  const closed = new Promise<number>((resolve) => guard.once('close', (code) => resolve(code ?? 137)));
  const timers: NodeJS.Timeout[] = [];
  let [done, killedFor]: [DoneEvent | undefined, string] = [undefined, ''];
  const killGroup = (why: string) => {
    killedFor ||= why;
    kill(guard.pid);
  };
  const silence = setTimeout(() => killGroup(`gave no sign of life for ${SILENCE_MS / 60_000} minutes`), SILENCE_MS);
  const stop = () => {
    if (guard.connected) guard.send('stop', () => {});
    timers.push(setTimeout(() => killGroup('did not stop when it was asked to'), STOP_MS));
  };
  const errors: string[] = [];
  createInterface(guard.stderr!).on('line', (line) => {
    silence.refresh();
    if (line.trim() !== '') errors.splice(0, Math.max(0, errors.push(line) - STDERR_LINES));
  });
  createInterface(guard.stdout!).on('line', (line) => {
    silence.refresh();
    const event = parseEvent(line);
    if (event?.event === 'done') done = event;
    if (event) onEvent(event);
  });
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    if (guard.pid !== undefined) await writeFile(lockFile, String(guard.pid));
    const code = await closed;
    if (code === 0 && done) return done;
    signal.throwIfAborted();
    throw failure(script, code, errors, killedFor, gotOn());
  } finally {
    signal.removeEventListener('abort', stop);
    [silence, ...timers].forEach(clearTimeout);
    kill(guard.pid); // Whatever it started and left.
    await rm(lockFile, { force: true });
  }
}

function parseEvent(line: string): TrainerEvent | undefined {
  try {
    // What libraries print there is none.
    return eventSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function failure(script: string, code: number, errors: string[], killedFor: string, gotOn: boolean): RefineError {
  const last = errors.at(-1) ?? '';
  if (code === 2) return new InvalidInput(last || `${script} refused its configuration`);
  if (errors.some((line) => /out of memory|MemoryError/i.test(line))) return new OutOfMemory(last);
  const how =
    killedFor ||
    (code === 137 ? 'was killed; where this machine ran out of memory, a smaller batch_size may help' : `ended with code ${code}`);
  return new TrainerCrashed([`${script} ${how}`, ...errors].join('\n'), gotOn);
}

/** Ends the group that an attempt before this one started, should it still be there: two must not write into one folder. */
export async function endLeftover(lockFile: string, config: string): Promise<void> {
  const pid = Number(await readFile(lockFile, 'utf8').catch(() => ''));
  if (!(pid > 1)) return;
  // A number is given again after a while: only a process that names this configuration is meant. Elsewhere than on Linux the guard alone sees to it.
  let command = '';
  try {
    command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It has ended.
  }
  if (command.includes(config)) kill(pid);
}

function kill(group: number | undefined): void {
  try {
    if (group !== undefined) process.kill(-group, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function guardFile(): string {
  const compiled = import.meta.url.endsWith('.ts') ? '../../dist/engine/training/guard-process.js' : './guard-process.js';
  const file = fileURLToPath(new URL(compiled, import.meta.url));
  if (!existsSync(file)) throw new RefineError('Unexpected', `${file} is missing: run \`npm run build\``);
  return file;
}
