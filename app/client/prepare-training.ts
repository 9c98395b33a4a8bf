import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';
import { trainingDigest, type TrainingManifest } from '../../core/training.js';
import { cardLicence } from '../../engine/card-licence.js';
import { writeFeedbackSet } from '../../engine/datasets/index.js';
import { checkModelFolder, isPack, loadPack, modelDigest, readPack } from '../../engine/inference/index.js';
import { openStore, putFolder, type Store } from '../../engine/storage/index.js';
import { readFeedbackSetFolder, TRAINING_PACK_FILES, trainerProgram } from '../../engine/training/index.js';
import { feedbackSetLines, leftOutLines } from '../export/feedback-set-lines.js';
import { namesIn } from '../export/output-folder.js';
import type { LoadedTrainingRecipe } from '../recipe/index.js';
import { software } from './prepare-run.js';

/** A training that could be started: its feedback set is in the store, and everything is checked that can be checked before. */
export interface PreparedTraining {
  manifest: TrainingManifest;
  storeUri: string;
  /** Absolute folder for the pack. */
  out: string;
  /** What a person should know of the data, a line each. */
  notes: string[];
}

export interface PrepareTrainingOptions {
  /** Default: the recipe's name and digest, so that the same command finds its training again. */
  trainingId?: string;
  /** Folder of another training program than the one that comes along. */
  trainer?: string;
}

/**
 * Makes the feedback set, or reads the one that is named, checks the models and fixes what the training is.
 * @throws InvalidInput naming the file and what to do
 */
export async function prepareTraining(loaded: LoadedTrainingRecipe, options: PrepareTrainingOptions = {}): Promise<PreparedTraining> {
  const { trainingId, trainer } = options;
  const { recipe, storeUri, out, resolvePath } = loaded;
  const at =
    (...path: string[]) =>
    (error: unknown) => {
      throw error instanceof InvalidInput ? loaded.refusal(path, error.message) : error;
    };
  await requireReplaceable(out, recipe.name).catch(at('out'));
  const base = await baseModel(resolvePath(recipe.base)).catch(at('model', 'base'));
  const imageEncoder =
    recipe.imageEncoder === null ? null : await encoder(resolvePath(recipe.imageEncoder)).catch(at('model', 'image_encoder'));
  const code = (await trainerProgram(trainer)).digest;
  const store = await openStore(storeUri);
  const { data, notes } = await feedbackSet(store, loaded).catch(at('data', 'run' in recipe.data ? 'run' : 'feedback_set'));
  const what = {
    formatVersion: 1 as const,
    recipe,
    data,
    base,
    imageEncoder,
    code,
    software: software(),
    createdAt: new Date().toISOString(),
  };
  const recipeDigest = trainingDigest(what);
  const id = trainingId ?? `${recipe.name}-${recipeDigest.slice('sha256:'.length, 'sha256:'.length + 8)}`;
  store.training(id); // Refuses what cannot be one.
  return { manifest: { ...what, trainingId: id, recipeDigest }, storeUri, out, notes };
}

/** A folder that holds something else is left alone. @throws InvalidInput */
async function requireReplaceable(out: string, name: string): Promise<void> {
  const names = await namesIn(out);
  if (names.length === 0) return;
  const pack = (await isPack(out)) ? await loadPack(out) : null;
  const models = Object.values(pack?.models ?? {});
  if (pack?.name === name && models.every((model) => 'lineage' in model)) {
    const own = new Set<string>([...TRAINING_PACK_FILES, ...models.map(({ path }) => path)]);
    const others = names.filter((found) => !own.has(found));
    if (others.length === 0) return;
    throw new InvalidInput(
      `${out} holds an earlier pack of ${name} and also ${others.join(', ')}, which would be lost; move that elsewhere`,
    );
  }
  throw new InvalidInput(`${out} is not empty and holds no pack of an earlier training ${name}; name a folder that is new or empty`);
}

async function baseModel(path: string): Promise<TrainingManifest['base']> {
  if (!(await isThere(path))) throw new InvalidInput(`there is no folder ${path}`);
  if (!(await isThere(join(path, 'config.json')))) {
    throw new InvalidInput(`${path} is no model folder as transformers saves it: it has no config.json`);
  }
  if (!(await readdir(path)).some((file) => /\.(safetensors|bin)$/.test(file))) {
    throw new InvalidInput(
      `${path} has no weights as transformers saves them (*.safetensors or *.bin): name the folder that an export is made from, not the exported one`,
    );
  }
  const pack = await readPack(path);
  const licence = pack?.licence ?? (await cardLicence(path)) ?? null;
  return { path, digest: await modelDigest(path), licence, trainedOn: pack?.trainedOn.digests ?? [] };
}

const isThere = (path: string): Promise<boolean> => stat(path).then(() => true, () => false); // prettier-ignore

async function encoder(path: string): Promise<TrainingManifest['imageEncoder']> {
  if (!(await isThere(path))) throw new InvalidInput(`there is no folder ${path}`);
  await checkModelFolder(path, 'vit-mae');
  return { path, digest: await modelDigest(path) };
}

type Data = { data: TrainingManifest['data']; notes: string[] };

async function feedbackSet(store: Store, { recipe, resolvePath }: LoadedTrainingRecipe): Promise<Data> {
  if ('feedbackSet' in recipe.data) return storedSet(store, resolvePath(recipe.data.feedbackSet));
  const folder = await mkdtemp(join(tmpdir(), 'refineloop-feedback-set-'));
  try {
    const { run, ...choice } = recipe.data;
    const set = await writeFeedbackSet(store, run, folder, choice);
    const { data, notes } = await storedSet(store, folder);
    return { data, notes: [...feedbackSetLines(set, choice.n), ...leftOutLines(set.left), ...notes] };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function storedSet(store: Store, folder: string): Promise<Data> {
  const { digest, examples, unlisted } = await readFeedbackSetFolder(folder);
  const note = `${unlisted} items have no true image: the pack cannot list them, and no report will leave them out as trained on`;
  return { data: { folder: await putFolder(store.artifacts, folder), digest, examples }, notes: unlisted > 0 ? [note] : [] };
}
