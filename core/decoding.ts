/** How a language model's tokens are chosen, as transformers' GenerationConfig has it. */
export interface Decoding {
  /** Samples each token instead of taking the likeliest. */
  doSample: boolean;
  /** Logits are divided by it before a token is sampled. */
  temperature: number;
  /** Only so many likeliest tokens are sampled; `null`: all. */
  topK: number | null;
  /** Only the likeliest tokens that together have this probability are sampled. */
  topP: number;
  /** Texts that are followed side by side; 1: one. */
  numBeams: number;
  /** A beam's score is its log-probability divided by its length to this power. */
  lengthPenalty: number;
  /** Above 1: tokens that were read or written already become less likely (Keskar et al., arXiv 1909.05858). */
  repetitionPenalty: number;
  /** No so many tokens are written in the same order twice; 0: no rule. */
  noRepeatNgramSize: number;
  /** The text ends before the first of these. */
  stopStrings: string[];
}

export const DEFAULT_DECODING: Decoding = {
  doSample: false,
  temperature: 1,
  topK: null,
  topP: 1,
  numBeams: 1,
  lengthPenalty: 1,
  repetitionPenalty: 1,
  noRepeatNgramSize: 0,
  stopStrings: [],
};
