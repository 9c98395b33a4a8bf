import type { Decoding } from './decoding.js';
import type { Digest, ModelIdentity, StepRuntime } from './types.js';

/** A recipe after reading: every default filled in, names in camelCase, paths as the person wrote them. */
export interface Recipe {
  name: string;
  dataset: DatasetRecipe;
  seed: number;
  generator: GeneratorRecipe;
  rounds: number;
  arms: ArmRecipe[];
  scores: ScoresRecipe;
  stop: StopRecipe;
  gate: { score: number | null };
  batching: 'exact' | 'fast';
  executionProvider: ExecutionProvider;
  budget: BudgetRecipe;
  /** How often each item is run, every time with seeds of its own. */
  repeats: number;
  /** Words that the generator misreads and what it is told instead; whole words, whatever their case, in every prompt. */
  glossary: Record<string, string>;
}

export interface DatasetRecipe {
  uri: string;
  split: string | null;
  sample: { n: number; seed: number } | null;
  limit: number | null;
  columns: { id: string; caption: string; image: string; feedback: string };
  /** Columns (`a.b` reaches into an object) by whose values the report splits its tables. */
  strata: string[];
}

export interface GeneratorRecipe {
  /** Folder in diffusers' ONNX layout. */
  model: string;
  /** `null`: the model's own scheduler_config.json. */
  scheduler: SchedulerName | null;
  numInferenceSteps: number;
  guidanceScale: number;
  negativePrompt: string;
  /** Pixels; `null`: the model's own size. */
  height: number | null;
  width: number | null;
  /** Absent: brackets in prompts are brackets, not word weights. */
  promptWeights?: true;
  /** Absent: the VAE sees every picture as a whole. */
  vaeTiling?: true;
  /** Who generates: `onnx` is the folder, on the run's own devices. */
  provider: string;
}

export const SCHEDULERS = ['ddim', 'pndm', 'euler', 'euler_a', 'dpmsolver++', 'dpmsolver++_karras', 'unipc', 'lcm'] as const;
export type SchedulerName = (typeof SCHEDULERS)[number];

/** ONNX Runtime's execution providers that a device's host can be started with. */
export const EXECUTION_PROVIDERS = ['cpu', 'cuda', 'tensorrt'] as const;
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

export const REFINERS = ['append', 'prepend', 'replace', 'blend', 'chunk'] as const;
export type RefinerName = (typeof REFINERS)[number];

export type FeedbackRecipe =
  | { source: 'dataset'; column: string | null }
  | ShuffledFeedbackRecipe
  | OptFeedbackRecipe
  | Blip2FeedbackRecipe
  | VlmFeedbackRecipe
  | ChatFeedbackRecipe;

/** What belongs to another item, by the seeded derangement: the arm `from` with the other item's feedback, which is its placebo, or with its picture. */
export interface ShuffledFeedbackRecipe {
  source: 'shuffled';
  from: string;
  /** The critic of `from` writes on this item's caption and another item's picture. Absent: the other item's feedback is taken. */
  swap?: 'picture';
}

/** How a model of a run's own device writes. */
export interface LocalWriting {
  maxNewTokens: number;
  /** What differs from the default; absent where nothing does. */
  decoding?: Partial<Decoding>;
}

/** A causal language model that reads the picture as integer tokens (the paper's OPT arm), or as vectors that a trained projection makes. */
export interface OptFeedbackRecipe extends LocalWriting {
  source: 'opt';
  /** Folder as optimum writes it, with `prompt.json` beside the weights. */
  model: string;
  /** ViT-MAE folder whose features it reads. */
  imageEncoder: string;
  /** True: the caption in the prompt is followed by the feedback of earlier rounds. */
  memory: boolean;
}

/** A BLIP-2 (the paper's benchmark arm). */
export interface Blip2FeedbackRecipe extends LocalWriting {
  source: 'blip2';
  /** Folder as models/export/export_blip2.py writes it. */
  model: string;
  /** With `{caption}` where the caption goes. */
  prompt: string;
  /** True: the caption in the prompt is followed by the feedback of earlier rounds. */
  memory: boolean;
}

/** A vision-language model on a run's own device. */
export interface VlmFeedbackRecipe extends LocalWriting {
  source: 'vlm';
  /** Folder as transformers.js loads it. */
  model: string;
  /** Replaces the built-in instructions. */
  instructions: string | null;
  /** True: the critic is shown the feedback of earlier rounds. */
  memory: boolean;
}

/** A vision model behind an OpenAI-compatible endpoint. `rewrite` asks it for a whole new prompt instead of for feedback. */
export interface ChatFeedbackRecipe {
  source: 'chat' | 'rewrite';
  baseUrl: string;
  model: string;
  /** Whatever tells two versions of a remote model apart; part of the step key. */
  revision: string | null;
  /** Environment variable that holds the key. */
  apiKeyEnv: string;
  /** True: the critic is shown the feedback of earlier rounds. */
  memory: boolean;
  /** Replaces the built-in instructions. */
  instructions: string | null;
  maxTokens: number;
  temperature: number;
  timeoutSeconds: number;
  /** US dollars a million tokens; `null`: not known, nothing is counted. */
  price: { input: number; output: number } | null;
}

export interface ArmRecipe {
  name: string;
  /** True: the feedback was written by someone who saw the true image. */
  oracle: boolean;
  /** `null`: the control arm. */
  feedback: FeedbackRecipe | null;
  refine: RefinerName;
  /** Share of the feedback in the mix of `blend`, 0 to 1. */
  feedbackWeight: number;
  /** `keep`: round 0's seed in every round; `new`: a fresh draw each round. */
  seeds: 'keep' | 'new';
  /** Pictures are edits of the previous round's, by this share of the denoising steps; absent: each begins with noise alone. */
  strength?: number;
  /** Texts that are drawn each round, a picture made with each; the selector keeps one. Absent: 1. */
  candidates?: number;
}

export interface ScoreRecipe {
  metric: string;
  /** Model folder; `null` for metrics that need none. */
  model: string | null;
}

export interface ScoresRecipe {
  select: ScoreRecipe;
  primary: ScoreRecipe;
  report: ScoreRecipe[];
}

export interface StopRecipe {
  target: number | null;
  patience: number | null;
  minGain: number;
}

export interface BudgetRecipe {
  images: number | null;
  seconds: number | null;
  usd: number | null;
}

/** `fixed`: last round, no selection. `best`: the selector's best round. `stopped`: what the stop policy returned. */
export const ESTIMANDS = ['fixed', 'best', 'stopped'] as const;
export type Estimand = (typeof ESTIMANDS)[number];

/** `runs/<run>/plan.json`: what a run is to show, fixed before round 0, so that the report can say where it differs. */
export interface AnalysisPlan {
  recipeDigest: Digest;
  primary: string;
  estimand: Estimand;
  /** Items that the run takes. */
  n: number;
  /** Smallest mean gain that n items show with 80% power at 5%, in standard deviations of the paired differences. */
  detectableGain: number | null;
}

/** A model that a run uses, as found on disk when the run was started. */
export interface ModelEntry {
  /** Absolute folder on the machine that started the run; workers may map it. */
  path: string;
  digest: Digest;
  /** Artifact digests of the dataset items it was trained on, as its pack says. */
  trainedOn: Digest[];
  /** The feedback that it was trained on, where its pack tells: an artifact, a JSON list of texts. */
  trainingFeedback?: Digest;
  /** What its training measured, where its pack tells. */
  measured?: MeasuredLosses;
  /** Of a critic that reads each of its image encoder's features; absent: it reads their mean. */
  imageFeatures?: 'all';
}

/** Losses a token at the end of a training. */
export const MEASURED_LOSSES = [
  'trainLoss',
  'validationLoss',
  'validationLossWithAnotherItemsPicture',
  'validationLossWithoutPicture',
] as const;
export type MeasuredLosses = Partial<Record<(typeof MEASURED_LOSSES)[number], number>>;

/** `runs/<run>/manifest.json`: what the run is, fixed before its first step. */
export interface RunManifest {
  formatVersion: 1;
  runId: string;
  recipe: Recipe;
  /** SHA-256 of the canonical recipe with the models' digests: another one under the same run id is refused. */
  recipeDigest: Digest;
  /** Absolute dataset URI. */
  datasetUri: string;
  /** By the path as it stands in the recipe. */
  models: Record<string, ModelEntry>;
  runtime: StepRuntime;
  software: { name: string; version: string };
  createdAt: string;
}

/** The items that each model of a run was trained on, by their true images. */
export function trainedOnByModel({ models }: Pick<RunManifest, 'models'>): Record<string, Set<Digest>> {
  return Object.fromEntries(Object.entries(models).map(([name, { trainedOn }]) => [name, new Set(trainedOn)]));
}

/** Model folders that a feedback source reads, by the recipe's field; empty where it runs none. */
export function feedbackModels(feedback: FeedbackRecipe | null): Record<string, string> {
  switch (feedback?.source) {
    case 'opt':
      return { model: feedback.model, imageEncoder: feedback.imageEncoder };
    case 'blip2':
    case 'vlm':
      return { model: feedback.model };
    default:
      return {};
  }
}

export function modelIdentity(manifest: RunManifest, model: string): ModelIdentity {
  const entry = manifest.models[model];
  if (!entry) throw new Error(`model ${model} is not in the run's manifest`);
  return entry.digest;
}

/** Dataset columns that the arms take written feedback from. */
export function feedbackColumns({ arms, dataset }: Recipe): string[] {
  const columns = arms.flatMap(({ feedback }) => (feedback?.source === 'dataset' ? [feedback.column ?? dataset.columns.feedback] : []));
  return [...new Set(columns)];
}
