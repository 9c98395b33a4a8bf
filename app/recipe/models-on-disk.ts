import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { METRICS } from '../../core/index.js';
import { isPack } from '../../engine/inference/index.js';
import type { Finding } from './issue-text.js';
import { startsWith, type FieldPath } from './recipe-source.js';
import { isLocalFeedback, LOCAL_PROVIDER, type RecipeShape, type ScoreShape } from './schema.js';

/**
 * The model folder of a score, as written: the recipe's own, or the one of the pack that holds the generator.
 * `null` for a metric that needs none.
 */
export function scoreModel(score: ScoreShape, generatorModel: string): string | null {
  const inPack = METRICS[score.metric]!.model?.inPack ?? null;
  return score.model ?? (inPack === null ? null : join(dirname(generatorModel), inPack));
}

/** The recipe with the model of every score filled in. */
export function withScoreModels(recipe: RecipeShape): RecipeShape {
  const filled = (score: ScoreShape) => ({ ...score, model: scoreModel(score, recipe.generator.model) });
  const { select, primary, report } = recipe.scores;
  return { ...recipe, scores: { ...recipe.scores, select: filled(select), primary: filled(primary), report: report.map(filled) } };
}

/** Model folders that are not there, and a primary that judges with the selector's model. */
export async function modelFindings(recipe: RecipeShape, resolvePath: (path: string) => string, refused: FieldPath[]): Promise<Finding[]> {
  const { generator, scores } = recipe;
  if (refused.some((path) => startsWith(path, ['generator']) || startsWith(path, ['scores']))) return [];
  if (generator.provider !== LOCAL_PROVIDER) return [];
  const findings: Finding[] = [];
  const hasGenerator = await isFolder(resolvePath(generator.model));
  if (!hasGenerator)
    findings.push({ path: ['generator', 'model'], message: `there is no folder ${generator.model} (${resolvePath(generator.model)})` });
  const inPack = await isPack(dirname(resolvePath(generator.model)));
  const entries: Array<[FieldPath, ScoreShape]> = [
    [['scores', 'select'], scores.select],
    [['scores', 'primary'], scores.primary],
    ...scores.report.map((score, i): [FieldPath, ScoreShape] => [['scores', 'report', i], score]),
  ];
  for (const [path, score] of entries) {
    const needed = METRICS[score.metric]!.model;
    if (needed === null) continue;
    const model = scoreModel(score, generator.model);
    if (model === null) {
      const needs = `${score.metric} needs a model, and packs have none`;
      findings.push({ path, message: `${needs}; name one, as in ${example(path, score.metric)}` });
    } else if (score.model !== null) {
      if (!(await isFolder(resolvePath(model)))) {
        findings.push({ path: [...path, 'model'], message: `there is no folder ${model} (${resolvePath(model)})` });
      }
    } else if (hasGenerator && !(inPack && (await isFolder(resolvePath(model))))) {
      const why = inPack ? `the generator's pack has no folder ${model}` : 'generator.model is not in a pack (a folder with pack.json)';
      findings.push({ path, message: `${score.metric} needs a model and ${why}; name one, as in ${example(path, score.metric)}` });
    }
  }
  findings.push(...(await criticModels(recipe, resolvePath, refused)), ...sharedModel(recipe, resolvePath));
  return findings;
}

function example(path: FieldPath, metric: string): string {
  const key = path.at(-1) === 'select' || path.at(-1) === 'primary' ? `${path.at(-1)}: ` : '- ';
  return `\`${key}{ metric: ${metric}, model: ./my-encoder }\``;
}

async function criticModels({ arms }: RecipeShape, resolvePath: (path: string) => string, refused: FieldPath[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [i, { feedback }] of arms.entries()) {
    if (!isLocalFeedback(feedback) || refused.some((path) => startsWith(path, ['arms', i]))) continue;
    const folders = { model: feedback.model, ...(feedback.source === 'opt' ? { image_encoder: feedback.image_encoder } : {}) };
    for (const [field, folder] of Object.entries(folders)) {
      if (await isFolder(resolvePath(folder))) continue;
      findings.push({ path: ['arms', i, 'feedback', field], message: `there is no folder ${folder} (${resolvePath(folder)})` });
    }
  }
  return findings;
}

function sharedModel({ generator, scores, arms }: RecipeShape, resolvePath: (path: string) => string): Finding[] {
  const [select, primary] = [scores.select, scores.primary].map((score) => scoreModel(score, generator.model));
  const isPrimary = (model: string | null | undefined) => Boolean(model && primary && resolvePath(model) === resolvePath(primary));
  const refused = (why: string): Finding[] => [{ path: ['scores', 'primary'], message: `uses ${primary}, ${why}: name another` }];
  // The same metric is refused already.
  if (scores.primary.metric !== scores.select.metric && isPrimary(select))
    return refused('the model of select; a model that picks the images cannot judge them too');
  const critic = arms.find(({ feedback }) => isLocalFeedback(feedback) && isPrimary(feedback.model));
  return critic
    ? refused(`the model that writes the feedback of arm ${critic.name}; a critic cannot judge what came of its own words`)
    : [];
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
