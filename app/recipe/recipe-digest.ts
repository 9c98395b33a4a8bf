import { canonicalJson, digestOf, feedbackModels, type ArmRecipe, type Digest, type Recipe, type ScoreRecipe } from '../../core/index.js';

/**
 * What makes two runs the same: the recipe with the digest of every model in the place of its path, so that
 * a model that moved is the same and one that changed is not.
 * @param modelDigests by the path as it stands in the recipe
 */
export function recipeDigest(recipe: Recipe, modelDigests: Record<string, Digest>): Digest {
  const pinned = (model: string) => modelDigests[model] ?? model;
  const pinnedScore = ({ metric, model }: ScoreRecipe) => ({ metric, model: model === null ? null : pinned(model) });
  const pinnedArm = ({ feedback, ...arm }: ArmRecipe) => ({
    ...arm,
    feedback: feedback && {
      ...feedback,
      ...Object.fromEntries(Object.entries(feedbackModels(feedback)).map(([field, model]) => [field, pinned(model)])),
    },
  });
  const { select, primary, report } = recipe.scores;
  return digestOf(
    canonicalJson({
      ...recipe,
      arms: recipe.arms.map(pinnedArm),
      generator: { ...recipe.generator, model: pinned(recipe.generator.model) },
      scores: { select: pinnedScore(select), primary: pinnedScore(primary), report: report.map(pinnedScore) },
    }),
  );
}

/** The id of a run that was given none: `<name>-<8 hex>`, the same for the same recipe and models. */
export function defaultRunId(recipe: Recipe, digest: Digest): string {
  return `${recipe.name}-${digest.slice('sha256:'.length, 'sha256:'.length + 8)}`;
}

/** Paths of all models that a recipe uses, as written, each once. */
export function modelPaths(recipe: Recipe): string[] {
  const { select, primary, report } = recipe.scores;
  const ofScores = [select, primary, ...report].flatMap(({ model }) => (model === null ? [] : [model]));
  const ofArms = recipe.arms.flatMap(({ feedback }) => Object.values(feedbackModels(feedback)).reverse());
  return [...new Set([recipe.generator.model, ...ofScores, ...ofArms])];
}

/** Why a primary may not judge, where its model has the bytes of the selector's or of a critic's under another path; `null` where it may. */
export function sharedModelProblem({ scores, arms }: Recipe, modelDigests: Record<string, Digest>): string | null {
  const primary = scores.primary.model;
  const own = primary === null ? undefined : modelDigests[primary];
  if (own === undefined) return null;
  const same = (model: string | null): model is string => model !== null && modelDigests[model] === own;
  const { model: select } = scores.select;
  if (same(select))
    return `scores.primary: ${primary} is the same model as ${select}, which select uses; a model that picks the images cannot judge them too`;
  for (const { name, feedback } of arms) {
    const writer = feedbackModels(feedback)['model'] ?? null;
    if (same(writer))
      return `scores.primary: ${primary} is the same model as ${writer}, which writes the feedback of arm ${name}; a critic cannot judge what came of its own words`;
  }
  return null;
}
