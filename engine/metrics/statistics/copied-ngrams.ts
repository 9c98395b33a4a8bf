/** Words in a row that count as copied. */
export const COPIED_WORDS = 4;

/**
 * How much of some texts stands in others: the share of their word n-grams that occur there, and the texts that stand there word
 * for word. Case and punctuation do not count. Texts shorter than n words have no n-grams and can only be verbatim.
 */
export function copiedNgrams(
  texts: readonly string[],
  training: readonly string[],
  n = COPIED_WORDS,
): { n: number; share: number; verbatim: number; texts: number } {
  const known = new Set(training.flatMap((text) => ngrams(wordsOf(text), n)));
  const whole = new Set(training.map((text) => wordsOf(text).join(' ')));
  const grams = texts.flatMap((text) => ngrams(wordsOf(text), n));
  const copied = grams.filter((gram) => known.has(gram)).length;
  const verbatim = texts.filter((text) => whole.has(wordsOf(text).join(' '))).length;
  return { n, share: grams.length === 0 ? 0 : copied / grams.length, verbatim, texts: texts.length };
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
}

function ngrams(words: string[], n: number): string[] {
  return Array.from({ length: Math.max(0, words.length - n + 1) }, (_, i) => words.slice(i, i + n).join(' '));
}
