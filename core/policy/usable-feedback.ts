import { ModelOutputInvalid, type OutputFault } from '../errors.js';

/** What a model's words are held against. */
export interface AskedFor {
  caption: string;
  /** What the model was told beside the caption; a source that has no words of its own leaves it out. */
  instructions?: string;
  /** A new prompt is asked for, which may keep the caption as it is. */
  rewrites?: boolean;
  /** What the answer was billed, in US dollars. */
  usd?: number;
}

/** Words, and signs of scripts that part none. */
const WORDS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}]+/gu;
/** A piece of a word eight times in a row or more. */
const STUTTER = /(.{1,16}?)\1{7,}/gu;
/** Shorter stutters are a drawn-out word, or a number with many zeros. */
const LEAST_STUTTER = 16;
/** A run of so many words may also stand in the instructions by chance. */
const FEW_WORDS = 5;

/**
 * Throws ModelOutputInvalid where a model's words are of no use as feedback: none, the same words over and over, or the caption or the
 * instructions given back. The one check of what any model writes.
 */
export function checkFeedback(text: string, { caption, instructions = '', rewrites = false, usd }: AskedFor): void {
  const [words, told] = [wordsOf(text), wordsOf(instructions)];
  const rest = without(words, wordsOf(caption));
  const again = repeated(words);
  const fail = (reason: OutputFault, problem: string): never => {
    throw new ModelOutputInvalid(reason, `the feedback model wrote ${problem}: ${shown(text)}`, { usd });
  };
  if (words.length === 0) fail('empty', 'nothing');
  if (again !== null) fail('repeating', `the same over and over (${again})`);
  if (!rewrites && rest.length === 0) fail('caption_echo', 'the caption again');
  if (echoes(words, told) || (!rewrites && repeatsPrompt(rest, words.length - rest.length, told)))
    fail('instructions_echo', 'its instructions again');
}

const wordsOf = (text: string): string[] => text.toLowerCase().match(WORDS) ?? [];
const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);

/**
 * What stands there again and again without a break: an n-gram of up to three words four times, of up to 16 three times, a longer one twice; or a piece of a
 * word.
 */
function repeated(words: string[]): string | null {
  for (const word of words) {
    for (const [all, piece] of word.matchAll(STUTTER)) if (all.length >= LEAST_STUTTER) return piece!;
  }
  for (let size = 1; size <= words.length / 2; size++) {
    const times = size <= 3 ? 4 : size <= 16 ? 3 : 2;
    let same = 0;
    for (let i = size; i < words.length; i++) {
      same = words[i] === words[i - size] ? same + 1 : 0;
      if (same === size * (times - 1)) return words.slice(i - size + 1, i + 1).join(' ');
    }
  }
  return null;
}

/** The words that are left where each run of them that is `run` is taken out. */
function without(words: string[], run: string[]): string[] {
  const left: string[] = [];
  for (let i = 0; i < words.length;) {
    const isRun = run.length > 0 && run.every((word, k) => words[i + k] === word);
    if (!isRun) left.push(words[i]!);
    i += isRun ? run.length : 1;
  }
  return left;
}

const holds = (outer: string[], inner: string[]): boolean => ` ${outer.join(' ')} `.includes(` ${inner.join(' ')} `);

/** Whether the words are a part of the instructions, or hold them. */
function echoes(words: string[], instructions: string[]): boolean {
  const [inner, outer] = words.length <= instructions.length ? [words, instructions] : [instructions, words];
  return inner.length > FEW_WORDS && holds(outer, inner);
}

/**
 * Whether words in which the caption stood are a part of the prompt, in which it stands too: `rest` is what is left of them, `taken` so many were the caption's. Few
 * of the instructions' words are enough where the caption was the larger part.
 */
function repeatsPrompt(rest: string[], taken: number, instructions: string[]): boolean {
  return taken > 0 && (echoes(rest, instructions) || (rest.length < taken && holds(instructions, rest)));
}
