import { canonicalJson } from '../../core/content-hash.js';
import { InvalidInput } from '../../core/errors.js';
import { FEEDBACK_KINDS } from '../../core/item-plan.js';
import { promptText, shownPrompt } from '../../core/policy/refine.js';
import type { Recipe, RunManifest } from '../../core/recipe.js';
import { permutation, seedOf } from '../../core/seeds.js';
import type { Digest, IndexedItem, ItemRecord, TextValue } from '../../core/types.js';
import type { Store } from '../storage/store.js';

/** Most words of a feedback: with a caption it has to fit into the 77 tokens of CLIP. What a critic is let write is told in tokens, when it is trained. */
export const MAX_FEEDBACK_WORDS = 60;

/** A row of a feedback set: a picture of a run and what was said about it. */
export interface FeedbackRow {
  file_name: string;
  /** The dataset item's. */
  id: string;
  caption: string;
  feedback: string;
  /** Of the picture, from 0. */
  round: number;
  arm: string;
  pictureDigest: Digest;
  /** What a pack lists under `trainedOn`: the item's true image; `null` where it has none, and then no run can tell that a model knows it. */
  itemDigest: Digest | null;
  /** What the picture was made from. */
  prompt: string;
  seed: number;
}

export const SPLITS = ['train', 'validation'] as const;
export type FeedbackSplit = (typeof SPLITS)[number];

export interface FeedbackChoice {
  /** Whose feedback. Default: the only arm whose feedback a person wrote. */
  arm?: string | null;
  /** Items, drawn at random from those that can be used. Default: all of them. */
  n?: number | null;
  seed: number;
  /** Share of the items that is kept for validation, from 0 to below 1. */
  validation: number;
}

/** What is taken of a run, and what is not, with its reason. */
export interface ChosenFeedback {
  arm: string;
  /** Items with a row. */
  items: number;
  splits: Record<FeedbackSplit, FeedbackRow[]>;
  left: Array<{ id: string; reason: string }>;
  /** Different texts, and the share of rows whose text is said of several items: what a model can learn without looking. */
  texts: { distinct: number; sharedShare: number };
}

/** A row, and the item that it belongs to. */
interface Candidate {
  item: IndexedItem;
  rows: FeedbackRow[];
}

/**
 * Chooses a feedback set from a run: every recorded feedback of an arm with the picture that it is on. Items come in the order that the seed gives, until there
 * are n that can be used; no item, and no two items of the same true image, stand in both splits. Nothing that is wrong with an item ends it.
 * @throws InvalidInput where the arm cannot be told or nothing is left
 */
export async function chooseFeedback(store: Store, manifest: RunManifest, choice: FeedbackChoice): Promise<ChosenFeedback> {
  const arm = writtenArm(manifest.recipe, choice.arm);
  const files = store.run(manifest.runId);
  const count = (await files.readIndexSummary())?.items ?? 0;
  const items = (count > 0 ? await files.readIndexRange(0, count) : []).sort((a, b) => a.position - b.position);
  const records = new Map((await files.listItems()).map((record) => [record.key, record]));
  const left: Array<{ position: number; id: string; reason: string }> = [];
  for (const { position, id, reason } of await files.readSkipped()) left.push({ position, id, reason: `skipped: ${reason}` });

  const seen = new Map<string, string>();
  const drawn: Candidate[] = [];
  for (const i of permutation(items.length, choice.seed)) {
    if (drawn.length === (choice.n ?? Infinity)) break;
    const item = items[i]!;
    const { rows, faults } = await itemRows(store, manifest, item, records.get(item.key), arm, seen);
    for (const reason of faults) left.push({ position: item.position, id: item.id, reason });
    if (rows.length > 0) drawn.push({ item, rows });
  }
  if (drawn.length === 0) throw new InvalidInput(`run ${manifest.runId} has no feedback of arm ${arm} to learn from: ${reasons(left)}`);
  drawn.sort((a, b) => a.item.position - b.item.position);
  const kept = validationPictures(drawn, choice);
  const inSplit = (wanted: FeedbackSplit) =>
    drawn.filter(({ item }) => kept.has(pictureOf(item)) === (wanted === 'validation')).flatMap(({ rows }) => rows);
  return {
    arm,
    items: drawn.length,
    splits: { train: inSplit('train'), validation: inSplit('validation') },
    left: left.sort((a, b) => a.position - b.position).map(({ id, reason }) => ({ id, reason })),
    texts: textsOf(drawn),
  };
}

/** The arm that is asked for, or the only one with a person's words. */
function writtenArm({ arms }: Recipe, asked?: string | null): string {
  const written = arms.filter(({ feedback }) => feedback && FEEDBACK_KINDS[feedback.source].person).map(({ name }) => name);
  if (asked === undefined || asked === null) {
    if (written.length === 1) return written[0]!;
    const others = arms.filter(({ feedback }) => feedback && feedback.source !== 'shuffled').map(({ name }) => name);
    const why = written.length > 1 ? 'several arms have' : 'no arm has';
    throw new InvalidInput(
      `${why} feedback that a person wrote; name the arm to learn from (--arm, or data.arm of a training recipe): ${others.join(', ') || 'the run has none'}`,
    );
  }
  const arm = arms.find(({ name }) => name === asked);
  const names = arms.map(({ name }) => name).join(', ');
  if (!arm) throw new InvalidInput(`the run has no arm ${JSON.stringify(asked)}; it has ${names}`);
  if (arm.feedback === null) throw new InvalidInput(`arm ${asked} is the control and has no feedback; the run has ${names}`);
  if (arm.feedback.source === 'shuffled')
    throw new InvalidInput(`arm ${asked} is a placebo: its feedback is not on its own pictures; the run has ${names}`);
  return asked;
}

/** @param seen rows that are in already, by what they say, with their names */
async function itemRows(
  store: Store,
  { recipe }: RunManifest,
  item: IndexedItem,
  record: ItemRecord | undefined,
  arm: string,
  seen: Map<string, string>,
): Promise<{ rows: FeedbackRow[]; faults: string[] }> {
  const rows: FeedbackRow[] = [];
  const faults: string[] = [];
  for (const outcome of record?.arms.filter(({ name }) => name === arm) ?? []) {
    for (const [i, { feedback: said }] of outcome.rounds.entries()) {
      const on = outcome.rounds[i - 1];
      if (!said || !on) continue;
      const feedback = (await readText(store, said)).trim();
      const of = `round ${on.round}`;
      const fault = faultOf(feedback) ?? ((await store.hasArtifact(on.image)) ? null : 'its picture is missing from the store');
      const known = canonicalJson([item.caption, on.image.digest, feedback]);
      const same = seen.get(known);
      if (fault !== null) faults.push(`${of}: ${fault}`);
      else if (same !== undefined) faults.push(`${of}: the same caption, picture and feedback as ${same}`);
      else {
        seen.set(known, `${item.id}, ${of}`);
        const texts = await Promise.all(on.prompt.parts.map((part) => readText(store, part)));
        rows.push({
          file_name: `${item.key}-${on.round}${outcome.repeat > 0 ? `-${outcome.repeat}` : ''}.png`,
          id: item.id,
          caption: item.caption,
          feedback,
          round: on.round,
          arm,
          pictureDigest: on.image.digest,
          itemDigest: item.trueImage?.digest ?? null,
          prompt: shownPrompt(promptText(on.prompt, texts, recipe.glossary)),
          seed: on.seed,
        });
      }
    }
  }
  if (rows.length === 0 && faults.length === 0) faults.push(whyNone(record, arm));
  return { rows, faults };
}

function whyNone(record: ItemRecord | undefined, arm: string): string {
  if (!record) return 'not finished yet';
  if (record.failure) return `failed: ${record.failure.message}`;
  return record.reason ? `${record.state}: ${record.reason}` : `no feedback of arm ${arm}`;
}

function faultOf(feedback: string): string | null {
  const words = wordCount(feedback);
  if (words === 0) return 'the feedback is empty';
  return words > MAX_FEEDBACK_WORDS ? `the feedback has ${words} words, more than ${MAX_FEEDBACK_WORDS}` : null;
}

/** Words as Unicode parts them, so that texts without blanks are counted too. */
function wordCount(text: string): number {
  return [...new Intl.Segmenter('en', { granularity: 'word' }).segment(text)].filter(({ isWordLike }) => isWordLike).length;
}

/** What two items must not share across splits: the true image, or where there is none the item itself. */
const pictureOf = (item: IndexedItem): string => item.trueImage?.digest ?? item.key;

/** Pictures whose items are kept for validation: by the seed, at least one, and never all. */
function validationPictures(drawn: readonly Candidate[], { seed, validation }: FeedbackChoice): Set<string> {
  const pictures = [...new Set(drawn.map(({ item }) => pictureOf(item)))];
  const count = validation === 0 ? 0 : Math.min(pictures.length - 1, Math.max(1, Math.round(validation * pictures.length)));
  const order = permutation(pictures.length, seedOf(seed, 'validation', 0));
  return new Set(order.slice(0, count).map((i) => pictures[i]!));
}

function textsOf(drawn: readonly Candidate[]): ChosenFeedback['texts'] {
  const itemsOf = new Map<string, Set<string>>();
  const rows = drawn.flatMap(({ rows: own }) => own);
  for (const { feedback, id } of rows) itemsOf.set(feedback, (itemsOf.get(feedback) ?? new Set()).add(id));
  const shared = rows.filter(({ feedback }) => itemsOf.get(feedback)!.size > 1).length;
  return { distinct: itemsOf.size, sharedShare: shared / rows.length };
}

/** The commonest reasons, for a person. */
function reasons(left: ReadonlyArray<{ reason: string }>): string {
  const counts = new Map<string, number>();
  for (const { reason } of left) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 3);
  return sorted.map(([reason, count]) => `${reason} (${count} ${count === 1 ? 'item' : 'items'})`).join('; ') || 'it has no items';
}

async function readText(store: Store, value: TextValue): Promise<string> {
  return value.text ?? Buffer.from(await store.getArtifact(value.ref!)).toString('utf8');
}
