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
): { n: number; share: number; verbatim: number; texts: number; ngrams: Array<{ n: number; share: number }> } {
  const whole = new Set(training.map((text) => wordsOf(text).join(' ')));
  const verbatim = texts.filter((text) => whole.has(wordsOf(text).join(' '))).length;
  const shares = Array.from({ length: n }, (_, i) => ({ n: i + 1, share: copiedShare(texts, training, i + 1) }));
  return { n, share: shares.at(-1)!.share, verbatim, texts: texts.length, ngrams: shares };
}

function copiedShare(texts: readonly string[], training: readonly string[], n: number): number {
  const known = new Set(training.flatMap((text) => ngrams(wordsOf(text), n)));
  const grams = texts.flatMap((text) => ngrams(wordsOf(text), n));
  return grams.length === 0 ? 0 : grams.filter((gram) => known.has(gram)).length / grams.length;
}

/**
 * How much some texts differ from one another: how many there are, how many different ones, and the different words and pairs of words as a share of all
 * (distinct-1 and distinct-2; Li et al. 2016, arXiv 1510.03055, section 5.2). One that says the same of every picture is near 0.
 */
export function distinctNgrams(texts: readonly string[]): { texts: number; distinct: number; distinct1: number; distinct2: number } {
  const share = (n: number) => {
    const grams = texts.flatMap((text) => ngrams(wordsOf(text), n));
    return grams.length === 0 ? 0 : new Set(grams).size / grams.length;
  };
  return { texts: texts.length, distinct: new Set(texts).size, distinct1: share(1), distinct2: share(2) };
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
}

function ngrams(words: string[], n: number): string[] {
  return Array.from({ length: Math.max(0, words.length - n + 1) }, (_, i) => words.slice(i, i + n).join(' '));
}
