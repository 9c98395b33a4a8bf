import type { CellOutcome, TrainedCell, TrainingRef, TrainingResult, TrainingStateRecord } from '../core/training.js';
import type { BudgetRecipe } from '../core/recipe.js';
import type { FailureCode, OutputFault } from '../core/errors.js';
import type { ItemPlan } from '../core/item-plan.js';
import type { DeviceRole } from '../core/queues.js';
import type { Critique, EmbedRequest, ItemInput, ScoreSubject } from '../core/refine-loop.js';
import type {
  ArtifactRef,
  EmbedResult,
  FeedbackResult,
  GenerateResult,
  ItemOutcome,
  ItemState,
  RefinedPrompt,
  RunRef,
  RunState,
  ScoreResult,
  StartImage,
  Spent,
  StepAt,
  StepCounts,
  StepFailure,
} from '../core/types.js';

/** Which items a run works on. `missing`: all without a record; a first run is that, too. */
export type Selection = { kind: 'missing' } | { kind: 'failed' } | { kind: 'items'; keys: string[] };

export interface IndexDatasetInput {
  run: RunRef;
}
export interface IndexDatasetResult {
  /** All rows, skipped ones included. */
  total: number;
  items: number;
  skipped: number;
  worstCaseImages: number;
  budget: BudgetRecipe;
}

export interface RestoreSkippedInput {
  run: RunRef;
  keys: string[];
}
export interface RestoreSkippedResult {
  index: IndexDatasetResult;
  /** The keys to go on with; a row whose id was mended has a new one. */
  keys: string[];
}

export interface ReadIndexPageInput {
  run: RunRef;
  selection: Selection;
  /** Offsets [from, to). */
  from: number;
  to: number;
  limit: number;
}
export interface IndexPageEntry {
  offset: number;
  id: string;
  key: string;
  /** The caption's beginning, for the Temporal UI. */
  summary: string;
}
export interface ReadIndexPageResult {
  entries: IndexPageEntry[];
  /** Where to read on; `null` at the end. */
  next: number | null;
}

/** Names an item for its activities. */
export interface ItemRef {
  run: RunRef;
  offset: number;
  id: string;
  key: string;
}

export interface RecallItemInput {
  item: ItemRef;
}
export interface RecallItemResult {
  plan: ItemPlan;
  input: ItemInput;
  /** The item that placebos of model arms borrow from; `null` where there is none. */
  partner: ItemRef | null;
  /** Results of steps that are recorded, by `stepName` (core/step-name.ts). */
  recalled: Record<string, RecalledStep>;
}
export type RecalledStep = GenerateResult | EmbedResult | FeedbackResult | ScoreResult;

/** What the inputs of all steps have in common. */
export interface StepInput {
  item: ItemRef;
  at: StepAt;
  /** Attempts that were made before the step was sent to another queue: its attempts count on from there. */
  earlier?: number;
  /** Of those, the ones that failed. */
  failed?: FailureCounts;
}

/** How often a step has failed, by type: each type has its own limit (core/errors.ts), and one does not use up another's. */
export type FailureCounts = Partial<Record<FailureCode, number>>;

/** Result of a step that a device gave back at once, because it is not for such: it belongs on the queue of this role and execution provider. */
export interface NotHere {
  notHere: DeviceRole;
  provider: string;
  /** Attempts before this one, which was none. */
  attempts: number;
  failed: FailureCounts;
}

/**
 * Details of a step's failure: its attempt, the worker that goes on with it best (`null`: any), how often it has failed, this time included, and why a
 * model's output was of no use (`null`: it is not about that; absent in histories of earlier versions).
 */
export type StepFailureDetails = [attempt: number, goesOnAt: string | null, failed: FailureCounts, reason?: OutputFault | null];

export interface GenerateInput extends StepInput {
  prompt: RefinedPrompt;
  /** The picture that is edited; absent: the new one begins with noise alone. */
  start?: StartImage;
}
export interface EmbedInput extends StepInput {
  wanted: EmbedRequest[];
}
export interface EmbedAllResult {
  /** In the order of what was wanted. */
  results: EmbedResult[];
}
export interface FeedbackInput extends StepInput {
  arm: string;
  critique: Critique;
}
export interface ScoreInput extends StepInput {
  subject: ScoreSubject;
}

export interface RecordItemInput {
  item: ItemRef;
  /** What the item came to, or, where that is too large to travel, how to read it from the records of its steps. */
  outcome: ItemOutcome | DerivedOutcome;
  reason?: string;
}

/** All that the records of an item's steps do not hold. */
export interface DerivedOutcome {
  derived: true;
  /** Steps that failed for good, by `stepName`. */
  failures: Record<string, FailedStep>;
  steps: StepCounts;
  spent: Spent;
}

export interface FailedStep {
  failure: StepFailure;
  /** Another draw was taken instead. */
  redraw: boolean;
}

export interface ReconcileItemsInput {
  run: RunRef;
  items: Array<{ offset: number; id: string; key: string }>;
}
export interface ReconcileItemsResult {
  /** Items that are over, in whatever way; the rest are still running. */
  over: ItemDone[];
}

/** What an item tells its partition when its record is written. */
export interface ItemDone {
  key: string;
  state: ItemState;
  spent: Spent;
  steps: StepCounts;
  /** True: its workflow was ended from outside, and what it spent is not known. */
  ended?: boolean;
}

export interface SetRunStateInput {
  run: RunRef;
  state: RunState;
}
export interface FinishRunInput {
  run: RunRef;
  ended: 'completed' | 'budget_reached' | 'cancelled';
}
export interface FinishRunResult {
  state: RunState;
  items: Partial<Record<ItemState | 'pending', number>>;
}

export interface FineTuneInput {
  training: TrainingRef;
  cell: number;
}
export interface ExportModelInput {
  training: TrainingRef;
  chosen: TrainedCell;
}
export interface ExportModelResult {
  key: string;
  largestDifference: number;
  /** A folder in the store. */
  model: ArtifactRef;
}
export interface MeasureModelInput {
  training: TrainingRef;
  chosen: TrainedCell;
  model: ArtifactRef;
}
export interface MeasureModelResult {
  key: string;
  measured: ArtifactRef;
}
export interface RecordPackInput {
  training: TrainingRef;
  cells: CellOutcome[];
  chosen: TrainedCell;
  exported: ExportModelResult;
  measured: MeasureModelResult;
}
export interface SetTrainingStateInput {
  training: TrainingRef;
  state: TrainingStateRecord['state'];
  failure?: TrainingStateRecord['failure'];
}

/** On the workflow's own queue: cheap, no model. */
export interface OrchestratorActivities {
  indexDataset(input: IndexDatasetInput): Promise<IndexDatasetResult>;
  restoreSkipped(input: RestoreSkippedInput): Promise<RestoreSkippedResult>;
  readIndexPage(input: ReadIndexPageInput): Promise<ReadIndexPageResult>;
  recallItem(input: RecallItemInput): Promise<RecallItemResult>;
  recordItem(input: RecordItemInput): Promise<ItemDone>;
  reconcileItems(input: ReconcileItemsInput): Promise<ReconcileItemsResult>;
  setRunState(input: SetRunStateInput): Promise<void>;
  finishRun(input: FinishRunInput): Promise<FinishRunResult>;
  setTrainingState(input: SetTrainingStateInput): Promise<void>;
}

/** The steps of the loop; which queue each runs on is the workflow's business. */
export interface StepActivities {
  generateImage(input: GenerateInput): Promise<GenerateResult | NotHere>;
  embed(input: EmbedInput): Promise<EmbedAllResult | NotHere>;
  writeFeedback(input: FeedbackInput): Promise<FeedbackResult | NotHere>;
  scoreImage(input: ScoreInput): Promise<ScoreResult>;
}

/** On the queue `train`: the training program, and what is made of its result. */
export interface TrainingActivities {
  fineTune(input: FineTuneInput): Promise<TrainedCell>;
  exportModel(input: ExportModelInput): Promise<ExportModelResult>;
  measureModel(input: MeasureModelInput): Promise<MeasureModelResult>;
  recordPack(input: RecordPackInput): Promise<TrainingResult>;
}
