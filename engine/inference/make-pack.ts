import { readdir, rename, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { InvalidInput, RefineError } from '../../core/errors.js';
import type { MeasuredLosses } from '../../core/recipe.js';
import type { Digest } from '../../core/types.js';
import { cardLicence } from '../card-licence.js';
import { modelNotes, modelProblems } from './check-model-folder.js';
import { hashFiles, modelFiles } from './model-folder.js';
import { modelKindOf } from './model-kind.js';
import { exportCommand, type ModelKind } from './model-layouts.js';
import { readOnnxFile } from './onnx-file.js';
import { unexportedWeights } from './other-folders.js';
import { isPack, loadPack, type Pack, type PackEntry } from './pack.js';

/** What a person says of models that are added; the rest is read from their folders. */
export interface PackClaims {
  /** Default: what the architecture in the folder says. */
  kind?: ModelKind;
  /** An SPDX identifier; default: what the model card (`README.md`) says, else `unknown`. */
  licence?: string;
  /** Default: the program that wrote the ONNX file. */
  madeBy?: string;
  /** Artifact digests of dataset pictures that the models saw in training: those items are in no mean. */
  trainedOn: Digest[];
  /** Texts that a critic was taught with: a report tells how much of them it repeats. */
  trainingFeedback?: string[];
  /** Losses that their training measured. */
  measured?: MeasuredLosses;
  /** Of models that a training made: what from, with which parameters, by which code. */
  lineage?: Record<string, unknown>;
}

/** A model folder that can be used. */
export interface WholeModel {
  folder: string;
  kind: ModelKind;
}

/** A model folder as it was looked at. */
export interface CheckedModel {
  folder: string;
  /** `null` where it cannot be told. */
  kind: ModelKind | null;
  /** What keeps it from being used; empty: it is whole. */
  problems: string[];
  /** Torch's weights without a graph: to be trained, or to be exported. */
  unexported: boolean;
  /** What a person should know of it all the same. */
  notes: string[];
  /** The command that makes such a folder. */
  command: string | null;
}

export const isWhole = (model: CheckedModel): model is CheckedModel & WholeModel => model.kind !== null && model.problems.length === 0;

/**
 * The models at a path, checked: the folder itself where it is one, else those of its sub-folders that are.
 * Throws InvalidInput where there are none, or where the folder's own kind cannot be told.
 */
export async function checkModels(path: string, kind?: ModelKind): Promise<CheckedModel[]> {
  const folder = resolve(path);
  const isModel = kind !== undefined || (await modelKindOf(folder)) !== null;
  const folders = isModel ? [folder] : await subfolders(folder);
  const models: CheckedModel[] = [];
  for (const each of folders) {
    try {
      const known = kind ?? (await modelKindOf(each));
      if (known === null) continue;
      const problems = await modelProblems(each, known);
      const notes = problems.length === 0 ? await modelNotes(each, known) : [];
      models.push({
        folder: each,
        kind: known,
        problems,
        notes,
        unexported: unexportedWeights(await modelFiles(each)) !== undefined,
        command: exportCommand(known),
      });
    } catch (error) {
      if (!RefineError.is(error)) throw error;
      models.push({ folder: each, kind: null, problems: [error.message], notes: [], unexported: false, command: null });
    }
  }
  if (models.length > 0) return models;
  throw new InvalidInput(
    `${path} is no model and holds none: a model folder has model_index.json or config.json (a single file of weights is loaded with transformers or diffusers, saved with save_pretrained, then exported); or say --kind`,
  );
}

/**
 * Writes what is known of models into the `pack.json` beside them (in the folder that holds them): files with sizes and
 * SHA-256, kind, precision, licence, how they were made. Entries of other models stay. Returns the pack and its folder.
 */
export async function addToPack(models: readonly WholeModel[], claims: PackClaims): Promise<{ folder: string; pack: Pack }> {
  const folder = dirname(models[0]!.folder);
  const before = (await isPack(folder)) ? await loadPack(folder) : null;
  const entries: Record<string, PackEntry> = {};
  for (const model of models) {
    const old = Object.entries(before?.models ?? {}).find(([, { path }]) => resolve(folder, path) === model.folder);
    entries[old?.[0] ?? basename(model.folder)] = { ...old?.[1], ...(await describe(model, folder, claims, old?.[1])) };
  }
  const licences = new Set(Object.values(entries).map(({ licence }) => licence ?? 'unknown'));
  const licence = licences.size === 1 ? [...licences][0]! : 'see the models';
  const pack: Pack = {
    ...(before ?? { name: basename(folder), version: '1', licence }),
    models: { ...before?.models, ...entries },
  };
  const partial = join(folder, `pack.json.${process.pid}.partial`);
  await writeFile(partial, `${JSON.stringify(pack, null, 2)}\n`);
  await rename(partial, join(folder, 'pack.json'));
  return { folder, pack };
}

async function describe(model: WholeModel, packFolder: string, claims: PackClaims, old?: PackEntry): Promise<PackEntry> {
  const files: PackEntry['files'] = [];
  for (const [path, sha256] of await hashFiles(model.folder))
    files.push({ path, bytes: (await stat(join(model.folder, path))).size, sha256 });
  const paths = files.map(({ path }) => path);
  const graphs = paths.filter((path) => path.endsWith('.onnx')).map((path) => readOnnxFile(join(model.folder, path)));
  const told = (values: Array<string | null>) => [...new Set(values.filter((value) => value !== null))].join(', ');
  return {
    path: relative(packFolder, model.folder),
    kind: model.kind,
    precision: told(graphs.map(({ precision }) => precision)),
    licence: claims.licence ?? old?.licence ?? (await cardLicence(model.folder)) ?? 'unknown',
    madeBy: claims.madeBy ?? old?.madeBy ?? `exported by ${told(graphs.map(({ producer }) => producer)) || 'an unknown program'}`,
    files,
    trainedOn: {
      ...old?.trainedOn,
      digests: [...new Set([...(old?.trainedOn.digests ?? []), ...claims.trainedOn])],
      ...(claims.trainingFeedback ? { feedback: claims.trainingFeedback } : {}),
    },
    ...(claims.measured ? { measured: claims.measured } : {}),
    ...(claims.lineage ? { lineage: claims.lineage } : {}),
  };
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => join(folder, name));
}
