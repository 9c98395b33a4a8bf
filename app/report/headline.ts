import { feedbackVerdicts } from './feedback-facts.js';
import { formatDelta, formatInterval, formatP } from './format.js';
import { failuresText } from './results.js';
import type { ArmResult, ComparisonResult, ResultsDocument } from './results-document.js';

/** What may be claimed about an arm. Only `pays` is a claim that its feedback pays. */
export type Claim = 'pays' | 'may be chance' | 'beats control only' | 'no control or placebo' | 'does not pay' | 'too few items';

/** What the run says, for people: one sentence, and what must be known beside it. */
export interface Headline {
  sentence: string;
  notes: string[];
  claims: Record<string, Claim>;
}

/** Intervals of few items are too narrow: a claim needs p below this, too; Holm-corrected, where several models are several tries at one claim. */
export const ALPHA = 0.05;

const learnedArms = (doc: ResultsDocument): number => doc.arms.filter(({ learned }) => learned).length;

/** Below this many items an interval from resampling is too narrow to be taken at its word. */
const FEW_ITEMS = 10;

export const feedbackArms = (doc: ResultsDocument): ArmResult[] =>
  doc.arms.filter((a) => a.placeboOf === null && doc.recipe.arms.some((r) => r.name === a.name && r.feedback !== null));

/**
 * Feedback pays only where the 95% intervals of the arm's `fixed` primary score against the control and against its placebo both lie
 * above 0 and p of both is below 0.05, Holm-corrected where several learned arms were tried. An oracle's result is told as an upper reference, never as a rival's.
 */
export function headline(doc: ResultsDocument): Headline {
  const arms = feedbackArms(doc);
  const claims = Object.fromEntries(arms.map((arm) => [arm.name, claimOf(arm, doc)]));
  const paying = arms.filter((a) => claims[a.name] === 'pays').sort((a, b) => gainOf(b, doc) - gainOf(a, doc));
  return {
    sentence: sentenceOf(doc, arms, paying, claims),
    notes: [...notesOf(doc), ...feedbackVerdicts({ ...doc, arms: paying })],
    claims,
  };
}

function claimOf(arm: ArmResult, doc: ResultsDocument): Claim {
  const { vsControl, vsPlacebo } = arm.scores[doc.primary]!.fixed;
  if ((vsControl?.n ?? arm.n) < 2) return 'too few items';
  if (!vsControl || !vsPlacebo)
    return vsControl && isAbove(vsControl) ? 'beats control only' : vsControl ? 'does not pay' : 'no control or placebo';
  if (vsPlacebo.n < 2) return 'too few items';
  if (!isAbove(vsControl)) return 'does not pay';
  if (!isAbove(vsPlacebo)) return 'beats control only';
  return [vsControl, vsPlacebo].every(({ pAdjusted }) => pAdjusted! < ALPHA) ? 'pays' : 'may be chance';
}

const isAbove = ({ ci95 }: ComparisonResult): boolean => ci95 !== null && ci95[0] > 0;
const gainOf = (arm: ArmResult, doc: ResultsDocument): number => arm.scores[doc.primary]!.fixed.vsControl?.mean ?? 0;

function sentenceOf(doc: ResultsDocument, arms: ArmResult[], paying: ArmResult[], claims: Record<string, Claim>): string {
  const rivals = arms.filter((a) => !a.oracle);
  const rivalPays = paying.filter((a) => !a.oracle);
  const oraclePays = paying.filter((a) => a.oracle);
  if (doc.arms.every((a) => a.n === 0)) return 'No item has a result yet, so nothing can be said.';
  if (arms.length === 0) return 'No arm with feedback was run, so there is nothing to compare.';
  if (rivalPays.length > 0) {
    const others = rivalPays.slice(1).map((a) => a.name);
    return `${amount(rivalPays[0]!, doc)}${others.length > 0 ? ` So ${others.length > 1 ? 'do' : 'does'} ${others.join(', ')}.` : ''}`;
  }
  const nothing =
    rivals.length > 0
      ? `${oraclePays.length > 0 ? 'No feedback written without the true picture pays' : 'No feedback pays here'}: ${rivals.map((a) => `${a.name} ${shortfall(a, doc, claims[a.name]!)}`).join('; ')}.`
      : '';
  if (oraclePays.length > 0) {
    const end = rivals.length > 0 ? '' : ' No arm that had to do without the true picture was run.';
    return [nothing, amount(oraclePays[0]!, doc)].filter(Boolean).join(' ') + end;
  }
  if (nothing) return nothing;
  const unknown = arms.some((a) => claims[a.name] === 'beats control only' && !a.scores[doc.primary]!.fixed.vsPlacebo);
  const verdict = unknown ? 'Without a placebo nobody can say whether feedback pays' : 'No feedback pays here, not even an oracle’s';
  return `${verdict}: ${arms.map((a) => `${a.name} ${shortfall(a, doc, claims[a.name]!)}`).join('; ')}.`;
}

/** "Feedback from written (oracle...) pays: image_similarity +0.042 [..] over the control and +0.031 [..] over its placebo, n = 24." */
function amount(arm: ArmResult, doc: ResultsDocument): string {
  const { vsControl, vsPlacebo } = arm.scores[doc.primary]!.fixed;
  const oracle = arm.oracle ? ' (oracle: saw the true picture, an upper reference)' : '';
  const n = vsControl!.n === vsPlacebo!.n ? `n\u00a0=\u00a0${vsControl!.n}` : `n\u00a0=\u00a0${vsControl!.n} and ${vsPlacebo!.n}`;
  return `Feedback from ${arm.name}${oracle} pays: ${doc.primary} ${difference(vsControl!, doc)} over the control and ${difference(vsPlacebo!, doc)} over its placebo (95% intervals, ${n}).`;
}

function shortfall(arm: ArmResult, doc: ResultsDocument, claim: Claim): string {
  const { vsControl, vsPlacebo } = arm.scores[doc.primary]!.fixed;
  const oracle = arm.oracle ? '(oracle) ' : '';
  switch (claim) {
    case 'too few items':
      return `${oracle}has too few items to tell (n = ${arm.n})`;
    case 'no control or placebo':
      return `${oracle}was run without a control, so nothing can be claimed`;
    case 'beats control only':
      return vsPlacebo
        ? `${oracle}beats the control by ${difference(vsControl!, doc)} but not its placebo (${difference(vsPlacebo, doc)}; n = ${vsPlacebo.n})`
        : `${oracle}beats the control by ${difference(vsControl!, doc)} (n = ${vsControl!.n}), but no placebo was run, so it may be the words and not what they say`;
    case 'may be chance': {
      const p = Math.max(vsControl!.pAdjusted!, vsPlacebo?.pAdjusted ?? 0);
      const corrected = arm.learned && learnedArms(doc) > 1 ? ' after Holm’s correction for several models' : '';
      return `${oracle}beats the control by ${difference(vsControl!, doc)} and its placebo, but it may be chance: p is ${formatP(p)}${corrected}`;
    }
    case 'does not pay':
    case 'pays':
      return `${oracle}against the control ${difference(vsControl!, doc)} in ${doc.primary} (95% interval, n = ${vsControl!.n})`;
  }
}

const difference = (c: ComparisonResult, doc: ResultsDocument): string =>
  `${formatDelta(c.mean, doc.primary)} ${formatInterval(c.ci95, doc.primary)}`;

function notesOf(doc: ResultsDocument): string[] {
  const n = Math.max(0, ...doc.arms.map((a) => a.n));
  const pending = doc.items.filter((i) => i.state === 'pending').length;
  const failed = failuresText(doc.items);
  const negativeCut = Math.max(
    0,
    ...doc.items.flatMap(({ arms }) => arms.flatMap(({ rounds }) => rounds.map(({ tokens }) => tokens.negativeCut ?? 0))),
  );
  const learned = learnedArms(doc);
  const unmatched = doc.arms.filter((a) => a.unmatched > 0);
  return [
    ...(pending > 0 ? [`Preliminary: ${pending} of ${doc.items.length} items ${pending === 1 ? 'is' : 'are'} not finished.`] : []),
    ...(negativeCut > 0 ? [`The negative prompt is too long: up to ${negativeCut} of its tokens were cut off and had no effect.`] : []),
    ...(failed === null ? [] : [`${failed}.`]),
    ...(n > 0 && n < FEW_ITEMS ? [`Only ${n} ${n === 1 ? 'item' : 'items'}: an interval from so few is narrower than the truth.`] : []),
    ...(learned > 1
      ? [`${learned} models were tried: that one of them pays is said only where p stays below ${ALPHA} after Holm’s correction.`]
      : []),
    ...unmatched.map((a) => `${a.name}: on ${a.unmatched} items the control stopped earlier, and is compared with the draws it made.`),
    ...doc.recipe.arms
      .filter(({ candidates, feedback }) => candidates !== undefined && feedback?.source !== 'shuffled')
      .map(
        ({ name, candidates }) =>
          `${name}: the best of up to ${candidates} texts a round by ${doc.selector}; the control has the same choice from as many draws.`,
      ),
    ...(doc.recipe.batching === 'fast' ? ['Batching was fast: pictures may differ by rounding from those made one at a time.'] : []),
  ];
}
