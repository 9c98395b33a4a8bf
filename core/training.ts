import { canonicalJson, digestOf } from './content-hash.js';
import type { ArtifactRef, Digest } from './types.js';

/** What is fine-tuned: a causal language model that reads a picture as integer tokens or as a soft prompt, or a BLIP-2. */
export type TrainerKind = 'opt' | 'opt-soft' | 'blip2';

/** Where the examples come from: a run of the store, or a feedback set in a folder. */
export type TrainingData =
  { run: string; arm: string | null; n: number | null; seed: number; validation: number } | { feedbackSet: string };

/** `null`: training goes on to its last epoch. */
export type EarlyStopping = { patience: number; minDelta: number } | null;

/** Everything that says what is learned. The training program takes it under these names. */
export interface TrainingParameters {
  /** The prompt's template; `null`: the paper's. */
  prompt: string | null;
  lora: { r: number; alpha: number; dropout: number; targetModules: string[] | null };
  learningRate: number;
  epochs: number;
  maxSteps: number | null;
  batchSize: number;
  gradientAccumulation: number;
  /** Activations are computed again in the backward pass and not kept: less memory, more time, the same gradients. */
  gradientCheckpointing: boolean;
  earlyStopping: EarlyStopping;
  seed: number;
  /** What the loss is over: the feedback alone, or every token of the prompt too, as the paper has it. */
  loss: 'feedback' | 'all';
  precision: 'fp32' | 'bf16';
  /** `cpu` or `cuda:<n>`. */
  device: string;
  checkpointSteps: number;
}

/** A training recipe with every default filled in; paths as they were written. */
export interface TrainingRecipe {
  name: string;
  data: TrainingData;
  kind: TrainerKind;
  /** Folder as transformers saves it. */
  base: string;
  /** ViT-MAE folder; `null` for a BLIP-2, which has its own. */
  imageEncoder: string | null;
  parameters: TrainingParameters;
  grid: { learningRate: number[]; loraR: number[] };
}

/** One setting of the grid; a training without one has a single cell. */
export interface TrainingCell {
  cell: number;
  /** What sets it apart, in the names of the recipe. */
  label: string;
  parameters: TrainingParameters;
}

/** More settings than this are no small grid, and one parent's history should stay short. */
export const MAX_CELLS = 32;

/** Every combination of the grid's values, those of the last field changing first. */
export function gridCells({ parameters, grid }: Pick<TrainingRecipe, 'parameters' | 'grid'>): TrainingCell[] {
  const { lora } = parameters;
  const rates = grid.learningRate.length > 0 ? grid.learningRate : [parameters.learningRate];
  const ranks = grid.loraR.length > 0 ? grid.loraR : [lora.r];
  return rates.flatMap((learningRate, i) =>
    ranks.map((r, j) => ({
      cell: i * ranks.length + j,
      label: `learning_rate=${learningRate} lora.r=${r}`,
      // The scale of what LoRA adds is alpha / r: it stays what it is from cell to cell.
      parameters: { ...parameters, learningRate, lora: { ...lora, r, alpha: (lora.alpha / lora.r) * r } },
    })),
  );
}

/** `training/<id>/manifest.json`: what a training is. */
export interface TrainingManifest {
  formatVersion: 1;
  trainingId: string;
  recipe: TrainingRecipe;
  /** Of everything that the result depends on: recipe, data, models, code. */
  recipeDigest: Digest;
  /** The feedback set as a folder in the store, and its own digest. */
  data: { folder: ArtifactRef; digest: Digest; examples: { train: number; validation: number } };
  /** `trainedOn`: items that it was trained on before. */
  base: { path: string; digest: Digest; licence: string | null; trainedOn: Digest[] };
  imageEncoder: { path: string; digest: Digest } | null;
  /** Of the training program. */
  code: Digest;
  software: { name: string; version: string };
  createdAt: string;
}

/** What makes two trainings the same: contents in the place of paths. */
export function trainingDigest({ recipe, data, base, imageEncoder, code }: Omit<TrainingManifest, 'recipeDigest' | 'trainingId'>): Digest {
  const { data: from, base: _base, imageEncoder: _encoder, ...rest } = recipe;
  const source = 'run' in from ? from : null;
  return digestOf(
    canonicalJson({
      ...rest,
      data: source,
      ...{ set: data.folder.digest, base: base.digest, imageEncoder: imageEncoder?.digest ?? null, code },
    }),
  );
}

/** How to find a training: all that a workflow or an activity needs beside its own input. */
export interface TrainingRef {
  trainingId: string;
  /** Store URI. */
  store: string;
}

export type TrainingState = 'starting' | 'running' | 'completed' | 'cancelled' | 'failed';

/** `training/<id>/state.json`. Times in ISO 8601. */
export interface TrainingStateRecord {
  state: TrainingState;
  startedAt: string;
  finishedAt: string | null;
  failure?: { type: string; message: string };
}

/** `training/<id>/cells/<n>/progress.json`: where a cell is, for whoever watches. */
export interface CellProgress {
  cell: number;
  /** `failed` where it is not tried again. */
  state: 'running' | 'trained' | 'failed';
  step: number;
  totalSteps: number;
  epoch: number;
  loss: number | null;
  validationLoss: number | null;
  /** Step that this attempt began after; the time is counted from there. */
  resumedFrom: number;
  attempt: number;
  /** ISO 8601, of this attempt's first step and of this word. */
  startedAt: string;
  updatedAt: string;
}

/** How a cell ended. Losses are means over tokens, in nats. */
export interface TrainedCell {
  cell: number;
  label: string;
  /** The step's key. */
  key: string;
  /** True: it was recorded, and nothing was trained. */
  cached: boolean;
  steps: number;
  bestStep: number;
  trainLoss: number;
  validationLoss: number;
  /** The adapter and what else the program left, as a folder in the store. */
  result: ArtifactRef;
  /** JSON lines: `{step, epoch, loss, learningRate}` a step, `{step, validationLoss}` an evaluation. */
  curve: ArtifactRef;
}

/** A cell that came to nothing; the others go on. */
export interface FailedCell {
  cell: number;
  label: string;
  failure: { type: string; message: string };
}

export type CellOutcome = TrainedCell | FailedCell;

export const isTrained = (outcome: CellOutcome): outcome is TrainedCell => 'validationLoss' in outcome;

/** The cell of the lowest validation loss, the first of equals; test items have no part in it. `null` where none was trained. */
export function bestCell(outcomes: readonly CellOutcome[]): TrainedCell | null {
  const trained = outcomes.filter(isTrained);
  return trained.reduce<TrainedCell | null>((best, one) => (best === null || one.validationLoss < best.validationLoss ? one : best), null);
}

/** `training/<id>/result.json`. */
export interface TrainingResult {
  cells: CellOutcome[];
  /** Number of the cell whose model is in the pack. */
  chosen: number;
  /** Of the exported graph's logits from torch's own. */
  largestDifference: number;
  /** Keys of the export and of the measurement. */
  steps: string[];
  /** What measure.py wrote, as an artifact. */
  measured: ArtifactRef;
  curve: ArtifactRef;
  picture: ArtifactRef;
  /** The pack, as a folder in the store. */
  pack: ArtifactRef;
}

export const trainingWorkflowId = (trainingId: string): string => `${trainingId}/train`;
export const cellWorkflowId = (trainingId: string, cell: number): string => `${trainingId}/train/cell-${cell}`;

/** Name of the model's folder in its pack, and the source of the arm that it is for. */
export const armSource = (kind: TrainerKind): 'opt' | 'blip2' => (kind === 'blip2' ? 'blip2' : 'opt');
