/** Reading and checking recipes. */
export { loadRecipe, type LoadedRecipe } from './load-recipe.js';
export { formatIssue, RecipeError, type RecipeIssue } from './recipe-error.js';
export { defaultRunId, modelPaths, recipeDigest, sharedModelProblem } from './recipe-digest.js';
export { withPolicy } from './other-policy.js';
export { loadTrainingRecipe, type LoadedTrainingRecipe } from './load-training-recipe.js';
export { recipeDoc, trainingRecipeDoc } from './schema-doc.js';
export { recipeSchema } from './schema.js';
