import { ModelOutputInvalid, outputFault, ProviderUnavailable } from '../core/errors.js';
import { stepKey } from '../core/step-key.js';
import type { ArtifactRef, StepAt, StepKeyInput, StepMeta, StepName, StepRecord } from '../core/types.js';
import type { ItemRef } from './types.js';
import type { RunContext } from './services.js';

/** What a step will do, known before it does it: everything its key is made of. */
export type PreparedStep = Omit<StepKeyInput, 'step' | 'stepVersion'>;

export interface StepOutput {
  outputs: Record<string, ArtifactRef>;
  values: Record<string, unknown>;
}

/** What carrying a step out may use beside its input. */
export interface StepTools {
  signal: AbortSignal;
  /** The step's. */
  key: string;
  /** The device has taken the step up: what it takes is counted from here, not the wait before. `batch`: steps that share the device's time evenly. */
  started(batch?: number): void;
  /** Tells Temporal that the step lives; `done` of `total` parts are through. */
  progress(done: number, total: number): void;
}

/**
 * One kind of step. `prepare` is cheap, reads only the store and gives the key; `execute` calls the engine;
 * `read` turns the record, new or found, into the step's result.
 */
export interface StepDefinition<Input, Result> {
  step: StepName;
  /** Raised when the same inputs no longer give the same result. */
  version: number;
  /** Each call may cost money, also when its reply is lost. Default: none does. */
  billable?(run: RunContext, input: Input): boolean;
  prepare(run: RunContext, input: Input): Promise<PreparedStep>;
  execute(run: RunContext, input: Input, prepared: PreparedStep, tools: StepTools): Promise<StepOutput>;
  read(record: StepRecord): Result;
}

/** Where a step stands and who runs it: what the ledger says beside the result. */
export interface StepPlace {
  item: ItemRef;
  at: StepAt;
  attempt: number;
  device: string;
}

const CACHED: Omit<StepMeta, 'key'> = { cached: true, attempts: 0, seconds: 0 };

/**
 * The recorded result of a step, or `undefined`. Runs nothing.
 * @param counted whether the ledger is told that a result was found
 */
export async function findRecorded<Input, Result>(
  definition: StepDefinition<Input, Result>,
  run: RunContext,
  input: Input,
  place: StepPlace,
  counted = true,
): Promise<(Result & StepMeta) | undefined> {
  const record = await run.store.findStep(keyed(definition, await definition.prepare(run, input)).key);
  if (!record) return undefined;
  if (counted) await run.ledger.recorded(entry(definition, place, record.key));
  return { ...definition.read(record), key: record.key, ...CACHED };
}

/**
 * Runs a step: looks its key up, and only where nothing is recorded carries it out, with a durable start record
 * before the engine is called and an end record whatever comes of it.
 */
export async function runStep<Input, Result>(
  definition: StepDefinition<Input, Result>,
  run: RunContext,
  input: Input,
  place: StepPlace,
  { signal, progress }: Pick<StepTools, 'signal' | 'progress'>,
): Promise<Result & StepMeta> {
  const prepared = await definition.prepare(run, input);
  const { key, keyInput } = keyed(definition, prepared);
  const name = `${run.store.uri}\n${key}`;
  for (let other: Promise<unknown> | undefined; ; await untilSettled(other, signal)) {
    const found = await run.store.findStep(key);
    if (found) {
      await run.ledger.recorded(entry(definition, place, key));
      return { ...definition.read(found), key, ...CACHED };
    }
    if (!(other = inFlight.get(name))) break;
  }
  const carriedOut = carryOut(definition, run, input, { prepared, key, keyInput }, place, { signal, progress });
  inFlight.set(name, carriedOut);
  return carriedOut.finally(() => inFlight.delete(name));
}

/** Steps that run in this process, by store and key: two items that need the same one carry it out, and pay for it, once. */
const inFlight = new Map<string, Promise<unknown>>();

/** Whatever came of it; throws the signal's reason where that comes first. */
async function untilSettled(other: Promise<unknown> | undefined, signal: AbortSignal): Promise<void> {
  let stop = () => {};
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', (stop = () => resolve()), { once: true }));
  await Promise.race([other?.catch(() => undefined), aborted]);
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
}

async function carryOut<Input, Result>(
  definition: StepDefinition<Input, Result>,
  run: RunContext,
  input: Input,
  { prepared, key, keyInput }: { prepared: PreparedStep; key: string; keyInput: StepKeyInput },
  place: StepPlace,
  { signal, progress }: Pick<StepTools, 'signal' | 'progress'>,
): Promise<Result & StepMeta> {
  const billable = definition.billable?.(run, input) ?? false;
  const attempt = await run.ledger.start({ ...entry(definition, place, key), attempt: place.attempt, device: place.device, billable });
  let [startedAt, sharers] = [performance.now(), 1];
  const started = (batch = 1) => {
    [startedAt, sharers] = [performance.now(), batch];
  };
  const share = () => (performance.now() - startedAt) / 1000 / sharers;
  try {
    const output = await definition.execute(run, input, prepared, { key, signal, progress, started });
    const seconds = share();
    const unpinned = keyInput.model !== null && typeof keyInput.model !== 'string';
    const record = await run.store.recordStep({ ...keyInput, key, ...output, unpinned, seconds });
    const usd = (output.values['usd'] as number | undefined) ?? null;
    await run.ledger.end({ id: attempt, status: 'completed', seconds, bytes: bytesOf(record), tokens: tokensOf(record), usd });
    return { ...definition.read(record), key, cached: false, attempts: place.attempt, seconds };
  } catch (error) {
    const replyLost = billable && (signal.aborted || (error instanceof ProviderUnavailable && error.replyLost));
    const status = replyLost ? 'unknown' : signal.aborted ? 'cancelled' : 'failed';
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const usd = error instanceof ModelOutputInvalid && billable ? error.usd : null;
    await run.ledger.end({ id: attempt, status, seconds: share(), usd, error: message, reason: outputFault(error) }).catch(() => undefined);
    throw error;
  }
}

function keyed(definition: { step: StepName; version: number }, prepared: PreparedStep): { key: string; keyInput: StepKeyInput } {
  const keyInput: StepKeyInput = { step: definition.step, stepVersion: definition.version, ...prepared };
  return { key: stepKey(keyInput), keyInput };
}

function entry(definition: { step: StepName }, { item, at }: StepPlace, key: string) {
  return { step: definition.step, item: item.id, arm: at.arm, round: at.round, draw: at.draw, key };
}

function bytesOf(record: StepRecord): number {
  return Object.values(record.outputs).reduce((sum, output) => sum + output.bytes, 0);
}

function tokensOf(record: StepRecord): number | null {
  const tokens = record.values['tokens'] as { used?: number } | undefined;
  return tokens?.used ?? null;
}
