import { RefineError } from '../../core/errors.js';
import { HostChild } from './host-child.js';
import type {
  AnswerRequest,
  Batch,
  EmbedImageRequest,
  EmbedTextRequest,
  FeedbackRequest,
  GenerateReply,
  GenerateRequest,
  ImageDistanceRequest,
  ImageFeaturesRequest,
  Task,
  TaskName,
  Tasks,
  YesRequest,
} from './host-protocol.js';
import { batchKey } from './micro-batching.js';
import type { Checkpoint } from './pipelines/checkpoint.js';
import type { WrittenFeedback } from './language/written-text.js';

export interface RequestOptions {
  /** Called when the request's turn has come: until then it waited for the device. `batch`: requests that have the device together, this one included. */
  onStart?: (batch: number) => void;
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
  /**
   * A child that runs a request and gives no sign of life for this long is killed (default 120 s). Must exceed the longest
   * call into the runtime: loading a session, or one denoising step.
   */
  hangTimeoutMs?: number;
  /** Requests that may share calls into a model, where they are alike and wait at the same time. Default 1. */
  batch?: number;
  /** MiB of weights that stay loaded; above it the least recently used models are let go. Default: no bound. */
  modelMemoryMb?: number;
  /** MiB of memory above which the child is killed, and what runs in it fails with OutOfMemory. Default: no limit. Linux only. */
  memoryLimitMb?: number;
  /** Called after each batch that had the device, with how long it had it, whatever came of it. */
  onBusy?: (seconds: number) => void;
}

const HANG_TIMEOUT_MS = 120_000;
/** Pause before the next child after the first, second, ... crash in a row. */
const BACKOFF_MS = [0, 250, 1_000, 4_000];

interface Job {
  task: Task;
  options: RequestOptions;
  /** It was in a batch whose child ended: only a crash while alone counts against a request. */
  alone: boolean;
  resolve: (result: Tasks[TaskName]['result']) => void;
  reject: (error: unknown) => void;
}

/**
 * One device's models, in a child process of their own: inference blocks an event loop and native code can crash or hang,
 * and neither must touch the caller. Requests run in the order in which they came, one at a time or, where they are alike, up to `batch`
 * at once. The child starts with the first request, and again with the next one after a crash. A request that ran alone in it fails with
 * HostCrashed; several are run again one at a time; those that waited go to the next child.
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
  imageFeatures(request: ImageFeaturesRequest, options: RequestOptions = {}): Promise<Float32Array> {
    return this.enqueue('imageFeatures', request, options);
  }

  /** How far two pictures lie apart by a model that sees both, such as LPIPS. */
  imageDistance(request: ImageDistanceRequest, options: RequestOptions = {}): Promise<number> {
    return this.enqueue('imageDistance', request, options);
  }

  /** What a vision-language model says about a picture. */
  answer(request: AnswerRequest, options: RequestOptions = {}): Promise<WrittenFeedback> {
    return this.enqueue('answer', request, options);
  }

  /** How sure a vision-language model is that the answer to a question about a picture is yes: 0 to 1. */
  probabilityOfYes(request: YesRequest, options: RequestOptions = {}): Promise<number> {
    return this.enqueue('probabilityOfYes', request, options);
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
      const job: Job = { task: { name, request } as Task, options, alone: false, resolve, reject };
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

  /** Takes the waiting jobs to a child; there is one such loop at a time. */
  private async work(): Promise<void> {
    if (this.working) return;
    this.working = true;
    for (let jobs = this.next(); jobs.length > 0; jobs = this.next()) await this.perform(jobs);
    this.working = false;
  }

  /** The job that has waited longest, and those like it that may go with it. */
  private next(): Job[] {
    const first = this.waiting.shift();
    if (!first) return [];
    const key = first.alone ? null : batchKey(first.task);
    const isAlike = (job: Job) => !job.alone && key !== null && batchKey(job.task) === key;
    const others = this.waiting.filter(isAlike).slice(0, (this.options.batch ?? 1) - 1);
    for (const job of others) this.waiting.splice(this.waiting.indexOf(job), 1);
    return [first, ...others];
  }

  private async perform(asked: Job[]): Promise<void> {
    let startedAt: number | undefined;
    try {
      const child = await this.liveChild();
      for (const { options, reject } of asked) if (options.signal?.aborted) reject(options.signal.reason);
      const jobs = asked.filter(({ options }) => !options.signal?.aborted);
      if (jobs.length === 0) return;
      for (const { options } of jobs) options.onStart?.(jobs.length);
      startedAt = performance.now();
      const batch = { name: jobs[0]!.task.name, requests: jobs.map(({ task }) => task.request) } as Batch;
      const hooks = jobs.map(({ options }) => options);
      const again: Job[] = [];
      let isLost = false;
      await child.run(batch, hooks, (place, outcome) => {
        const job = jobs[place]!;
        if (outcome.status === 'fulfilled') return job.resolve(outcome.value);
        if (!child.alive && !this.closed && jobs.length > 1) return again.push(job);
        isLost ||= RefineError.is(outcome.reason) && outcome.reason.code === 'DeviceLost';
        job.reject(outcome.reason);
      });
      this.crashesInARow = child.alive ? 0 : this.crashesInARow + 1;
      // A device that has failed stays so for the process that saw it; the next one may find it well.
      if (isLost) await child.end();
      for (const job of again) job.alone = true;
      this.waiting.unshift(...again);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    } finally {
      if (startedAt !== undefined) this.options.onBusy?.((performance.now() - startedAt) / 1000);
    }
  }

  private async liveChild(): Promise<HostChild> {
    if (!this.child?.alive) {
      const pauseMs = BACKOFF_MS[Math.min(this.crashesInARow, BACKOFF_MS.length - 1)]!;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      if (this.closed) throw closedError();
      const { provider, device, threads, modelMemoryMb, memoryLimitMb, hangTimeoutMs = HANG_TIMEOUT_MS } = this.options;
      this.child = new HostChild({ provider, device, threads, modelMemoryMb }, { hangTimeoutMs, memoryLimitMb });
    }
    return this.child;
  }
}

const closedError = (): RefineError => new RefineError('HostCrashed', 'the inference host was closed');
