import type { RefinerName } from '../recipe.js';
import type { PromptPart, RefinedPrompt, TextValue } from '../types.js';

/**
 * Builds the next prompt from the caption and all feedback so far (oldest first).
 * Pure: it orders references; texts are put together, counted and encoded in `generate`.
 * @param feedbackWeight share of the feedback in `blend`, 0 to 1
 */
export type Refiner = (caption: TextValue, feedback: TextValue[], feedbackWeight?: number) => RefinedPrompt;

export const refiners: Record<RefinerName, Refiner> = {
  /** Caption, then feedback in the order in which it was given (the paper's form). */
  append: (caption, feedback) => ({ form: 'join', parts: captionFirst(caption, feedback) }),
  /** Newest feedback first, the caption last: what stands first weighs most in CLIP's encoder and is cut last. */
  prepend: (caption, feedback) => ({
    form: 'join',
    parts: [...feedback.map((f) => part('feedback', f)).reverse(), part('caption', caption)],
  }),
  /** The newest feedback alone; without feedback the caption. */
  replace: (caption, feedback) => {
    const newest = feedback.at(-1);
    return { form: 'join', parts: [newest ? part('feedback', newest) : part('caption', caption)] };
  },
  /** Caption and feedback encoded each by itself and mixed by weight, so that neither stands behind the other. */
  blend: (caption, feedback, feedbackWeight = 0.5) =>
    feedback.length === 0
      ? { form: 'join', parts: [part('caption', caption)] }
      : {
          form: 'blend',
          parts: [part('caption', caption, 1 - feedbackWeight), ...feedback.map((f) => part('feedback', f, feedbackWeight))],
        },
  /** As `append`, but encoded in as many windows as it takes: nothing is cut off. */
  chunk: (caption, feedback) => ({ form: 'chunk', parts: captionFirst(caption, feedback) }),
};

/** What the text encoder is given: one text, one text in windows, or several texts whose encodings are mixed by weight. */
export type PromptText = string | { chunk: string } | { blend: Array<{ text: string; weight: number }> };

/**
 * A prompt with its texts read, ready for the generator.
 * @param texts of the prompt's parts, in their order; @param glossary see {@link applyGlossary}
 */
export function promptText({ form, parts }: RefinedPrompt, texts: string[], glossary: Record<string, string> = {}): PromptText {
  const read = (kept: (part: PromptPart) => boolean) => applyGlossary(joinPrompt(texts.filter((_, i) => kept(parts[i]!))), glossary);
  switch (form) {
    case 'join':
      return read(() => true);
    case 'chunk':
      return { chunk: read(() => true) };
    case 'blend': {
      const roles = [...new Set(parts.map((p) => p.role))];
      return { blend: roles.map((role) => ({ text: read((p) => p.role === role), weight: parts.find((p) => p.role === role)!.weight })) };
    }
  }
}

/** A prompt as a person reads it; the texts of a blend stand side by side with their weights. */
export function shownPrompt(prompt: PromptText): string {
  if (typeof prompt === 'string') return prompt;
  if ('chunk' in prompt) return prompt.chunk;
  return prompt.blend.map(({ text, weight }) => `${text} (weight ${Number(weight.toFixed(3))})`).join(' + ');
}

/** Joins the texts of a prompt's parts as sentences: each part but the last ends with a full stop, one space between. */
export function joinPrompt(texts: string[]): string {
  const kept = texts.map((t) => t.trim()).filter((t) => t !== '');
  return kept.map((t, i) => (i < kept.length - 1 && !/[.!?]$/.test(t) ? `${t}.` : t)).join(' ');
}

/** Replaces whole words, whatever their case; the longest entry first, and nothing that was put in is looked at again. */
export function applyGlossary(text: string, glossary: Record<string, string>): string {
  const words = Object.keys(glossary).sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  if (words.length === 0) return text;
  const meant = new Map(words.map((word) => [word.toLowerCase(), glossary[word]!]));
  const pattern = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|');
  return text.replace(
    new RegExp(`(?<![\\p{L}\\p{N}_])(?:${pattern})(?![\\p{L}\\p{N}_])`, 'giu'),
    (word) => meant.get(word.toLowerCase()) ?? word,
  );
}

function captionFirst(caption: TextValue, feedback: TextValue[]): PromptPart[] {
  return [part('caption', caption), ...feedback.map((f) => part('feedback', f))];
}

function part(role: PromptPart['role'], value: TextValue, weight = 1): PromptPart {
  return { role, weight, ...value };
}
