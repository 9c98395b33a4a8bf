import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import type { TrainingParameters } from '../../core/training.js';
import type { Digest } from '../../core/types.js';
import { modelDigest } from '../../engine/inference/index.js';
import {
  endLeftover,
  refusalText,
  runTrainer,
  type DoneEvent,
  type TrainerEvent,
  type TrainerScript,
} from '../../engine/training/index.js';
import type { ActivityServices, TrainingContext } from '../services.js';

/** What a training's activity may use beside its input. */
export interface TrainingTools {
  signal: AbortSignal;
  attempt: number;
  /** Whether there is no attempt after one that fails so. */
  isLast(error: unknown): boolean;
  /** Tells Temporal where the program is; it hears anyway that the activity lives. */
  progress(done: number, total: number, loss: number | null, validationLoss: number | null): void;
  log(line: string): void;
}

/** The folder in which the training program works for one activity. */
export interface WorkFolder {
  data: string;
  /** What the program writes. */
  out: string;
  /** Elsewhere than {@link out}. */
  scratch: string;
  /** Runs one of its scripts. Throws as {@link runTrainer} does. */
  run(script: TrainerScript, onEvent?: (event: TrainerEvent) => void, gotOn?: () => boolean): Promise<DoneEvent>;
}

/**
 * Makes a folder for an activity, and removes it when `work` is through. Each attempt has its own: one that was given up may still be at its end when the
 * next one works. What attempts before this one have left, a running program above all, is ended and removed first.
 * @param name of what is done, unique in the training
 * @throws InvalidInput where this worker's models are others than those that the training was started with
 */
export async function inWorkFolder<T>(
  services: ActivityServices,
  { manifest, store }: TrainingContext,
  name: string,
  { signal, log }: TrainingTools,
  parameters: TrainingParameters,
  work: (folder: WorkFolder) => Promise<T>,
): Promise<T> {
  for (const model of [manifest.base, manifest.imageEncoder]) if (model) await requireSame(services.here(model.path), model.digest);
  const attempts = join(
    tmpdir(),
    `refineloop-training-${userInfo().uid}`,
    sha256Hex([store.uri, manifest.trainingId, name].join('\n')).slice(0, 16),
  );
  await mkdir(attempts, { recursive: true });
  for (const left of await readdir(attempts)) await removeLeftover(join(attempts, left));
  const folder = await mkdtemp(join(attempts, 'attempt-'));
  try {
    const [config, lockFile] = [configOf(folder), lockFileOf(folder)];
    const [data, out, scratch] = [join(folder, 'data'), join(folder, 'out'), join(folder, 'scratch')];
    for (const made of [out, scratch]) await mkdir(made);
    const { kind } = manifest.recipe;
    const imageEncoder = manifest.imageEncoder && services.here(manifest.imageEncoder.path);
    await writeFile(
      config,
      JSON.stringify({ kind, base: services.here(manifest.base.path), imageEncoder, data, out, ...parameters }, null, 1),
    );
    const run: WorkFolder['run'] = async (script, onEvent = () => {}, gotOn = () => false) => {
      const [program, python] = [await services.trainer(), await services.python(log)];
      const named = { python, script: join(program.folder, `${script}.py`), config, lockFile };
      return runTrainer({ ...named, signal, onEvent, gotOn }).catch((error: unknown) => {
        if (!(error instanceof InvalidInput)) throw error;
        throw new InvalidInput(refusalText(error.message, { config, data }, manifest), { cause: error });
      });
    };
    return await work({ data, out, scratch, run });
  } finally {
    await removeFolder(folder);
  }
}

/** A worker has its own copy of a model. @throws InvalidInput where that is another one */
async function requireSame(folder: string, expected: Digest): Promise<void> {
  const digest = await modelDigest(folder);
  if (digest === expected) return;
  throw new InvalidInput(
    `${folder} of this worker (${digest}) is not the model that the training was started with (${expected}): copy that one here`,
  );
}

const configOf = (folder: string): string => join(folder, 'config.json');
const lockFileOf = (folder: string): string => join(folder, 'program.pid');
const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 5 });

async function removeLeftover(folder: string): Promise<void> {
  await endLeftover(lockFileOf(folder), configOf(folder));
  await removeFolder(folder);
}
