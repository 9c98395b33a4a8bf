/**
 * Every way a step can fail, and what is done about it. A new code that the table does not handle does not compile.
 */
export const FAILURE_CODES = [
  'InvalidInput',
  'ModelOutputInvalid',
  'OutOfMemory',
  'HostCrashed',
  'StorageUnavailable',
  'ProviderThrottled',
  'ProviderUnavailable',
  'DeviceLost',
  'TrainerCrashed',
  'Unexpected',
] as const;
export type FailureCode = (typeof FAILURE_CODES)[number];

export const isFailureCode = (type: unknown): type is FailureCode => (FAILURE_CODES as readonly unknown[]).includes(type);

const MARK = Symbol.for('refineloop.error');

/** Base of all errors that the product throws on purpose. `code` is stable; messages may change. */
export class RefineError extends Error {
  readonly [MARK] = true;
  constructor(
    readonly code: FailureCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = code;
  }
  /** True also for errors of another copy of this package. */
  static is(error: unknown): error is RefineError {
    return typeof error === 'object' && error !== null && MARK in error;
  }
}

/** Thrown when what a person gave (recipe, dataset row, model folder, argument) cannot be used. Never retried. */
export class InvalidInput extends RefineError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('InvalidInput', message, options);
  }
}

/** Why an answer is no result. Stable, as the codes are. */
export type OutputFault =
  /** By the generator's safety checker. */
  | 'blocked'
  /** NaN, infinity, or a vector of zeros, which points nowhere. */
  | 'not_finite'
  /** No words. */
  | 'empty'
  | 'repeating'
  | 'caption_echo'
  | 'instructions_echo'
  /** By the model or its provider. */
  | 'refused'
  /** Not in the form that was agreed on. */
  | 'malformed';

/** Thrown when a model answers, but with something that is no result: NaN, nothing, a refusal, a blocked picture. */
export class ModelOutputInvalid extends RefineError {
  /** What the answer was billed all the same, in US dollars. */
  readonly usd: number;
  constructor(
    readonly reason: OutputFault,
    message: string,
    options?: { cause?: unknown; usd?: number },
  ) {
    super('ModelOutputInvalid', message, options);
    this.usd = options?.usd ?? 0;
  }
}

/** Thrown when the device or the process has not enough memory for a request. */
export class OutOfMemory extends RefineError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('OutOfMemory', message, options);
  }
}

/** Thrown when the inference host's process ended, or was killed by the watchdog, while a request was in it. */
export class HostCrashed extends RefineError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('HostCrashed', message, options);
  }
}

/** Thrown when the artifact store cannot be read or written: unreachable, read-only, full. */
export class StorageUnavailable extends RefineError {
  /** The store works and one of its objects is spoilt or gone: waiting does not bring it back. */
  readonly lasting: boolean = false;
  constructor(message: string, options?: { cause?: unknown }) {
    super('StorageUnavailable', message, options);
  }
}

/** Thrown when a remote model asks to be called later. */
export class ProviderThrottled extends RefineError {
  constructor(
    message: string,
    readonly retryAfterSeconds?: number,
  ) {
    super('ProviderThrottled', message);
  }
}

/** Thrown when a remote model gives no usable reply: unreachable, a server error, a connection that broke. */
export class ProviderUnavailable extends RefineError {
  readonly retryAfterSeconds?: number;
  /** The request was sent and its reply never came: it may have been carried out, and billed. */
  readonly replyLost: boolean;
  constructor(message: string, options: { cause?: unknown; retryAfterSeconds?: number; replyLost?: boolean } = {}) {
    super('ProviderUnavailable', message, options);
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.replyLost = options.replyLost ?? false;
  }
}

/** Thrown when the device that a step was pinned to is gone. */
export class DeviceLost extends RefineError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('DeviceLost', message, options);
  }
}

/** Thrown when the training program ended without a result, or was killed because it gave no sign of life. */
export class TrainerCrashed extends RefineError {
  constructor(
    message: string,
    /** It had left a checkpoint in the store in this attempt: earlier failures no longer count, the training gets on. */
    readonly gotOn: boolean,
  ) {
    super('TrainerCrashed', message);
  }
}

export interface FailurePolicy {
  /** Attempts in all before the step fails for good. */
  maxAttempts: number;
  /** Pause before the second attempt; doubled each time up to a minute. */
  firstDelayMs: number;
  /** True: the workflow may ask for another draw instead. */
  redraw: boolean;
}

/** The one table from failure to policy. */
export function failurePolicy(code: FailureCode): FailurePolicy {
  switch (code) {
    case 'InvalidInput':
      return { maxAttempts: 1, firstDelayMs: 0, redraw: false };
    case 'ModelOutputInvalid':
      return { maxAttempts: 1, firstDelayMs: 0, redraw: true };
    case 'OutOfMemory':
      return { maxAttempts: 2, firstDelayMs: 5_000, redraw: false };
    case 'HostCrashed':
      return { maxAttempts: 3, firstDelayMs: 1_000, redraw: false };
    case 'StorageUnavailable':
      // About an hour: a server that is moved, a disk that a person must empty. All items wait for it; none should fail for it.
      return { maxAttempts: 64, firstDelayMs: 1_000, redraw: false };
    case 'ProviderThrottled':
      return { maxAttempts: 10, firstDelayMs: 5_000, redraw: false };
    case 'ProviderUnavailable':
      return { maxAttempts: 6, firstDelayMs: 2_000, redraw: false };
    case 'DeviceLost':
      return { maxAttempts: 3, firstDelayMs: 1_000, redraw: false };
    case 'TrainerCrashed':
      return { maxAttempts: 3, firstDelayMs: 5_000, redraw: false };
    case 'Unexpected':
      return { maxAttempts: 3, firstDelayMs: 1_000, redraw: false };
    default: {
      const unhandled: never = code;
      throw new Error(`no failure policy for ${String(unhandled)}`);
    }
  }
}

/** Pause before the attempt after this one. */
export const retryDelayMs = ({ firstDelayMs }: FailurePolicy, attempt: number): number =>
  Math.min(60_000, firstDelayMs * 2 ** (attempt - 1));

/** The policy of any thrown value: its code's, with fewer attempts where waiting is no help. */
export function policyOf(error: unknown): FailurePolicy {
  const code = failureCode(error);
  const lasting = code === 'StorageUnavailable' && (error as StorageUnavailable).lasting;
  return lasting ? { ...failurePolicy(code), maxAttempts: 3 } : failurePolicy(code);
}

/** Why a model's output was of no use, where a thrown value says so. */
export function outputFault(error: unknown): OutputFault | undefined {
  return RefineError.is(error) && error.code === 'ModelOutputInvalid' ? (error as ModelOutputInvalid).reason : undefined;
}

/** A failure in a word or two, as people read it: `ModelOutputInvalid (blocked)`. */
export const failureName = ({ type, reason }: { type: string; reason?: OutputFault }): string =>
  reason === undefined ? type : `${type} (${reason})`;

/** The code of any thrown value; what was not thrown on purpose is `Unexpected`. */
export function failureCode(error: unknown): FailureCode {
  return RefineError.is(error) ? error.code : 'Unexpected';
}
