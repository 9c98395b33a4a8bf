import { stringify } from 'yaml';
import { scoreNames, type Digest, type Recipe } from '../../core/index.js';
import { scoreFindings } from './cross-checks.js';
import { didYouMean, schemaFindings, type Finding } from './issue-text.js';
import { sharedModelProblem } from './recipe-digest.js';
import { RecipeError } from './recipe-error.js';
import { fieldName, readRecipeSource } from './recipe-source.js';
import { policySchema } from './schema.js';

const FLAG = '--policy';
/** Fields that judge finished pictures: another value needs no model. */
const FIELDS = ['stop.target', 'stop.patience', 'stop.min_gain', 'gate.score', 'scores.select'];

/**
 * A run's recipe with another stop, gate or selector.
 * @param models digests by the path as it stands in the recipe
 * @param overrides `key=value`, as `--policy` takes them
 * @throws {RecipeError} with everything that is wrong, each with its option
 */
export function withPolicy(recipe: Recipe, models: Record<string, Digest>, overrides: string[]): Recipe {
  const strange = overrides.flatMap((override) => {
    const key = override.split('=')[0]!.trim();
    if (FIELDS.includes(key)) return [];
    const hint = didYouMean(key, FIELDS) ?? `what can be looked at again is ${FIELDS.join(', ')}; anything else takes a run of its own`;
    return [{ file: `${FLAG} ${override}`, line: null, field: key, message: hint }];
  });
  if (strange.length > 0) throw new RecipeError(strange);

  const { stop, gate, scores } = recipe;
  const own = {
    stop: { target: stop.target, patience: stop.patience, min_gain: stop.minGain },
    gate,
    scores: { select: scores.select },
  };
  const source = readRecipeSource(stringify(own), 'the run', overrides, FLAG);
  const parsed = policySchema.safeParse(source.value);
  const findings: Finding[] = parsed.success ? [] : schemaFindings(parsed.error.issues, source.value);
  const issuesOf = (found: Finding[]) => [
    ...found.map(({ path, message }) => ({ ...source.locate(path), line: null, field: fieldName(path), message })),
    ...source.issues,
  ];
  if (!parsed.success || source.issues.length > 0) throw new RecipeError(issuesOf(findings));

  const policy = parsed.data;
  const metric = policy.scores.select.metric;
  const scored = [scores.select, scores.primary, ...scores.report];
  if (!scoreNames(recipe).includes(metric)) {
    findings.push({ path: ['scores', 'select'], message: `the run has no scores by ${metric}; it has ${scoreNames(recipe).join(', ')}` });
  }
  const select = scored.find((score) => score.metric === metric) ?? policy.scores.select;
  findings.push(...scoreFindings({ stop: policy.stop, gate: policy.gate, scores: { ...scores, select } }));
  const { target, patience, min_gain: minGain } = policy.stop;
  const other: Recipe = { ...recipe, stop: { target, patience, minGain }, gate: policy.gate, scores: { ...scores, select } };
  const shared = findings.length > 0 ? null : sharedModelProblem(other, models);
  if (shared !== null) findings.push({ path: ['scores', 'select'], message: shared });
  if (findings.length > 0) throw new RecipeError(issuesOf(findings));
  return other;
}
