import { formatDelta, formatInterval, formatP, NONE } from './format.js';
import { ALPHA } from './headline.js';
import type { ArmResult, ResultsDocument } from './results-document.js';

/** A fact about an arm's feedback: whether it repeats what its model was taught, and whether the model looks. */
export interface FeedbackFact {
  title: string;
  about: string;
  /** Numbers of one cell, by their columns in `feedback.csv`; what is not known is `null` or missing. */
  values(arm: ArmResult): Record<string, number | null | undefined>;
  shown(value: number): string;
}

const whole = (value: number) => String(value);
const percent = (value: number) => `${(100 * value).toFixed(0)}%`;
const share = (value: number) => value.toFixed(3);

/** In the order of the tables; one that no arm has is left out. */
export const FEEDBACK_FACTS: readonly FeedbackFact[] = [
  {
    title: 'texts / different',
    about: 'feedback of all rounds, and how many different texts',
    values: ({ feedback }) => ({ texts: feedback?.texts, distinct_texts: feedback?.distinct }),
    shown: whole,
  },
  {
    title: 'distinct-1 / -2',
    about: 'different words, and different pairs of words, as a share of all',
    values: ({ feedback }) => ({ distinct_1: feedback?.distinct1, distinct_2: feedback?.distinct2 }),
    shown: share,
  },
  {
    title: 'copied 1- / 2- / 3- / 4-grams',
    about: 'words, and so many words in a row, that stand in the feedback which its model was trained on',
    values: ({ copied }) => Object.fromEntries([1, 2, 3, 4].map((n) => [`copied_${n}`, copied?.ngrams.find((one) => one.n === n)?.share])),
    shown: percent,
  },
  {
    title: 'copied whole',
    about: 'texts that stand there word for word',
    values: ({ copied }) => ({ copied_texts: copied?.verbatim }),
    shown: whole,
  },
  { title: 'trained on', about: 'items', values: ({ training }) => ({ trained_on: training?.items }), shown: whole },
  {
    title: 'loss: train / validation',
    about: 'a token, as its training measured it',
    values: ({ training }) => ({ train_loss: training?.trainLoss, validation_loss: training?.validationLoss }),
    shown: share,
  },
  {
    title: 'with another’s / no picture',
    about: 'validation loss where each item has another one’s picture, and where there is none',
    values: ({ training }) => ({
      validation_loss_other_picture: training?.validationLossWithAnotherItemsPicture,
      validation_loss_no_picture: training?.validationLossWithoutPicture,
    }),
    shown: share,
  },
];

const isKnown = (value: number | null | undefined): value is number => typeof value === 'number';

/** A cell of the tables; what is not known is a dash in its place. */
export function factCell({ values, shown }: FeedbackFact, arm: ArmResult): string {
  const found = Object.values(values(arm));
  return found.some(isKnown) ? found.map((value) => (isKnown(value) ? shown(value) : NONE)).join(' / ') : NONE;
}

/** Arms with feedback, and the facts that at least one of them has. */
export function feedbackTable({ arms }: ResultsDocument): { arms: ArmResult[]; facts: FeedbackFact[] } {
  const shown = arms.filter(({ feedback }) => feedback !== null);
  return { arms: shown, facts: FEEDBACK_FACTS.filter(({ values }) => shown.some((arm) => Object.values(values(arm)).some(isKnown))) };
}

/** What the facts say, as sentences: whether each critic looks at the picture. */
export function feedbackVerdicts(doc: ResultsDocument): string[] {
  return doc.arms.flatMap((arm) => [...lookVerdict(arm, doc), ...lossVerdict(arm)]);
}

function lookVerdict(arm: ArmResult, { primary }: ResultsDocument): string[] {
  const other = arm.scores[primary]?.fixed.vsOtherPicture;
  if (!other || other.n < 2) return [];
  const by = `${primary} ${formatDelta(other.mean, primary)} ${formatInterval(other.ci95, primary)}, p ${formatP(other.pAdjusted)}, n = ${other.n}`;
  const isAbove = other.ci95 !== null && other.ci95[0] > 0;
  if (isAbove && other.pAdjusted! < ALPHA)
    return [`${arm.name} looks: with the item’s own picture its feedback gains more than with another item’s (${by}).`];
  return isAbove
    ? [`${arm.name} may look: with the item’s own picture its feedback gains more than with another item’s, but it may be chance (${by}).`]
    : [`${arm.name} was not seen to look: its feedback gains no more with the item’s own picture than with another item’s (${by}).`];
}

/** A loss that is higher by less than this share is no worse. */
const LEAST_LOOKING = 0.005;

function lossVerdict({ name, training }: ArmResult): string[] {
  const { validationLoss: own, validationLossWithAnotherItemsPicture: others } = training ?? {};
  if (own === undefined || others === undefined) return [];
  return others > own * (1 + LEAST_LOOKING)
    ? []
    : [
        `${name} did not learn to look: its validation loss is no worse with another item’s picture (${own.toFixed(3)} and ${others.toFixed(3)}).`,
      ];
}
