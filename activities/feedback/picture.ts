import { InvalidInput } from '../../core/errors.js';
import { modelIdentity, type Blip2FeedbackRecipe, type RunManifest, type VlmFeedbackRecipe } from '../../core/recipe.js';
import { textDrawOf } from '../../core/refine-loop.js';
import { INSTRUCTIONS, pictureQuestion } from '../../engine/providers/chat.js';
import { hostOf, readText } from '../generate.js';
import type { ActivityServices, RunContext } from '../services.js';
import type { FeedbackInput } from '../types.js';
import { feedbackOf } from './column.js';
import { captionOf } from './opt.js';
import type { FeedbackWriter } from './writer.js';
import { writingOf, writingParams, type WritingParams } from './writing.js';

/** What a model is asked about the picture, all of it. */
interface Asked {
  prompt: string;
  /** Beside the caption and what was said earlier. */
  instructions: string;
}

/** Feedback by a model on the run's devices that sees the picture: a BLIP-2, or a vision-language model by its chat template. */
export function pictureWriter(services: ActivityServices): FeedbackWriter {
  return {
    async prepare(run, input) {
      const { manifest } = run;
      const { item, at, arm, critique } = input;
      const recipe = pictureOf(manifest, arm);
      return {
        inputs: [critique.picture.digest, ...critique.earlier.map(({ ref }) => ref.digest)],
        params: { source: recipe.source, ...(await asked(run, recipe, input)), ...writingParams(manifest, recipe, item, at) },
        model: modelIdentity(manifest, recipe.model),
        runtime: manifest.runtime,
        draw: textDrawOf(at),
      };
    },
    async write({ manifest, store }, { arm, critique }, { params }, { signal, started }) {
      const { source, model } = pictureOf(manifest, arm);
      const { prompt, instructions, ...writing } = params as unknown as Asked & WritingParams;
      const image = await store.getArtifact(critique.picture);
      const written = await hostOf(services, manifest).answer(
        { layout: source, model: services.modelFolder(manifest, model), image, prompt, instructions, ...writingOf(writing) },
        { signal, onStart: started },
      );
      return { ...written, instructions };
    },
  };
}

async function asked(run: RunContext, recipe: Blip2FeedbackRecipe | VlmFeedbackRecipe, { item, critique }: FeedbackInput): Promise<Asked> {
  if (recipe.source === 'blip2') {
    const caption = await captionOf(run, item.offset, critique.earlier);
    return { prompt: recipe.prompt.split('{caption}').join(caption), instructions: recipe.prompt.split('{caption}').join(' ') };
  }
  const { caption } = await run.files.readIndexed(item.offset);
  const earlier = await Promise.all(critique.earlier.map((text) => readText(run, text)));
  const instructions = recipe.instructions ?? INSTRUCTIONS.chat;
  const { told, data } = pictureQuestion({ instructions, caption, earlier });
  return { prompt: `${told}\n${data}`, instructions };
}

function pictureOf(manifest: RunManifest, arm: string): Blip2FeedbackRecipe | VlmFeedbackRecipe {
  const feedback = feedbackOf(manifest, arm);
  if (feedback.source !== 'blip2' && feedback.source !== 'vlm') {
    throw new InvalidInput(`arm ${arm} has source ${feedback.source}, not blip2 or vlm`);
  }
  return feedback;
}
