import {
  DEFAULT_DECODING,
  promptTemplate,
  type ArmRecipe,
  type Decoding,
  type FeedbackRecipe,
  type LocalWriting,
  type Placement,
  type Recipe,
} from '../../core/index.js';
import { isLocalFeedback, type ArmShape, type LocalFeedbackShape, type RecipeShape } from './schema.js';

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
      // Absent where not asked for: recipes from before these fields keep their digest.
      ...(generator.prompt_weights ? { promptWeights: true as const } : {}),
      ...(generator.vae_tiling ? { vaeTiling: true as const } : {}),
    },
    rounds,
    arms: arms.map((arm) => toArm(arm, arms)),
    scores: { select: scores.select, primary: scores.primary, report: scores.report },
    stop: { target: stop.target, patience: stop.patience, minGain: stop.min_gain },
    gate,
    batching,
    executionProvider,
    budget,
    repeats,
    glossary,
  };
}

/** The workers that the recipe names; `undefined` where it names none. */
export function toPlacement({ generator, arms, scores }: RecipeShape): Placement | undefined {
  const pinned = arms.flatMap(({ name, feedback }) =>
    isLocalFeedback(feedback) && feedback.worker !== null ? [[name, feedback.worker]] : [],
  );
  const placement: Placement = {
    ...(generator.worker === null ? {} : { generate: generator.worker }),
    ...(scores.worker === null ? {} : { score: scores.worker }),
    ...(pinned.length === 0 ? {} : { feedback: Object.fromEntries(pinned) as Record<string, string> }),
  };
  return Object.keys(placement).length === 0 ? undefined : placement;
}

/** A placebo does with another item's feedback what its arm does with its own, or it would be no placebo of it. */
function toArm(arm: ArmShape, arms: readonly ArmShape[]): ArmRecipe {
  const { name, oracle, feedback } = arm;
  const from = feedback?.source === 'shuffled' ? arms.find((other) => other.name === feedback.from) : undefined;
  const strength = arm.strength ?? from?.strength ?? null;
  const candidates = arm.candidates ?? from?.candidates ?? 1;
  const rewrites = (from ?? arm).feedback?.source === 'rewrite';
  return {
    name,
    oracle,
    feedback: toFeedback(feedback),
    refine: arm.refine ?? from?.refine ?? (rewrites ? 'replace' : 'append'),
    feedbackWeight: arm.feedback_weight ?? from?.feedback_weight ?? 0.5,
    seeds: arm.seeds ?? from?.seeds ?? 'keep',
    ...(strength === null ? {} : { strength }),
    ...(candidates === 1 ? {} : { candidates }),
  };
}

function toFeedback(feedback: ArmShape['feedback']): FeedbackRecipe | null {
  switch (feedback?.source) {
    case undefined:
      return null;
    case 'dataset':
      return feedback;
    case 'shuffled': {
      const { source, from, swap } = feedback;
      return { source, from, ...(swap === 'picture' ? { swap } : {}) };
    }
    case 'opt': {
      const { source, model, memory, image_encoder: imageEncoder } = feedback;
      return { source, model, imageEncoder, memory, ...toWriting(feedback) };
    }
    case 'blip2': {
      const { source, model, prompt, memory } = feedback;
      return { source, model, prompt: promptTemplate(prompt), memory, ...toWriting(feedback) };
    }
    case 'vlm': {
      const { source, model, instructions, memory } = feedback;
      return { source, model, instructions, memory, ...toWriting(feedback) };
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

/** Only what differs from the default: a recipe that says nothing of it stays the recipe that it was. */
function toWriting(feedback: LocalFeedbackShape): LocalWriting {
  const changed = WRITING.filter(([name, field]) => JSON.stringify(feedback[field]) !== JSON.stringify(DEFAULT_DECODING[name]));
  const decoding: Partial<Decoding> = Object.fromEntries(changed.map(([name, field]) => [name, feedback[field]]));
  return { maxNewTokens: feedback.max_new_tokens, ...(changed.length > 0 ? { decoding } : {}) };
}

const WRITING = [
  ['doSample', 'do_sample'],
  ['temperature', 'temperature'],
  ['topK', 'top_k'],
  ['topP', 'top_p'],
  ['numBeams', 'num_beams'],
  ['lengthPenalty', 'length_penalty'],
  ['repetitionPenalty', 'repetition_penalty'],
  ['noRepeatNgramSize', 'no_repeat_ngram_size'],
  ['stopStrings', 'stop_strings'],
] as const satisfies ReadonlyArray<readonly [keyof Decoding, string]>;
