import { RefineError, type FailureCode } from '../../core/errors.js';
import { HostChild } from './host-child.js';
import type {
  EmbedImageRequest,
  EmbedTextRequest,
  FeedbackRequest,
  GenerateReply,
  GenerateRequest,
  MeanPatchRequest,
  Task,
  TaskName,
  Tasks,
} from './host-protocol.js';
import type { Checkpoint } from './pipelines/checkpoint.js';
import type { WrittenFeedback } from './opt-feedback.js';

export interface RequestOptions {
  /** Called when the request's turn has come: until then it waited for the device. */
  onStart?: () => void;
  /** Cancels between denoising steps; the promise then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** After each denoising step; `done` counts from 1. */
  onProgress?: (done: number, total: number) => void;
  /** What a generation that is slow enough can be gone on with, should it be lost: give it as the request's `resume`. */
  onCheckpoint?: (checkpoint: Checkpoint) => void;
}

export interface HostOptions {
  /** Which of the provider's devices. */
  device: number;
  /** ONNX Runtime's execution provider: `cpu`, `cuda`, ... */
  provider: string;
  /** Threads inside one operator; default: as many as there are cores. */
  threads?: number;
  /** Most compatible requests that the device runs as one. Default 1. */
  batch?: number;
  /**
   * A child that runs a request and gives no sign of life for this long is killed (default 120 s). Must exceed the longest
   * call into the runtime: loading a session, or one denoising step.
   */
  hangTimeoutMs?: number;
  /** Called after each request that had the device, with how long it had it, whatever came of it. */
  onBusy?: (seconds: number) => void;
}

const HANG_TIMEOUT_MS = 120_000;
/** Pause before the next child after the first, second, ... crash in a row. */
const BACKOFF_MS = [0, 250, 1_000, 4_000];

interface Job {
  task: Task;
  options: RequestOptions;
  resolve: (result: Tasks[TaskName]['result']) => void;
  reject: (error: unknown) => void;
}

/**
 * One device's models, in a child process of their own: inference blocks an event loop and native code can crash or hang,
 * and neither must touch the caller. Requests run one at a time in the order in which they came. The child starts with the first
 * request, and again with the next one after a crash; only the request that ran in it fails with HostCrashed, those that
 * waited go to the next child.
 *
 * @example
 * const host = new InferenceHost({ provider: 'cpu', device: 0 });
 * const { png } = await host.generate({ model: folder, prompt: 'a round green creature', ... });
 * await host.close();
 */
export class InferenceHost {
  readonly device: string;
  /** Execution provider, as the run's runtime names it. */
  readonly provider: string;
  private readonly waiting: Job[] = [];
  private child: HostChild | null = null;
  private working = false;
  private closed = false;
  private crashesInARow = 0;

  constructor(private readonly options: HostOptions) {
    this.device = `${options.provider}:${options.device}`;
    this.provider = options.provider;
  }

  /** Of the child that runs now; undefined where none does. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Throws what the step's failure table knows (`core/errors.ts`), or the signal's reason. The same holds for the others. */
  generate(request: GenerateRequest, options: RequestOptions = {}): Promise<GenerateReply> {
    return this.enqueue('generate', request, options);
  }

  /** L2-normalised embedding of an encoded picture. */
  embedImage(request: EmbedImageRequest, options: RequestOptions = {}): Promise<Float32Array> {
    return this.enqueue('embedImage', request, options);
  }

  /** L2-normalised embedding of a text. */
  embedText(request: EmbedTextRequest, options: RequestOptions = {}): Promise<Float32Array> {
    return this.enqueue('embedText', request, options);
  }

  /** Mean feature of a picture's visible patches by ViT-MAE. */
  meanPatch(request: MeanPatchRequest, options: RequestOptions = {}): Promise<Float32Array> {
    return this.enqueue('meanPatch', request, options);
  }

  /** Feedback on a picture from its caption and features. */
  writeFeedback(request: FeedbackRequest, options: RequestOptions = {}): Promise<WrittenFeedback> {
    return this.enqueue('writeFeedback', request, options);
  }

  /** Ends the child within 2 s; what still waits or runs fails with HostCrashed. */
  async close(): Promise<void> {
    this.closed = true;
    for (const job of this.waiting.splice(0)) job.reject(closedError());
    await this.child?.end();
  }

  private enqueue<N extends TaskName>(name: N, request: Tasks[N]['request'], options: RequestOptions): Promise<Tasks[N]['result']> {
    const { signal } = options;
    return new Promise<Tasks[TaskName]['result']>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      if (this.closed) return reject(closedError());
      const job: Job = { task: { name, request } as Task, options, resolve, reject };
      this.waiting.push(job);
      signal?.addEventListener('abort', () => this.dropWaiting(job), { once: true });
      void this.work();
    });
  }

  private dropWaiting(job: Job): void {
    const index = this.waiting.indexOf(job);
    if (index < 0) return;
    this.waiting.splice(index, 1);
    job.reject(job.options.signal?.reason);
  }

  /** Takes the waiting jobs one by one to a child; there is one such loop at a time. */
  private async work(): Promise<void> {
    if (this.working) return;
    this.working = true;
    for (let job = this.waiting.shift(); job; job = this.waiting.shift()) await this.perform(job);
    this.working = false;
  }

  private async perform(job: Job): Promise<void> {
    let startedAt: number | undefined;
    try {
      const child = await this.liveChild();
      job.options.signal?.throwIfAborted();
      job.options.onStart?.();
      startedAt = performance.now();
      const result = await child.run(job.task, job.options);
      this.crashesInARow = 0;
      job.resolve(result);
    } catch (error) {
      if (RefineError.is(error) && error.code === ('HostCrashed' satisfies FailureCode)) this.crashesInARow++;
      job.reject(error);
    } finally {
      if (startedAt !== undefined) this.options.onBusy?.((performance.now() - startedAt) / 1000);
    }
  }

  private async liveChild(): Promise<HostChild> {
    if (!this.child?.alive) {
      const pauseMs = BACKOFF_MS[Math.min(this.crashesInARow, BACKOFF_MS.length - 1)]!;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      if (this.closed) throw closedError();
      const { provider, device, threads, hangTimeoutMs = HANG_TIMEOUT_MS } = this.options;
      this.child = new HostChild({ provider, device, threads }, hangTimeoutMs);
    }
    return this.child;
  }
}

const closedError = (): RefineError => new RefineError('HostCrashed', 'the inference host was closed');
