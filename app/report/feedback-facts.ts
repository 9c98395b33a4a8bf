import { formatDelta, formatInterval } from './format.js';
import type { ArmResult, ResultsDocument } from './results-document.js';

/** A fact about an arm's feedback: whether it repeats what its model was taught, and whether the model looks. */
export interface FeedbackFact {
  /** Column of `feedback.csv`. */
  name: string;
  title: string;
  about: string;
  /** `null` where it is not known. */
  value(arm: ArmResult): number | null | undefined;
  shown(value: number): string;
}

const whole = (value: number) => String(value);
const percent = (value: number) => `${(100 * value).toFixed(0)}%`;
const share = (value: number) => value.toFixed(3);
const copiedOf = (n: number) => (arm: ArmResult) => arm.copied?.ngrams.find((one) => one.n === n)?.share;

/** In the order of the tables; one that no arm has is left out. */
export const FEEDBACK_FACTS: readonly FeedbackFact[] = [
  { name: 'texts', title: 'texts', about: 'feedback of all rounds', value: ({ feedback }) => feedback?.texts, shown: whole },
  {
    name: 'distinct_texts',
    title: 'different',
    about: 'texts, each counted once',
    value: ({ feedback }) => feedback?.distinct,
    shown: whole,
  },
  {
    name: 'distinct_1',
    title: 'distinct-1',
    about: 'different words as a share of all words',
    value: ({ feedback }) => feedback?.distinct1,
    shown: share,
  },
  {
    name: 'distinct_2',
    title: 'distinct-2',
    about: 'the same of pairs of words',
    value: ({ feedback }) => feedback?.distinct2,
    shown: share,
  },
  ...[1, 2, 3, 4].map((n) => ({
    name: `copied_${n}`,
    title: `copied ${n}-grams`,
    about: `${n === 1 ? 'words' : `${n} words in a row`} that stand in the feedback which its model was trained on`,
    value: copiedOf(n),
    shown: percent,
  })),
  {
    name: 'copied_texts',
    title: 'copied whole',
    about: 'texts that stand there word for word',
    value: ({ copied }) => copied?.verbatim,
    shown: whole,
  },
  { name: 'trained_on', title: 'trained on', about: 'items', value: ({ training }) => training?.items, shown: whole },
  {
    name: 'train_loss',
    title: 'train loss',
    about: 'a token, by its training',
    value: ({ training }) => training?.trainLoss,
    shown: share,
  },
  {
    name: 'validation_loss',
    title: 'validation loss',
    about: 'the same on items that it was not trained on',
    value: ({ training }) => training?.validationLoss,
    shown: share,
  },
  {
    name: 'validation_loss_other_picture',
    title: '… with another’s picture',
    about: 'validation loss where each item has another one’s picture',
    value: ({ training }) => training?.validationLossWithAnotherItemsPicture,
    shown: share,
  },
  {
    name: 'validation_loss_no_picture',
    title: '… without a picture',
    about: 'validation loss where there is none',
    value: ({ training }) => training?.validationLossWithoutPicture,
    shown: share,
  },
];

/** Arms with feedback, and the facts that at least one of them has. */
export function feedbackTable({ arms }: ResultsDocument): { arms: ArmResult[]; facts: FeedbackFact[] } {
  const shown = arms.filter(({ feedback }) => feedback !== null);
  return { arms: shown, facts: FEEDBACK_FACTS.filter(({ value }) => shown.some((arm) => typeof value(arm) === 'number')) };
}

/** What the facts say, as sentences: whether each critic looks at the picture. */
export function feedbackVerdicts(doc: ResultsDocument): string[] {
  return doc.arms.flatMap((arm) => [...lookVerdict(arm, doc), ...lossVerdict(arm)]);
}

function lookVerdict(arm: ArmResult, { primary }: ResultsDocument): string[] {
  const other = arm.scores[primary]?.fixed.vsOtherPicture;
  if (!other || other.n < 2) return [];
  const by = `${primary} ${formatDelta(other.mean, primary)} ${formatInterval(other.ci95, primary)}, n = ${other.n}`;
  return other.ci95 !== null && other.ci95[0] > 0
    ? [`${arm.name} looks: with the item’s own picture its feedback gains more than with another item’s (${by}).`]
    : [`${arm.name} was not seen to look: its feedback gains no more with the item’s own picture than with another item’s (${by}).`];
}

function lossVerdict({ name, swap, placeboOf, training }: ArmResult): string[] {
  const { validationLoss: own, validationLossWithAnotherItemsPicture: others } = training ?? {};
  if (own === undefined || others === undefined || (placeboOf !== null && swap !== null)) return [];
  return others > own
    ? []
    : [
        `${name} did not learn to look: its validation loss is no worse with another item’s picture (${own.toFixed(3)} and ${others.toFixed(3)}).`,
      ];
}
