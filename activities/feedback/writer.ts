import type { PreparedStep, StepTools } from '../run-step.js';
import type { RunContext } from '../services.js';
import type { FeedbackInput } from '../types.js';

/** A feedback as its source gave it; what it took beside stands in the step's record. */
export interface WrittenText {
  text: string;
  /** What a model was told beside the caption; it is not what it may give back. */
  instructions?: string;
  /** Tokens that the source read and wrote together. */
  tokens?: { used: number };
  usd?: number;
}

/** One kind of source: what its feedback depends on, and how it is had. */
export interface FeedbackWriter {
  prepare(run: RunContext, input: FeedbackInput): Promise<PreparedStep>;
  write(run: RunContext, input: FeedbackInput, prepared: PreparedStep, tools: StepTools): Promise<WrittenText>;
}
