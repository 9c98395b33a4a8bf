import { z } from 'zod';
import { RUN_ID_PATTERN } from '../../core/index.js';
import { MAX_NAME_LENGTH } from './schema.js';

const text = () => z.string().min(1);
const seed = () => z.int().min(0).max(4294967295);
const count = () => z.int().min(1);
const rate = () => z.number().gt(0).max(1);

const data = z.strictObject({
  run: text()
    .max(64)
    .regex(RUN_ID_PATTERN)
    .nullable()
    .default(null)
    .describe('Run of the store whose feedback is learned; or give `feedback_set`.'),
  arm: text()
    .nullable()
    .default(null)
    .describe('Arm of that run whose feedback it is; without it, the one arm whose feedback a person wrote.'),
  n: count().nullable().default(null).describe('So many items of the run, drawn at random, as in the paper (80); without it, all.'),
  seed: seed().default(0).describe('Seed of the draw and of the split.'),
  validation: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.1)
    .describe('Share of the items that is held out for early stopping and the grid; no item is in both splits.'),
  feedback_set: text()
    .nullable()
    .default(null)
    .describe('Folder as `refineloop export RUN DEST --as feedback-set` writes it, instead of a run; relative to the recipe file.'),
});

const model = z.strictObject({
  source: z
    .enum(['opt', 'blip2'])
    .describe('The kind of arm that is trained: `opt`, a language model that reads the image as tokens, or `blip2`, which sees it.'),
  base: text().describe(
    'Model to start from, a folder as transformers saves it (config.json, weights, tokenizer); relative to the recipe file.',
  ),
  image_encoder: text()
    .nullable()
    .default(null)
    .describe('ViT-MAE folder with the mask noise as an input, for `opt`; relative to the recipe file.'),
  image: z
    .enum(['integer', 'soft'])
    .default('integer')
    .describe(
      'How `opt` reads the image: `integer`, the paper’s tokens `[1000 x value]`; `soft`, features projected into the embedding space.',
    ),
  prompt: text()
    .nullable()
    .default(null)
    .describe(
      'Template with `{caption}`, for `opt` also `{image}` after it, or the name of one (`paper-opt`, `paper-blip2`); without it, what lies beside the base (`prompt.json`), else the paper’s.',
    ),
});

const lora = z.strictObject({
  r: count().max(1024).default(16).describe('Rank of what is added to a weight.'),
  alpha: z
    .number()
    .gt(0)
    .nullable()
    .default(null)
    .describe('What is added is scaled by alpha / r; without it, alpha is twice r. A grid over r keeps the scale.'),
  dropout: z.number().min(0).lt(1).default(0.05).describe('Share of inputs of what is added that are dropped in training.'),
  target_modules: z
    .array(text())
    .nullable()
    .default(null)
    .describe('Names of the layers; without it, queries and values, as PEFT has it for the architecture.'),
});

const earlyStopping = z.strictObject({
  patience: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe(
      'Training ends after so many epochs without a lower validation loss; 0: never for that reason. Without it 20 for `opt`, 0 for `blip2`.',
    ),
  min_delta: z.number().min(0).default(0).describe('A loss must be lower by more than this to count.'),
});

const training = z.strictObject({
  learning_rate: rate().nullable().default(null).describe('Without it the paper’s: 0.0001 for `opt`, 0.0003 for `blip2`.'),
  epochs: count().nullable().default(null).describe('Epochs at most. Without it the paper’s: 8000 for `opt`, 10 for `blip2`.'),
  max_steps: count()
    .nullable()
    .default(null)
    .describe('Optimiser steps at most; training ends with these or with the epochs, whichever comes first.'),
  batch_size: count().default(8).describe('Examples that are computed at once.'),
  gradient_accumulation: count().default(1).describe('Batches of one optimiser step.'),
  gradient_checkpointing: z
    .boolean()
    .default(false)
    .describe('Keeps few activations and computes the others again: less memory, about a third more time, the same result.'),
  early_stopping: earlyStopping
    .prefault({})
    .describe('When training ends before its last epoch. The adapter of the lowest validation loss is kept in any case.'),
  loss: z
    .enum(['feedback', 'all'])
    .default('feedback')
    .describe(
      'Next-token loss that is learned: over the feedback alone, or over the prompt too, as the paper has it. Validation is over the feedback in either case.',
    ),
  precision: z.enum(['fp32', 'bf16']).default('fp32').describe('Of the computation; `bf16` wants hardware that has it.'),
  device: z
    .string()
    .refine((name) => /^(cpu|cuda:\d+)$/.test(name), { message: 'expected `cpu` or `cuda:0`, `cuda:1`, ...' })
    .default('cpu')
    .describe('`cpu`, or `cuda:0`, `cuda:1`, ... of the machine with the `train` worker.'),
  checkpoint_steps: count().default(50).describe('Optimiser steps between checkpoints: at most so many are lost with a machine.'),
});

const grid = z.strictObject({
  learning_rate: z.array(rate()).default([]).describe('Learning rates to try.'),
  'lora.r': z.array(count().max(1024)).default([]).describe('Ranks to try, each with every learning rate.'),
});

/** What a training recipe may hold: names as a person writes them, every default, a doc line on every field. */
export const trainingSchema = z.strictObject({
  name: text()
    .max(MAX_NAME_LENGTH)
    .regex(RUN_ID_PATTERN)
    .describe('Name of the training, its pack and its arm. Letters, digits, `.`, `_`, `-`.'),
  store: text()
    .default('file:./runs')
    .describe('Where the run is and checkpoints go: `file:<folder>` (relative to the recipe file) or `s3://bucket/prefix`.'),
  data: data.describe('What is learned: a run’s feedback, or a feedback set in a folder.'),
  model: model.describe('What learns it.'),
  lora: lora.prefault({}).describe('Low-rank adaptation: the weights that are trained.'),
  training: training.prefault({}).describe('How it is trained; the paper’s values by default.'),
  seed: seed().default(0).describe('Seed of everything random in training.'),
  grid: grid.prefault({}).describe('Settings to try, each a training of its own; the lowest validation loss is taken. Off by default.'),
  out: text().describe('Folder for the pack, which a recipe’s arm then names; relative to the recipe file.'),
});

/** A training recipe as it passed the schema, in the names of the file. */
export type TrainingShape = z.output<typeof trainingSchema>;
