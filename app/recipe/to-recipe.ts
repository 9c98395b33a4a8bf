import type { ArmRecipe, FeedbackRecipe, Recipe } from '../../core/index.js';
import type { ArmShape, RecipeShape } from './schema.js';

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
    repeats,
    glossary,
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
    repeats,
    glossary,
  };
}

function toArm({ name, oracle, feedback, refine, feedback_weight: feedbackWeight, seeds }: ArmShape): ArmRecipe {
  return { name, oracle, feedback: toFeedback(feedback), refine, feedbackWeight, seeds };
}

function toFeedback(feedback: ArmShape['feedback']): FeedbackRecipe | null {
  switch (feedback?.source) {
    case undefined:
      return null;
    case 'dataset':
    case 'shuffled':
      return feedback;
    case 'opt': {
      const { source, model, memory, image_encoder: imageEncoder, max_new_tokens: maxNewTokens } = feedback;
      return { source, model, imageEncoder, memory, maxNewTokens };
    }
    case 'chat':
    case 'rewrite': {
      const { base_url: baseUrl, api_key_env: apiKeyEnv, max_tokens: maxTokens, timeout_seconds: timeoutSeconds, ...same } = feedback;
      return { ...same, baseUrl, apiKeyEnv, maxTokens, timeoutSeconds };
    }
    default:
      throw new TypeError(`feedback source ${feedback?.source} passed the checks`);
  }
}
