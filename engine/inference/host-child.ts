import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HostCrashed, ModelOutputInvalid, OutOfMemory, RefineError } from '../../core/errors.js';
import type { Checkpoint } from './pipelines/checkpoint.js';
import type { Batch, FromHost, HostConfig, TaskName, Tasks, ToHost } from './host-protocol.js';

/** Lines of the child's stderr that a crash report repeats. */
const STDERR_LINES = 10;
/** After this long without leaving by itself a child that should end is killed. */
const END_MS = 1_000;
/** How long the last of stderr is waited for after the child's end. */
const STDERR_MS = 100;
/** How often a running child's memory is looked at. */
const MEMORY_MS = 250;
/**
 * For glibc: freed blocks below 32 MiB stay for the next call. A decoder's keys and values are given anew with every token; mapped anew they cost
 * OPT-1.3b 3.6 s of system time for 16 tokens, kept 1.0 s.
 */
const KEEP_FREED_BLOCKS = { MALLOC_MMAP_THRESHOLD_: String(2 ** 25), MALLOC_TRIM_THRESHOLD_: String(2 ** 30) };

export interface ChildLimits {
  /** Without a sign of life for this long while it runs something, it is killed. */
  hangTimeoutMs: number;
  /** MiB of resident memory above which it is killed while it runs something. Default: no limit. */
  memoryLimitMb?: number;
}

/** What the child tells of one request of a batch while it runs. */
export interface RequestHooks {
  onProgress?: (done: number, total: number) => void;
  onCheckpoint?: (checkpoint: Checkpoint) => void;
  /** Cancels this one; the others go on. */
  signal?: AbortSignal;
}

/** A request's result, its own error, its signal's reason, or HostCrashed or OutOfMemory where the process ended or was killed. */
export type HostOutcome = PromiseSettledResult<Tasks[TaskName]['result']>;

interface Running extends RequestHooks {
  resolve: (result: Tasks[TaskName]['result']) => void;
  reject: (error: unknown) => void;
}

/** One child process, from its start to its end. Runs one batch at a time. */
export class HostChild {
  alive = true;
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  /** Requests of the batch that runs, by id. */
  private readonly running = new Map<number, Running>();
  private nextId = 1;
  private stderr = '';
  /** Why we killed it, for the error of the requests that ran. */
  private killReason = '';
  private outgrown = false;

  constructor(
    config: HostConfig,
    private readonly limits: ChildLimits,
  ) {
    this.process = fork(hostProcessFile(), [JSON.stringify(config)], {
      serialization: 'advanced', // pictures and vectors travel as bytes
      execArgv: [],
      env: { ...KEEP_FREED_BLOCKS, ...process.env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.process.on('message', (message: FromHost) => this.receive(message));
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text)
        .split('\n')
        .slice(-STDERR_LINES - 1)
        .join('\n');
    });
    this.ended = new Promise((resolve) => {
      this.process.once('error', (error) => this.onEnd(`could not be started or reached: ${error.message}`, resolve));
      this.process.once('exit', (code, signal) => {
        this.alive = false;
        const end = (): void => this.onEnd(signal ? `was ended by ${signal}` : `exited with code ${code}`, resolve);
        // 'close' does not come once we have disconnected; the last of stderr may still be in the pipe.
        const { stderr } = this.process;
        if (stderr!.readableEnded) end();
        else void Promise.race([once(stderr!, 'end'), setTimeout(STDERR_MS)]).then(end);
      });
    });
    // An idle child must not keep its parent's process from ending.
    this.process.unref();
    this.process.channel?.unref();
    (this.process.stderr as unknown as { unref(): void }).unref();
  }

  get pid(): number | undefined {
    return this.alive ? this.process.pid : undefined;
  }

  /** @param onSettled told what came of a request, by its place in the batch, as soon as it is known: the others may still run */
  async run(batch: Batch, hooks: RequestHooks[], onSettled: (place: number, outcome: HostOutcome) => void): Promise<void> {
    const ids = hooks.map(() => this.nextId++);
    const cancels = ids.map((id) => () => this.send({ type: 'cancel', id }));
    const stopWatching = this.watch();
    this.process.ref();
    this.process.channel?.ref();
    try {
      const results = ids.map((id, i) =>
        new Promise<Tasks[TaskName]['result']>((resolve, reject) => this.running.set(id, { ...hooks[i]!, resolve, reject })).then(
          (value) => onSettled(i, { status: 'fulfilled', value }),
          (reason: unknown) => onSettled(i, { status: 'rejected', reason }),
        ),
      );
      if (this.alive) {
        hooks.forEach(({ signal }, i) => signal?.addEventListener('abort', cancels[i]!, { once: true }));
        this.send({ type: 'run', ids, batch });
      } else this.failRunning('ended');
      await Promise.all(results);
    } finally {
      this.running.clear();
      hooks.forEach(({ signal }, i) => signal?.removeEventListener('abort', cancels[i]!));
      stopWatching();
      this.process.unref();
      this.process.channel?.unref();
    }
  }

  /** Lets the child go (it ends when its channel closes) and kills it after a second. */
  async end(): Promise<void> {
    this.killReason = 'the inference host was closed';
    if (this.process.connected) this.process.disconnect();
    this.process.ref();
    await Promise.race([this.ended, setTimeout(END_MS)]);
    if (this.alive) this.process.kill('SIGKILL');
    await this.ended;
  }

  private send(message: ToHost): void {
    // A channel that broke is followed by 'close', which fails the request.
    if (this.process.connected) this.process.send(message, () => {});
  }

  private receive(message: FromHost): void {
    this.lastSign = performance.now();
    const running = message.type === 'pong' ? undefined : this.running.get(message.id);
    if (message.type === 'pong' || !running) return;
    switch (message.type) {
      case 'progress':
        return running.onProgress?.(message.done, message.total);
      case 'checkpoint':
        return running.onCheckpoint?.(message.checkpoint);
      case 'result':
        // A cancelled request does not come back with a result, even one that was finished when the word arrived.
        return running.signal?.aborted ? running.reject(running.signal.reason) : running.resolve(message.result);
      case 'failed':
        return running.reject(errorOf(message));
      case 'cancelled':
        return running.reject(running.signal?.reason);
    }
  }

  private lastSign = 0;
  private watch(): () => void {
    const { hangTimeoutMs, memoryLimitMb = Infinity } = this.limits;
    this.lastSign = performance.now();
    const life = setInterval(() => {
      this.send({ type: 'ping' });
      if (performance.now() - this.lastSign > hangTimeoutMs) this.kill(`no sign of life for ${hangTimeoutMs / 1000} s`);
    }, hangTimeoutMs / 8);
    const memory = setInterval(() => {
      const used = residentMb(this.process.pid!);
      if (used <= memoryLimitMb) return;
      this.outgrown = true;
      this.kill(`it used ${Math.round(used)} MiB, its limit is ${memoryLimitMb} MiB`);
    }, MEMORY_MS);
    if (memoryLimitMb === Infinity) clearInterval(memory);
    return () => [life, memory].forEach(clearInterval);
  }

  private kill(reason: string): void {
    this.killReason = reason;
    this.process.kill('SIGKILL');
  }

  private onEnd(how: string, done: () => void): void {
    this.alive = false;
    this.failRunning(how);
    done();
  }

  private failRunning(how: string): void {
    const lines = this.stderr.trim();
    const details = [this.killReason, lines && `its last words: ${lines}`].filter(Boolean).join('; ');
    const message = `the inference process ${how}${details && ` (${details})`}`;
    for (const { reject } of this.running.values()) reject(this.outgrown ? new OutOfMemory(message) : new HostCrashed(message));
  }
}

/** A request's failure as the child told it. */
function errorOf({ code, reason, message }: Extract<FromHost, { type: 'failed' }>): RefineError {
  return reason === undefined ? new RefineError(code, message) : new ModelOutputInvalid(reason, message);
}

/** 0 where the system does not tell. */
function residentMb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/**
 * The compiled child entry: beside this file when compiled, under `dist/` when this file runs from its TypeScript source
 * (under jest), so that the child needs no loader and is the one that ships. The tests build first.
 */
function hostProcessFile(): string {
  const compiled = import.meta.url.endsWith('.ts') ? '../../dist/engine/inference/host-process.js' : './host-process.js';
  const file = fileURLToPath(new URL(compiled, import.meta.url));
  if (!existsSync(file)) throw new RefineError('Unexpected', `${file} is missing: run \`npm run build\``);
  return file;
}
