import { readFileSync } from 'node:fs';
import { canonicalJson, digestOf } from '../../core/content-hash.js';
import { InvalidInput, RefineError } from '../../core/errors.js';
import { RUN_ID_PATTERN } from '../../core/ids.js';
import { metricOf } from '../../core/item-plan.js';
import type { Placement } from '../../core/queues.js';
import { feedbackColumns, type ModelEntry, type RunManifest } from '../../core/recipe.js';
import { readDataset, sampleRows } from '../../engine/datasets/index.js';
import {
  checkGenerator,
  checkModelFolder,
  hashFiles,
  loadOptPrompt,
  measuredLosses,
  modelDigest,
  runtimeOf,
  taughtTexts,
  verifyPack,
  type ModelKind,
  type ModelUse,
} from '../../engine/inference/index.js';
import { defaultRunId, modelPaths, recipeDigest, sharedModelProblem, type LoadedRecipe } from '../recipe/index.js';

/** A run that could be started: everything checked that can be checked before the first step. */
export interface PreparedRun {
  manifest: RunManifest;
  storeUri: string;
  placement?: Placement;
  /** Rows that the run takes; some may turn out to be unusable when their pictures are read. */
  rows: number;
  /** Artifacts that the manifest names and the store is to have. */
  artifacts: Uint8Array[];
}

/**
 * Checks dataset and models and fixes what the run is.
 * @param runId default: the recipe's name and digest, so that the same command finds its run again
 * @throws InvalidInput naming the file and what to do
 */
export async function prepareRun(loaded: LoadedRecipe, runId?: string): Promise<PreparedRun> {
  const { recipe, baseDir } = loaded;
  if (runId !== undefined && !RUN_ID_PATTERN.test(runId)) {
    throw new InvalidInput(`run id ${JSON.stringify(runId)}: use letters, digits, ".", "_" and "-", at most 64`);
  }
  const dataset = await readDataset(recipe.dataset.uri, recipe.dataset, baseDir, feedbackColumns(recipe)).catch((error: unknown) => {
    if (RefineError.is(error) && error.code === 'InvalidInput') throw new InvalidInput(`${loaded.file}: dataset: ${error.message}`);
    throw error;
  });
  const rows = sampleRows(dataset.entries, recipe.dataset).length;
  if (!dataset.hasImages && metricOf(recipe.scores.primary.metric).needsTrueImage) {
    throw new InvalidInput(
      `${recipe.dataset.uri} has no true images (column ${recipe.dataset.columns.image}), and the primary score ${recipe.scores.primary.metric} compares with them; choose another primary`,
    );
  }
  const artifacts: Uint8Array[] = [];
  const models = Object.fromEntries(
    await Promise.all(modelPaths(recipe).map(async (path) => [path, await modelEntry(loaded, path, artifacts)] as const)),
  );
  await checkedGenerator(loaded);
  const digests = Object.fromEntries(Object.entries(models).map(([path, model]) => [path, model.digest]));
  const problem = sharedModelProblem(recipe, digests);
  if (problem) throw new InvalidInput(problem);
  const digest = recipeDigest(recipe, digests);
  const manifest: RunManifest = {
    formatVersion: 1,
    runId: runId ?? defaultRunId(recipe, digest),
    recipe,
    recipeDigest: digest,
    datasetUri: dataset.uri,
    models,
    runtime: runtimeOf({ provider: recipe.executionProvider, batching: recipe.batching }),
    software: software(),
    createdAt: new Date().toISOString(),
  };
  return { manifest, storeUri: loaded.storeUri, placement: loaded.placement, rows, artifacts };
}

/** The folder is whole: whether it can do what the recipe asks. */
async function checkedGenerator({ recipe: { generator, arms }, file, resolvePath }: LoadedRecipe): Promise<void> {
  const strengths = arms.flatMap(({ strength }) => strength ?? []);
  await checkGenerator(resolvePath(generator.model), { ...generator, strengths }).catch((error: unknown) => {
    if (RefineError.is(error) && error.code === 'InvalidInput') throw new InvalidInput(`${file}: generator: ${error.message}`);
    throw error;
  });
}

/** @param artifacts filled with what the entry names */
async function modelEntry(loaded: LoadedRecipe, path: string, artifacts: Uint8Array[]): Promise<ModelEntry> {
  const folder = loaded.resolvePath(path);
  const kinds = modelKinds(loaded, path);
  for (const kind of kinds) await checkModelFolder(folder, kind, modelUses(loaded, path, kind));
  const hashes = await hashFiles(folder);
  const pack = await verifyPack(folder, hashes);
  const measured = await measuredLosses(folder, pack);
  const texts = await taughtTexts(folder, pack);
  const taught = texts && Buffer.from(canonicalJson(texts), 'utf8');
  if (taught) artifacts.push(taught);
  const isSoft = kinds.has('causal-lm') && (await loadOptPrompt(folder)).image === 'soft';
  return {
    path: folder,
    digest: await modelDigest(folder, hashes),
    trainedOn: pack?.trainedOn.digests ?? [],
    ...(taught ? { trainingFeedback: digestOf(taught) } : {}),
    ...(measured ? { measured } : {}),
    ...(isSoft ? { imageFeatures: 'all' } : {}),
  };
}

/** All that the recipe takes a folder for. */
function modelKinds({ recipe }: LoadedRecipe, path: string): Set<ModelKind> {
  const { select, primary, report } = recipe.scores;
  const uses: Array<[string | null, ModelKind | undefined]> = [
    [recipe.generator.model, 'text-to-image'],
    ...[primary, select, ...report].map(({ model, metric }): [string | null, ModelKind | undefined] => [
      model,
      metricOf(metric).model?.kind,
    ]),
  ];
  for (const { feedback } of recipe.arms) {
    if (feedback?.source === 'opt') uses.push([feedback.model, 'causal-lm'], [feedback.imageEncoder, 'vit-mae']);
    if (feedback?.source === 'blip2') uses.push([feedback.model, 'blip2']);
    if (feedback?.source === 'vlm') uses.push([feedback.model, 'vision-language']);
  }
  return new Set(uses.flatMap(([model, kind]) => (model === path && kind ? [kind] : [])));
}

/** What the recipe does with a model of this kind that not every recipe does. */
function modelUses({ recipe: { arms, scores } }: LoadedRecipe, path: string, kind: ModelKind): ModelUse[] {
  const asks = [scores.select, scores.primary, ...scores.report].some(({ metric, model }) => metric === 'vqa' && model === path);
  if (kind === 'vision-language') return asks ? ['questions'] : [];
  return kind === 'text-to-image' && arms.some(({ strength }) => strength !== undefined) ? ['edits'] : [];
}

/** Name and version of this package, from wherever it is installed. */
export function software(): { name: string; version: string } {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { name: string; version: string };
      if (name === 'refineloop') return { name, version };
    } catch {
      // One level further up when compiled.
    }
  }
  return { name: 'refineloop', version: '0.0.0' };
}
