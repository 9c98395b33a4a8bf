import { z } from 'zod';
import { DEFAULT_DECODING, EXECUTION_PROVIDERS, METRICS, REFINERS, RUN_ID_PATTERN, SCHEDULERS } from '../../core/index.js';

/** Longest recipe name: a default run id is `<name>-<8 hex>` and may have 64 characters. */
export const MAX_NAME_LENGTH = 55;

/** Feedback sources that the recipe format knows and this version cannot run yet. */
export const PLANNED_SOURCES = ['human'] as const;
/** The one generator provider of this version: a model folder, run by ONNX Runtime. */
export const LOCAL_PROVIDER = 'onnx';

const METRIC_NAMES = Object.keys(METRICS);

const text = () => z.string().min(1);
const seed = () => z.int().min(0).max(4294967295);
const count = () => z.int().min(1);
const pixels = () => z.int().min(8).max(8192).multipleOf(8).nullable().default(null);

const sample = z.strictObject({
  n: count().describe('How many items are drawn at random.'),
  seed: seed().default(0).describe('Seed of the draw: the same seed draws the same items.'),
});

const columns = z.strictObject({
  id: text().default('id').describe("Column with the item's id; where it is absent, the file name or row number."),
  caption: text().default('text').describe('Column with the caption, passed to the generator as it is.'),
  image: text().default('file_name').describe('Column with the true image.'),
  feedback: text().default('feedback').describe('Column with written feedback; a list column holds one entry a round.'),
});

const dataset = z.strictObject({
  uri: text().describe(
    'Image folder with `metadata.jsonl` or `metadata.csv`, image + `.txt` pairs, CSV or JSONL, Parquet as the Hub has it; relative to the recipe file.',
  ),
  split: text().nullable().default(null).describe('Sub-folder or file prefix such as `test`; without it, everything.'),
  sample: sample.nullable().default(null).describe('A random sample instead of the whole dataset.'),
  limit: count().nullable().default(null).describe('The first so many items instead of the whole dataset.'),
  columns: columns.prefault({}).describe("The dataset's column names."),
  strata: z
    .array(text())
    .default([])
    .describe('Columns by whose values the report splits its tables; `attributes.shape` reaches into an object.'),
});

const worker = (what: string) =>
  text()
    .max(64)
    .regex(RUN_ID_PATTERN)
    .nullable()
    .default(null)
    .describe(
      `Name of the \`gpu\` worker that ${what} first; where it does not come, any other. Results do not depend on it, and a run that is there keeps its id.`,
    );

const generator = z.strictObject({
  model: text().describe("Model folder in diffusers' ONNX layout; relative to the recipe file."),
  provider: text().default(LOCAL_PROVIDER).describe('`onnx`: the folder, on this machine. Remote providers are not in this version yet.'),
  scheduler: z
    .enum(SCHEDULERS)
    .nullable()
    .default(null)
    .describe("Sampler (docs/schedulers.md); without it, the model's own scheduler_config.json."),
  num_inference_steps: z.int().min(1).max(1000).default(50).describe('Denoising steps of one image.'),
  guidance_scale: z.number().min(0).max(100).default(7.5).describe('How strongly the prompt is followed; 1 and below: no guidance.'),
  negative_prompt: z.string().default('').describe('What the image should not show.'),
  height: pixels().describe("Image height in pixels, a multiple of 8; without it, the model's own."),
  width: pixels().describe("Image width in pixels, a multiple of 8; without it, the model's own."),
  prompt_weights: z
    .boolean()
    .default(false)
    .describe(
      'True: `(word:1.3)` in captions, feedback and the negative prompt is a weight and `(word)` is 1.1, as in ComfyUI; `\\(` is a bracket. Off, brackets are text.',
    ),
  vae_tiling: z
    .boolean()
    .default(false)
    .describe(
      "True: pictures larger than the model's VAE was trained on are decoded in overlapping tiles, which takes less memory and changes them slightly.",
    ),
  worker: worker('generates'),
});

const datasetFeedback = z.strictObject({
  source: z.literal('dataset').describe('Feedback that stands in the dataset.'),
  column: text().nullable().default(null).describe('The column; without it, `dataset.columns.feedback`.'),
});

const shuffledFeedback = z.strictObject({
  source: z.literal('shuffled').describe("Another item's feedback: the placebo."),
  from: text().describe("The arm whose feedback is shuffled; a model's feedback is the one that it writes on the other item."),
  swap: z
    .enum(['feedback', 'picture'])
    .default('feedback')
    .describe(
      "`feedback`: the other item's feedback is shown. `picture`: the model of `from` writes for this item's caption on the other item's picture; where that is as good, it does not look.",
    ),
});

const memory = () =>
  z.boolean().default(false).describe('True: the critic is also given the feedback of earlier rounds; without it, only caption and image.');

/** How a model on the run's own devices writes, in the names of transformers' GenerationConfig. */
const writing = () => ({
  max_new_tokens: count().max(512).default(64).describe('Longest feedback, in tokens.'),
  do_sample: z
    .boolean()
    .default(DEFAULT_DECODING.doSample)
    .describe("True: each token is sampled, with a seed from the run's; without it, the likeliest is taken."),
  temperature: z
    .number()
    .gt(0)
    .max(10)
    .default(DEFAULT_DECODING.temperature)
    .describe('With `do_sample`: below 1 likely tokens become likelier, above 1 all more alike.'),
  top_k: count().nullable().default(DEFAULT_DECODING.topK).describe('With `do_sample`: only so many likeliest tokens; without it, all.'),
  top_p: z
    .number()
    .gt(0)
    .max(1)
    .default(DEFAULT_DECODING.topP)
    .describe('With `do_sample`: only the likeliest tokens that together have this probability.'),
  num_beams: count().max(64).default(DEFAULT_DECODING.numBeams).describe('Texts that are followed side by side; 1: one.'),
  length_penalty: z
    .number()
    .min(-10)
    .max(10)
    .default(DEFAULT_DECODING.lengthPenalty)
    .describe("With `num_beams`: a text's log-probability is divided by its length to this power; above 1 favours long texts."),
  repetition_penalty: z
    .number()
    .gt(0)
    .max(10)
    .default(DEFAULT_DECODING.repetitionPenalty)
    .describe('Above 1: tokens of the prompt and of the text so far become less likely.'),
  no_repeat_ngram_size: z
    .int()
    .min(0)
    .max(64)
    .default(DEFAULT_DECODING.noRepeatNgramSize)
    .describe('No so many tokens stand in the same order twice; 0: no rule.'),
  stop_strings: z
    .array(text())
    .default(DEFAULT_DECODING.stopStrings)
    .describe("The feedback ends before the first of these, beside the model's own end."),
});

const optFeedback = z.strictObject({
  source: z
    .literal('opt')
    .describe(
      'A causal language model that reads the image as integer tokens (the OPT arm of the paper), or as vectors where its `prompt.json` says `"image": "soft"`.',
    ),
  model: text().describe('Model folder as optimum or transformers.js has it, with `prompt.json` beside; relative to the recipe file.'),
  image_encoder: text().describe('ViT-MAE folder with the mask noise as an input; relative to the recipe file.'),
  memory: memory(),
  ...writing(),
  worker: worker('writes this feedback'),
});

const blip2Feedback = z.strictObject({
  source: z.literal('blip2').describe('A BLIP-2, which sees the image and is asked about it (the BLIP-2 arm of the paper).'),
  model: text().describe('Model folder as `models/export/export_blip2.py` writes it; relative to the recipe file.'),
  prompt: text()
    .default('paper-blip2')
    .describe("What it is asked, with `{caption}` where the caption goes; `paper-blip2`, which is the default, is the paper's question."),
  memory: memory(),
  ...writing(),
  worker: worker('writes this feedback'),
});

const vlmFeedback = z.strictObject({
  source: z
    .literal('vlm')
    .describe('A vision-language model on the own devices, asked by its chat template as `chat` asks one behind an endpoint.'),
  model: text().describe('Model folder as transformers.js loads it (SmolVLM, Qwen2-VL, Florence-2, ...); relative to the recipe file.'),
  instructions: text()
    .nullable()
    .default(null)
    .describe(
      'What the model is told; without it, built-in instructions. A model without a chat template is told only this, as in `<MORE_DETAILED_CAPTION>`.',
    ),
  memory: memory(),
  ...writing(),
  worker: worker('writes this feedback'),
});

const price = z.strictObject({
  input: z.number().min(0).describe('US dollars a million tokens read.'),
  output: z.number().min(0).describe('US dollars a million tokens written.'),
});

const chatFeedback = z.strictObject({
  source: z
    .enum(['chat', 'rewrite'])
    .describe(
      'A vision model behind an endpoint: `chat` says what to change, `rewrite` writes a whole new prompt, which replaces the caption.',
    ),
  base_url: z.url({ protocol: /^https?$/ }).describe('Endpoint that speaks the OpenAI chat protocol, such as `http://localhost:8000/v1`.'),
  model: text().describe("The model's name there."),
  revision: text().nullable().default(null).describe('Tells versions of the remote model apart: another one is asked anew.'),
  api_key_env: text().default('OPENAI_API_KEY').describe('Environment variable that holds the key; may be unset where none is asked for.'),
  memory: memory(),
  instructions: text().nullable().default(null).describe('What the model is told; without it, built-in instructions.'),
  max_tokens: count().default(128).describe('Longest answer, in tokens.'),
  temperature: z.number().min(0).max(2).default(0).describe('0: as repeatable as the model is.'),
  timeout_seconds: z.number().min(1).max(3600).default(60).describe('After so long without an answer the call counts as lost.'),
  price: price.nullable().default(null).describe("The provider's price, counted into cost and budget; without it, nothing is counted."),
});

/** Accepted as written, so that the recipe is checked to its end; refused by the checks across fields. */
const plannedFeedback = z.looseObject({ source: z.enum(PLANNED_SOURCES) });

const arm = z.strictObject({
  name: text().max(64).regex(RUN_ID_PATTERN).describe('Name of the arm in every table: letters, digits, `.`, `_`, `-`.'),
  oracle: z.boolean().default(false).describe('True: who wrote the feedback saw the true image. An upper reference, never a rival.'),
  feedback: z
    .discriminatedUnion('source', [
      datasetFeedback,
      shuffledFeedback,
      optFeedback,
      blip2Feedback,
      vlmFeedback,
      chatFeedback,
      plannedFeedback,
    ])
    .nullable()
    .default(null)
    .describe('Where the feedback comes from; without it, the arm is the control: new seeds on the unchanged caption.'),
  refine: z
    .enum(REFINERS)
    .nullable()
    .default(null)
    .describe(
      'How caption and feedback become a prompt: `append`, `prepend`, `replace`, `blend` (encoded apart and mixed by weight) or `chunk` (encoded in windows of 77 tokens, none cut). Without it `append`, for a `rewrite` `replace`, for a placebo what its arm has.',
    ),
  feedback_weight: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .default(null)
    .describe('Share of the feedback in the mix of `blend`. Without it 0.5, for a placebo what its arm has.'),
  seeds: z
    .enum(['keep', 'new'])
    .nullable()
    .default(null)
    .describe("`keep`: round 0's seed in every round; `new`: a fresh one each round. Without it `keep`, for a placebo what its arm has."),
  strength: z
    .number()
    .min(0.01)
    .max(1)
    .nullable()
    .default(null)
    .describe(
      "Each round edits the previous round's image (image to image) instead of drawing a new one: the share of denoising steps that are made, from 0.01 (next to nothing changes) to 1. 0.4 to 0.7 keeps the composition. Without it new images, for a placebo what its arm has.",
    ),
  candidates: z
    .int()
    .min(1)
    .max(16)
    .nullable()
    .default(null)
    .describe(
      'Texts that the critic writes each round, the first as without this and the others sampled; an image is made with each, and the selector keeps one. The control draws as many images, and is given the same choice. Without it 1, for a placebo what its arm has.',
    ),
});

const score = z.preprocess(
  (value) => (typeof value === 'string' ? { metric: value } : value),
  z.strictObject({
    metric: z
      .enum(METRIC_NAMES)
      .describe(`One of ${METRIC_NAMES.map((name) => `\`${name}\``).join(', ')}; what each needs and means is in docs/scores.md.`),
    model: text().nullable().default(null).describe("Model folder, where the metric needs one; without it, the generator's pack."),
  }),
);

const scores = z.strictObject({
  select: score.prefault('clip_text').describe('Stops the loop and picks the best round; never sees the true image.'),
  primary: score.prefault('image_similarity').describe('The score that the claims are about; may not use the model of `select`.'),
  report: z.array(score).prefault(['ssim', 'psnr']).describe('Further scores in the tables.'),
  worker: worker('embeds for them'),
});

const stop = z.strictObject({
  target: z.number().nullable().default(null).describe('An arm ends when the selector reaches this; without it, never for that reason.'),
  patience: count().nullable().default(null).describe('An arm ends after so many rounds without a gain; without it, all rounds run.'),
  min_gain: z.number().min(0).default(0).describe('A gain must be larger than this to count.'),
});

const gate = z.strictObject({
  score: z.number().nullable().default(null).describe('An item whose round 0 scores this by the selector gets no feedback (do no harm).'),
});

const budget = z.strictObject({
  images: count().nullable().default(null).describe('Most images the run may generate; without it, no limit.'),
  seconds: z.number().min(1).nullable().default(null).describe('Most compute seconds, all devices together; without it, no limit.'),
  usd: z.number().min(0).nullable().default(null).describe('Most that providers may bill, in US dollars; without it, no limit.'),
});

/** What a recipe file may hold: names as a person writes them, every default, a doc line on every field. */
export const recipeSchema = z.strictObject({
  name: text()
    .max(MAX_NAME_LENGTH)
    .regex(RUN_ID_PATTERN)
    .describe('Name of the recipe; run ids begin with it. Letters, digits, `.`, `_`, `-`.'),
  dataset: dataset.describe('The items.'),
  store: text().default('file:./runs').describe('Where results go: `file:<folder>` (relative to the recipe file) or `s3://bucket/prefix`.'),
  seed: seed().default(0).describe('Seed of everything random: images, order, placebo.'),
  generator: generator.describe('What draws the images.'),
  rounds: z.int().min(1).max(20).default(2).describe('Rounds at most, after round 0.'),
  arms: z.array(arm).min(1).describe('The feedback strategies that are compared, each from the same round-0 image.'),
  scores: scores.prefault({}).describe('How images are judged.'),
  stop: stop.prefault({}).describe('When an arm ends before its last round; off by default.'),
  gate: gate.prefault({}).describe('Which items need no feedback; off by default.'),
  execution_provider: z
    .enum(EXECUTION_PROVIDERS)
    .default('cpu')
    .describe(
      "ONNX Runtime's execution provider for all models; part of every step's key, so `gpu` workers must be started with the same one.",
    ),
  batching: z
    .enum(['exact', 'fast'])
    .default('exact')
    .describe('`exact`: batches only where they are bit-equal to one at a time; `fast`: may differ by rounding.'),
  repeats: z
    .int()
    .min(1)
    .max(20)
    .default(1)
    .describe('How often each item is run, with seeds of its own; the report tells variance of items and of seeds apart.'),
  glossary: z
    .record(text(), z.string())
    .default({})
    .describe('Words that the generator misreads and what it is told instead, as in `{ pokemon: creature }`; whole words in every prompt.'),
  budget: budget.prefault({}).describe('When the run ends early with state `budget_reached`; no limits by default.'),
});

/** The part of a recipe that judges finished pictures. */
export const policySchema = z.strictObject({ stop, gate, scores: z.strictObject({ select: score }) });

/** A recipe as it passed the schema, in the names of the file. */
export type RecipeShape = z.output<typeof recipeSchema>;
export type ArmShape = RecipeShape['arms'][number];
/** Feedback by a model on the run's own devices. */
export type LocalFeedbackShape = Extract<NonNullable<ArmShape['feedback']>, { source: 'opt' | 'blip2' | 'vlm' }>;

export function isLocalFeedback(feedback: ArmShape['feedback']): feedback is LocalFeedbackShape {
  return feedback?.source === 'opt' || feedback?.source === 'blip2' || feedback?.source === 'vlm';
}

export type ScoreShape = RecipeShape['scores']['select'];
