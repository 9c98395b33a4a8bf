import { InvalidInput } from '../../core/errors.js';
import { gainBy } from '../../core/item-plan.js';
import { holm } from '../../engine/metrics/index.js';
import { comparison } from './arm-statistics.js';
import type { ComparisonResult, ItemResult, ResultsDocument } from './results-document.js';
import { exclusion } from './results.js';

/** What `compare --json` prints: later runs against the first, items paired by id. */
export interface ComparisonDocument {
  runs: Array<{ runId: string; recipe: string; primary: string; items: number; inMeans: number }>;
  /** Where recipes, models, runtime or software differ: one value a run; models by their digest, so that a folder that moved is the same. */
  differences: Array<{ field: string; values: string[] }>;
  /** By run after the first: items that both have, and why the others are in no pair. */
  items: Array<{ runId: string; paired: number; onlyFirst: number; onlyHere: number; otherItem: number; leftOut: number }>;
  comparisons: RunComparison[];
  /** What stands in the way of comparing, as sentences. */
  warnings: string[];
}

/** One arm and metric, that run minus the first. p of the primary metric is Holm-corrected over its comparisons. */
export interface RunComparison {
  runId: string;
  arm: string;
  metric: string;
  /** Mean `fixed` gain over round 0 on the paired items. */
  gains: { first: number | null; here: number | null };
  /** Difference of the gains: freed of where each run's round 0 began. */
  gain: ComparisonResult;
  /** Difference of the scores at the end; above 0 is better. */
  score: ComparisonResult;
}

/**
 * Compares finished or running runs over the same items.
 * @throws InvalidInput where no arm and metric of any run can be paired with the first
 */
export function compareRuns(docs: readonly ResultsDocument[]): ComparisonDocument {
  const [first, ...later] = docs;
  if (!first || later.length === 0) throw new InvalidInput('compare needs two runs or more');
  const items = later.map((doc) => ({ runId: doc.runId, ...pairing(first, doc).counts }));
  const comparisons = later.flatMap((doc) => compareWith(first, doc));
  const warnings = later.flatMap((doc) => [...warningsOf(first, doc)]);
  if (comparisons.every(({ gain }) => gain.n === 0)) {
    throw new InvalidInput(
      [
        `nothing in ${later.map(({ runId }) => runId).join(', ')} can be compared with ${first.runId}: no item, arm and score that both have`,
        ...warnings,
      ].join('\n'),
    );
  }
  for (const part of ['gain', 'score'] as const) {
    const family = comparisons.filter(({ metric, [part]: { p } }) => metric === first.primary && p !== null).map((c) => c[part]);
    holm(family.map(({ p }) => p!)).forEach((p, i) => (family[i]!.pAdjusted = p));
  }
  return {
    runs: docs.map((doc) => ({
      runId: doc.runId,
      recipe: doc.recipe.name,
      primary: doc.primary,
      items: doc.items.length,
      inMeans: doc.items.length - doc.excluded.length,
    })),
    differences: differencesOf(docs),
    items,
    comparisons,
    warnings,
  };
}

interface Pair {
  first: ItemResult;
  here: ItemResult;
}

function pairing(first: ResultsDocument, doc: ResultsDocument) {
  const byId = new Map(first.items.map((item) => [item.id, item]));
  const both = doc.items.flatMap((here) => (byId.has(here.id) ? [{ first: byId.get(here.id)!, here }] : []));
  const same = both.filter(({ first: a, here: b }) => a.caption === b.caption && a.trueImage === b.trueImage);
  const pairs: Pair[] = same.filter(({ first: a, here: b }) => exclusion(a) === null && exclusion(b) === null);
  const counts = {
    paired: pairs.length,
    onlyFirst: first.items.length - both.length,
    onlyHere: doc.items.length - both.length,
    otherItem: both.length - same.length,
    leftOut: same.length - pairs.length,
  };
  return { pairs, counts };
}

function compareWith(first: ResultsDocument, doc: ResultsDocument): RunComparison[] {
  const { pairs } = pairing(first, doc);
  const metrics = first.metrics.filter((metric) => doc.metrics.includes(metric) && sameModel(first, doc, metric));
  const arms = first.arms.map(({ name }) => name).filter((name) => doc.arms.some((arm) => arm.name === name));
  return arms.flatMap((arm) =>
    metrics.map((metric): RunComparison => {
      const results = pairs.flatMap((pair) => {
        const [a, b] = [resultOf(pair.first, arm, metric), resultOf(pair.here, arm, metric)];
        return a && b ? [{ a, b }] : [];
      });
      const name = `${arm}/${metric}/other run`;
      return {
        runId: doc.runId,
        arm,
        metric,
        gains: { first: mean(results.map(({ a }) => a.gain)), here: mean(results.map(({ b }) => b.gain)) },
        gain: comparison(results.map(({ a, b }) => b.gain - a.gain), name),
        score: comparison(results.map(({ a, b }) => gainBy(metric, b.score, a.score)), name),
      }; // prettier-ignore
    }),
  );
}

/** An arm's `fixed` gain and end score on an item, its repeats averaged. */
function resultOf(item: ItemResult, name: string, metric: string): { gain: number; score: number } | undefined {
  const known = item.arms.flatMap((arm) => {
    const [gain, start] = [arm.gain[metric], arm.rounds[0]?.scores[metric]];
    return arm.name === name && gain !== undefined && start !== undefined ? [{ gain, score: start + gainBy(metric, gain, 0) }] : [];
  });
  if (known.length === 0) return undefined;
  return { gain: mean(known.map(({ gain }) => gain))!, score: mean(known.map(({ score }) => score))! };
}

/** The model that a metric judges with; `null` where it needs none. */
function judge(doc: ResultsDocument, metric: string): string | null {
  const { select, primary, report } = doc.recipe.scores;
  const model = [primary, select, ...report].find((score) => score.metric === metric)?.model ?? null;
  return model === null ? null : (doc.models[model]?.digest ?? model);
}

const sameModel = (a: ResultsDocument, b: ResultsDocument, metric: string): boolean => judge(a, metric) === judge(b, metric);

function* warningsOf(first: ResultsDocument, doc: ResultsDocument): Iterable<string> {
  const { counts } = pairing(first, doc);
  if (doc.primary !== first.primary) yield `${doc.runId}: its primary score is ${doc.primary}, that of ${first.runId} is ${first.primary}.`;
  for (const metric of first.metrics) {
    if (!doc.metrics.includes(metric)) yield `${doc.runId}: has no scores by ${metric}.`;
    else if (!sameModel(first, doc, metric)) yield `${doc.runId}: judges ${metric} with another model, so its scores are not compared.`;
  }
  if (counts.otherItem > 0) {
    yield `${doc.runId}: items with an id of ${first.runId} and another caption or true picture, which are in no pair: ${counts.otherItem}.`;
  }
  const missing = first.arms.filter(({ name }) => !doc.arms.some((arm) => arm.name === name)).map(({ name }) => name);
  if (missing.length > 0) yield `${doc.runId}: has no arm ${missing.join(', ')}.`;
}

/** Fields of the recipe that say where things lie and how it is called, not what is done. */
const PLACES = new Set(['name', 'dataset.uri', 'store']);

function differencesOf(docs: readonly ResultsDocument[]): ComparisonDocument['differences'] {
  const flat = docs.map((doc) => {
    const arms = Object.fromEntries(doc.recipe.arms.map(({ name, ...arm }) => [name, arm]));
    const { runtime, software } = doc;
    return new Map(flatten({ ...doc.recipe, arms, runtime, software }, (value) => doc.models[value]?.digest ?? value));
  });
  const fields = [...new Set(flat.flatMap((entries) => [...entries.keys()]))].filter((field) => !PLACES.has(field));
  return fields
    .map((field) => ({ field, values: flat.map((entries) => entries.get(field) ?? 'none') }))
    .filter(({ values }) => new Set(values).size > 1);
}

/** `[dotted key, value]` of every leaf. */
function* flatten(value: unknown, show: (text: string) => string, path = ''): Iterable<[string, string]> {
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    for (const [key, part] of Object.entries(value)) yield* flatten(part, show, path === '' ? key : `${path}.${key}`);
  } else yield [path, typeof value === 'string' ? show(value) : JSON.stringify(value)];
}

function mean(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
