import type { RefinerName } from '../recipe.js';
import type { PromptPart, TextValue } from '../types.js';

/**
 * Builds the next prompt from the caption and all feedback so far (oldest first).
 * Pure: it orders references; texts are put together, counted and encoded in `generate`.
 */
export const refiners: Record<RefinerName, (caption: TextValue, feedback: TextValue[]) => PromptPart[]> = {
  /** Caption, then feedback in the order in which it was given (the paper's form). */
  append: (caption, feedback) => [part('caption', caption), ...feedback.map((f) => part('feedback', f))],
  /** Newest feedback first, the caption last: what stands first weighs most in CLIP's encoder and is cut last. */
  prepend: (caption, feedback) => [...feedback.map((f) => part('feedback', f)).reverse(), part('caption', caption)],
  /** The newest feedback alone; without feedback the caption. */
  replace: (caption, feedback) => {
    const newest = feedback.at(-1);
    return [newest ? part('feedback', newest) : part('caption', caption)];
  },
};

/** Joins the texts of a prompt's parts as sentences: each part but the last ends with a full stop, one space between. */
export function joinPrompt(texts: string[]): string {
  const kept = texts.map((t) => t.trim()).filter((t) => t !== '');
  return kept.map((t, i) => (i < kept.length - 1 && !/[.!?]$/.test(t) ? `${t}.` : t)).join(' ');
}

function part(role: PromptPart['role'], value: TextValue): PromptPart {
  return { role, weight: 1, ...value };
}
