import type { OutputFault } from './errors.js';

/**
 * The words of the product as types. Pure: shared by workflows, activities, engine and app alike.
 * Everything here is plain JSON, so that it can travel through Temporal and be stored as it is.
 */

/** `sha256:<64 hex>`: the name of an artifact's bytes. */
export type Digest = `sha256:${string}`;

/** Bytes in the store. `derivedFrom` lists the direct parents; the lineage of an artifact is their closure. */
export interface ArtifactRef {
  digest: Digest;
  mediaType: string;
  bytes: number;
  derivedFrom: Digest[];
}

/** A text that travels inline while it is small (at most {@link INLINE_TEXT_BYTES}) and by reference above. */
export interface TextValue {
  text?: string;
  ref?: ArtifactRef;
}

/** Texts above this many UTF-8 bytes travel through Temporal by reference. */
export const INLINE_TEXT_BYTES = 2048;

/** No payload through Temporal may be larger than this. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;

export type StepName = 'generate' | 'embed' | 'feedback' | 'score';
/** Steps of a training, which belong to no item. */
export type TrainingStepName = 'train' | 'export' | 'measure';

/** What a local model is known by: the digest of its folder. A remote model has none and its results are unpinned. */
export type ModelIdentity = Digest | { provider: string; model: string; revision: string | null };

/** What a step ran on; part of the step key, because another runtime may round otherwise. */
export interface StepRuntime {
  engine: string;
  version: string;
  provider: string;
  precision: string;
  batching: 'exact' | 'fast';
}

/** Everything that a step's result depends on, and nothing else: no item id, no run id, no path. */
export interface StepKeyInput {
  step: StepName | TrainingStepName;
  stepVersion: number;
  inputs: Digest[];
  params: Record<string, unknown>;
  model: ModelIdentity | null;
  runtime: StepRuntime | null;
  draw: number;
}

/** The stored result of a step under its key (`steps/<key>.json`). The first one written is authoritative. */
export interface StepRecord extends StepKeyInput {
  key: string;
  outputs: Record<string, ArtifactRef>;
  values: Record<string, unknown>;
  unpinned: boolean;
  seconds: number;
}

export interface Tokens {
  /** Tokens that reached the text encoder, start and end tokens included. */
  used: number;
  /** Tokens of the prompt that did not fit and were cut off. */
  cut: number;
  /** Tokens of the negative prompt that were cut off; absent where none were. */
  negativeCut?: number;
}

/** How one step of one item came about; summed into `status` and the budget. */
export interface StepMeta {
  key: string;
  /** True when the result came from a record and no model ran. */
  cached: boolean;
  /** Attempts that were spent on it, failed ones included; 0 when it came from a record. */
  attempts: number;
  seconds: number;
  /** What it ran on, where that is a device of its own. */
  device?: string;
}

export interface GenerateResult extends StepMeta {
  image: ArtifactRef;
  /** The integer given to torch's generator. */
  seed: number;
  tokens: Tokens;
}

export interface EmbedResult {
  /** Embedding (little-endian float32 vector) by encoder name. */
  embeddings: Record<string, ArtifactRef>;
  meta: StepMeta[];
}

/** A text that is an artifact, and travels inline as well while it is small. */
export type TextArtifact = TextValue & { ref: ArtifactRef };

export interface FeedbackResult extends StepMeta {
  feedback: TextArtifact;
  /** What the call was billed, in US dollars; 0 where nothing is. */
  usd: number;
}

export interface ScoreResult extends StepMeta {
  scores: Record<string, number>;
}

/** Where in a run a step stands; names it in the ledger and the Temporal UI. Not part of the step key. */
export interface StepAt {
  /** `null`: round 0, which belongs to all arms. */
  arm: string | null;
  round: number;
  draw: number;
  /** Which of a round's candidates, from 1; absent: the first or only one. */
  candidate?: number;
}

export type PromptRole = 'caption' | 'feedback';

/** One piece of a prompt. Encoded and counted where the tokenizer is: in `generate`. */
export interface PromptPart extends TextValue {
  role: PromptRole;
  weight: number;
}

/**
 * How the parts of a prompt reach the text encoder: `join` as one text, cut where it is too long; `chunk` as one text in
 * windows, none cut; `blend` each role by itself, the encodings mixed by weight.
 */
export type PromptForm = 'join' | 'chunk' | 'blend';

export interface RefinedPrompt {
  form: PromptForm;
  parts: PromptPart[];
}

/** The picture that a generation edits, instead of beginning with noise alone. */
export interface StartImage {
  image: ArtifactRef;
  /** Share of the denoising steps that are made: how far the new picture may go from this one. */
  strength: number;
}

export type ArmState = 'improved' | 'unchanged' | 'worse' | 'failed';
export type ItemState = 'improved' | 'unchanged' | 'uncurable' | 'failed' | 'skipped' | 'cancelled';
export type RunState =
  'starting' | 'running' | 'paused' | 'budget_reached' | 'completed' | 'completed_with_failures' | 'cancelled' | 'failed';

/** Why a step failed for good, as it stands in an item's record. */
export interface StepFailure {
  type: string;
  /** Of `ModelOutputInvalid`. */
  reason?: OutputFault;
  message: string;
  step: StepName | 'record' | 'load' | 'workflow';
  arm: string | null;
  round: number;
  attempt: number;
}

export interface RoundOutcome {
  round: number;
  draw: number;
  seed: number;
  prompt: RefinedPrompt;
  feedback: TextValue | null;
  image: ArtifactRef;
  tokens: Tokens;
  scores: Record<string, number>;
  /** Step keys by step name: the way back from a picture to everything it was made of. */
  steps: Record<string, string>;
  /** All pictures that the selector chose this one from, this one among them; absent where there was no choice. */
  candidates?: CandidateOutcome[];
}

/** A picture that a round could have ended with. */
export interface CandidateOutcome {
  feedback: TextValue;
  image: ArtifactRef;
  /** By the selector. */
  score: number;
}

/** Generator calls of a round: one a candidate. */
export const callsOf = ({ candidates }: Pick<RoundOutcome, 'candidates'>): number => candidates?.length ?? 1;

export type StopReason = 'rounds' | 'target' | 'patience' | 'gate' | 'feedback_ended' | 'failed';

export interface ArmOutcome {
  name: string;
  /** From 0; above it only where the recipe repeats its items. */
  repeat: number;
  oracle: boolean;
  state: ArmState;
  /** Round 0 first; it is the same picture in every arm. */
  rounds: RoundOutcome[];
  best: { round: number };
  stopped: { round: number; reason: StopReason };
  failure?: StepFailure;
}

export interface StepCounts {
  executed: number;
  cached: number;
  retried: number;
}

export interface Spent {
  images: number;
  seconds: number;
  usd: number;
}

/** What the loop on one item came to. Carries references, never long texts. */
export interface ItemOutcome {
  state: ItemState;
  arms: ArmOutcome[];
  steps: StepCounts;
  spent: Spent;
  failure?: StepFailure;
}

/** `runs/<run>/items/<key>.json`: the truth about one item. */
export interface ItemRecord extends ItemOutcome {
  id: string;
  key: string;
  position: number;
  reason?: string;
}

/** One line of `runs/<run>/index/items-*.jsonl`, in the seeded random order in which items are started. */
export interface IndexedItem {
  /** Line number over all shards: how workflows name the item. */
  offset: number;
  /** Place in the dataset: the order of the report. */
  position: number;
  id: string;
  key: string;
  caption: string;
  trueImage?: ArtifactRef;
  /** Written feedback by column, one entry a round. */
  feedback: Record<string, string[]>;
  /** Values of the recipe's strata columns. */
  strata: Record<string, string>;
  /** Offset of the item whose feedback a placebo arm shows to this one; absent where there is no other item. */
  placebo?: number;
  /** Names of the models in use that were trained on this item. */
  trainedOn: string[];
  source: { file: string; line: number };
}

/** A dataset row that cannot be used, and why. It is recorded as `skipped`; the rest goes on. */
export interface SkippedRow {
  position: number;
  id: string;
  key: string;
  caption: string;
  reason: string;
  source: { file: string; line: number };
}

/** How to find a run: all that a workflow or an activity needs beside its own input. */
export interface RunRef {
  runId: string;
  /** Store URI, `file:///...` or `s3://...`. */
  store: string;
}
