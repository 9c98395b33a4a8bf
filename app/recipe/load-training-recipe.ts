import { dirname, resolve } from 'node:path';
import { MAX_CELLS, gridCells, isBlip2Prompt, promptTemplate, type TrainingRecipe } from '../../core/index.js';
import { schemaFindings, type Finding } from './issue-text.js';
import { findStore, located, readText } from './load-recipe.js';
import { RecipeError } from './recipe-error.js';
import { readRecipeSource, type FieldPath } from './recipe-source.js';
import { trainingSchema, type TrainingShape } from './training-schema.js';

/** A training recipe that passed every check, and where it came from. */
export interface LoadedTrainingRecipe {
  recipe: TrainingRecipe;
  /** Absolute folder for the pack. */
  out: string;
  /** Absolute: `file:///...` or `s3://bucket/prefix`. */
  storeUri: string;
  file: string;
  /** The absolute form of a path as it stands in the recipe. */
  resolvePath(path: string): string;
  /** What is wrong with a field, with file and line. */
  refusal(path: FieldPath, message: string): RecipeError;
}

/**
 * Reads, checks and completes a training recipe.
 * @param overrides `--set` options: `key=value` with a dotted key and a YAML value
 * @throws {RecipeError} with everything that is wrong, each with file, line and field
 */
export async function loadTrainingRecipe(file: string, overrides: string[] = []): Promise<LoadedTrainingRecipe> {
  const baseDir = dirname(resolve(file));
  const source = readRecipeSource(await readText(file), file, overrides);
  if (source.value === undefined || source.issues.some((issue) => issue.line !== null)) throw new RecipeError(source.issues);
  const parsed = trainingSchema.safeParse(source.value);
  const findings = parsed.success ? [...crossFindings(parsed.data)] : schemaFindings(parsed.error.issues, source.value, trainingSchema);
  const store = parsed.success ? findStore(parsed.data.store, baseDir) : null;
  if (store && 'problem' in store) findings.push({ path: ['store'], message: store.problem });
  const issues = [...located(findings, source), ...source.issues];
  if (issues.length > 0 || !parsed.success || !store || 'problem' in store) throw new RecipeError(issues);
  const resolvePath = (path: string) => resolve(baseDir, path);
  const refusal = (path: FieldPath, message: string) => new RecipeError(located([{ path, message }], source));
  return { recipe: toTrainingRecipe(parsed.data), out: resolvePath(parsed.data.out), storeUri: store.uri, file, resolvePath, refusal };
}

/** Checks that no single field can fail. */
function* crossFindings(shape: TrainingShape): Iterable<Finding> {
  const { data, model } = shape;
  if ((data.run === null) === (data.feedback_set === null)) {
    const message = 'give either run or feedback_set, as in `data: { run: my-run, arm: written }` or `data: { feedback_set: ./feedback }`';
    yield { path: data.run === null ? ['data'] : ['data', 'feedback_set'], message };
  }
  if (data.feedback_set !== null && (data.arm !== null || data.n !== null)) {
    yield { path: ['data', data.arm === null ? 'n' : 'arm'], message: 'is of a run; a feedback set is taken as it is' };
  }
  if (model.source === 'opt' && model.image_encoder === null) {
    yield { path: ['model', 'image_encoder'], message: 'missing; `opt` reads images through a ViT-MAE, as in `image_encoder: ./vit-mae`' };
  }
  if (model.source === 'blip2') {
    if (model.image_encoder !== null) yield { path: ['model', 'image_encoder'], message: 'BLIP-2 has its own; leave it out' };
    if (model.image !== 'integer') yield { path: ['model', 'image'], message: 'is of `opt`; BLIP-2 sees the image itself; leave it out' };
  }
  const blanks = model.source === 'opt' ? ['{caption}', '{image}'] : ['{caption}'];
  const prompt = model.prompt === null ? null : promptTemplate(model.prompt);
  const [caption, image] = blanks.map((blank) => prompt?.indexOf(blank) ?? -1);
  if (prompt !== null && (blanks.some((blank) => prompt.split(blank).length !== 2) || (image !== undefined && image < caption!))) {
    yield { path: ['model', 'prompt'], message: `must hold ${blanks.map((blank) => `\`${blank}\``).join(' and then ')}, each once` };
  } else if (prompt !== null && model.source === 'blip2' && !isBlip2Prompt(prompt)) {
    yield { path: ['model', 'prompt'], message: 'must not hold `{image}`: BLIP-2 has the image before its prompt' };
  }
  const cells = gridCells(toTrainingRecipe(shape)).length;
  if (cells > MAX_CELLS) yield { path: ['grid'], message: `has ${cells} settings; at most ${MAX_CELLS}` };
}

/** What the paper says of each; patience 0: no early stopping. */
const PAPER = {
  opt: { learningRate: 1e-4, epochs: 8000, patience: 20 },
  blip2: { learningRate: 3e-4, epochs: 10, patience: 0 },
} as const;

function toTrainingRecipe({ name, data, model, lora, training, seed, grid }: TrainingShape): TrainingRecipe {
  const paper = PAPER[model.source];
  const patience = training.early_stopping.patience ?? paper.patience;
  return {
    name,
    data:
      data.feedback_set === null
        ? { run: data.run ?? '', arm: data.arm, n: data.n, seed: data.seed, validation: data.validation }
        : { feedbackSet: data.feedback_set },
    kind: model.source === 'opt' && model.image === 'soft' ? 'opt-soft' : model.source,
    base: model.base,
    imageEncoder: model.image_encoder,
    parameters: {
      prompt: model.prompt === null ? null : promptTemplate(model.prompt),
      lora: { r: lora.r, alpha: lora.alpha ?? 2 * lora.r, dropout: lora.dropout, targetModules: lora.target_modules },
      learningRate: training.learning_rate ?? paper.learningRate,
      epochs: training.epochs ?? paper.epochs,
      maxSteps: training.max_steps,
      batchSize: training.batch_size,
      gradientAccumulation: training.gradient_accumulation,
      gradientCheckpointing: training.gradient_checkpointing,
      earlyStopping: patience === 0 ? null : { patience, minDelta: training.early_stopping.min_delta },
      seed,
      loss: training.loss,
      precision: training.precision,
      device: training.device,
      checkpointSteps: training.checkpoint_steps,
    },
    grid: { learningRate: grid.learning_rate, loraR: grid['lora.r'] },
  };
}
