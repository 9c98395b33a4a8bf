import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HostCrashed, RefineError } from '../../core/errors.js';
import type { Checkpoint } from './pipelines/checkpoint.js';
import type { FromHost, HostConfig, Task, TaskName, Tasks, ToHost } from './host-protocol.js';

/** Lines of the child's stderr that a crash report repeats. */
const STDERR_LINES = 10;
/** After this long without leaving by itself a child that should end is killed. */
const END_MS = 1_000;
/** How long the last of stderr is waited for after the child's end. */
const STDERR_MS = 100;

interface Running {
  id: number;
  onProgress?: (done: number, total: number) => void;
  onCheckpoint?: (checkpoint: Checkpoint) => void;
  signal?: AbortSignal;
  resolve: (result: Tasks[TaskName]['result']) => void;
  reject: (error: unknown) => void;
}

/** One child process, from its start to its end. Runs one task at a time. */
export class HostChild {
  alive = true;
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  private running: Running | null = null;
  private nextId = 1;
  private stderr = '';
  /** Why we killed it, for the error of the request that ran. */
  private killReason = '';

  constructor(
    config: HostConfig,
    private readonly hangTimeoutMs: number,
  ) {
    this.process = fork(hostProcessFile(), [JSON.stringify(config)], {
      serialization: 'advanced', // pictures and vectors travel as bytes
      execArgv: [],
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

  /** Rejects with the task's own error, the signal's reason, or HostCrashed when the process ends or hangs. */
  async run(
    task: Task,
    { signal, onProgress, onCheckpoint }: Pick<Running, 'signal' | 'onProgress' | 'onCheckpoint'>,
  ): Promise<Tasks[TaskName]['result']> {
    const id = this.nextId++;
    const cancel = (): void => this.send({ type: 'cancel', id });
    const stopWatching = this.watch();
    this.process.ref();
    this.process.channel?.ref();
    try {
      return await new Promise<Tasks[TaskName]['result']>((resolve, reject) => {
        this.running = { id, onProgress, onCheckpoint, signal, resolve, reject };
        if (!this.alive) return this.failRunning('ended');
        signal?.addEventListener('abort', cancel, { once: true });
        this.send({ type: 'run', id, task });
      });
    } finally {
      this.running = null;
      signal?.removeEventListener('abort', cancel);
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
    const { running } = this;
    if (message.type === 'pong' || running?.id !== message.id) return;
    switch (message.type) {
      case 'progress':
        return running.onProgress?.(message.done, message.total);
      case 'checkpoint':
        return running.onCheckpoint?.(message.checkpoint);
      case 'result':
        // A cancelled request does not come back with a result, even one that was finished when the word arrived.
        return running.signal?.aborted ? running.reject(running.signal.reason) : running.resolve(message.result);
      case 'failed':
        return running.reject(new RefineError(message.code, message.message));
      case 'cancelled':
        return running.reject(running.signal?.reason);
    }
  }

  private lastSign = 0;
  private watch(): () => void {
    this.lastSign = performance.now();
    const timer = setInterval(() => {
      this.send({ type: 'ping' });
      if (performance.now() - this.lastSign < this.hangTimeoutMs) return;
      this.killReason = `no sign of life for ${this.hangTimeoutMs / 1000} s`;
      this.process.kill('SIGKILL');
    }, this.hangTimeoutMs / 8);
    return () => clearInterval(timer);
  }

  private onEnd(how: string, done: () => void): void {
    this.alive = false;
    this.failRunning(how);
    done();
  }

  private failRunning(how: string): void {
    const lines = this.stderr.trim();
    const details = [this.killReason, lines && `its last words: ${lines}`].filter(Boolean).join('; ');
    this.running?.reject(new HostCrashed(`the inference process ${how}${details && ` (${details})`}`));
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
