import type { ArmRecipe, FeedbackRecipe, Recipe } from '../../core/index.js';
import { isPlanned } from './cross-checks.js';
import { PLANNED_REFINERS, type ArmShape, type RecipeShape } from './schema.js';

/** From the names of the file to those of the program. The shape has passed all checks. */
export function toRecipe(shape: RecipeShape): Recipe {
  const {
    name,
    dataset,
    seed,
    generator,
    rounds,
    arms,
    scores,
    stop,
    gate,
    batching,
    budget,
    execution_provider: executionProvider,
  } = shape;
  return {
    name,
    dataset,
    seed,
    generator: {
      model: generator.model,
      scheduler: generator.scheduler,
      numInferenceSteps: generator.num_inference_steps,
      guidanceScale: generator.guidance_scale,
      negativePrompt: generator.negative_prompt,
      height: generator.height,
      width: generator.width,
      provider: generator.provider,
    },
    rounds,
    arms: arms.map(toArm),
    scores,
    stop: { target: stop.target, patience: stop.patience, minGain: stop.min_gain },
    gate,
    batching,
    executionProvider,
    budget,
  };
}

function toArm({ name, oracle, feedback, refine, seeds }: ArmShape): ArmRecipe {
  if (isPlanned(PLANNED_REFINERS, refine)) throw new TypeError(`refiner ${refine} passed the checks`);
  return { name, oracle, feedback: toFeedback(feedback), refine, seeds };
}

function toFeedback(feedback: ArmShape['feedback']): FeedbackRecipe | null {
  switch (feedback?.source) {
    case undefined:
      return null;
    case 'dataset':
    case 'shuffled':
      return feedback;
    default:
      throw new TypeError(`feedback source ${feedback?.source} passed the checks`);
  }
}
