import { feedbackTable } from '../feedback-facts.js';
import { exclusion } from '../results.js';
import type { ResultsDocument } from '../results-document.js';

/**
 * One row per item, arm and round (RFC 4180, CRLF); items without a round have one row with empty cells. Texts stand as they are: a
 * caption that begins with `=` is a formula to a spreadsheet that is told to guess.
 */
export function resultsCsv(doc: ResultsDocument): string {
  const header = [
    'item', 'caption', 'item_state', 'trained_on', 'true_image', 'excluded', 'arm', 'oracle', 'arm_state', 'round', 'is_best', 'is_stopped',
    'feedback', 'prompt', 'image', 'seed', 'tokens_used', 'tokens_cut', ...doc.metrics,
  ]; // prettier-ignore
  const rows = doc.items.flatMap((item) => {
    const own = [item.id, item.caption, item.state, item.trainedOn.join(' '), item.trueImage, exclusion(item)];
    const rounds = item.arms.flatMap((arm) =>
      arm.rounds.map((round) => [
        ...own,
        arm.name,
        arm.oracle,
        arm.state,
        round.round,
        arm.best.round === round.round,
        arm.stopped.round === round.round,
        round.feedback,
        round.prompt,
        round.image,
        round.seed,
        round.tokens.used,
        round.tokens.cut,
        ...doc.metrics.map((metric) => round.scores[metric]),
      ]),
    );
    return rounds.length > 0 ? rounds : [[...own, ...Array<null>(header.length - own.length).fill(null)]];
  });
  return [header, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** One row per arm with feedback: what it repeats of its model's training, how it varies, and what the training measured. Shares are from 0 to 1. */
export function feedbackCsv(doc: ResultsDocument): string {
  const { arms, facts } = feedbackTable(doc);
  const header = ['arm', 'oracle', 'placebo_of', 'swap', 'over_other_picture', ...facts.map(({ name }) => name)];
  const rows = arms.map((arm) => {
    const over = arm.scores[doc.primary]!.fixed.vsOtherPicture?.mean;
    return [arm.name, arm.oracle, arm.placeboOf, arm.swap, over, ...facts.map(({ value }) => value(arm))];
  });
  return [header, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

function cell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return '';
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}
