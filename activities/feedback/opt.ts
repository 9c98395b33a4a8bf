import { joinPrompt } from '../../core/policy/refine.js';
import { InvalidInput } from '../../core/errors.js';
import { writingOf, writingParams, type WritingParams } from './writing.js';
import { modelIdentity, type OptFeedbackRecipe, type RunManifest } from '../../core/recipe.js';
import { textDrawOf } from '../../core/refine-loop.js';
import { asFloat32 } from '../embed.js';
import { hostOf, readText } from '../generate.js';
import type { ActivityServices, RunContext } from '../services.js';
import type { FeedbackInput } from '../types.js';
import { feedbackOf } from './column.js';
import type { FeedbackWriter } from './writer.js';

/** Feedback by a causal language model that reads the caption and the picture's features as integer tokens. */
export function optWriter(services: ActivityServices): FeedbackWriter {
  return {
    async prepare(run, { item, at, arm, critique }) {
      const { manifest } = run;
      const recipe = optOf(manifest, arm);
      if (!critique.features) throw new InvalidInput(`arm ${arm} has no image features to read`);
      return {
        inputs: [critique.features.digest, ...critique.earlier.map(({ ref }) => ref.digest)],
        params: {
          source: 'opt',
          caption: await captionOf(run, item.offset, critique.earlier),
          ...writingParams(manifest, recipe, item, at),
        },
        model: modelIdentity(manifest, recipe.model),
        runtime: manifest.runtime,
        draw: textDrawOf(at),
      };
    },
    async write({ manifest, store }, { arm, critique }, { params }, { signal, started }) {
      const model = services.modelFolder(manifest, optOf(manifest, arm).model);
      const features = asFloat32(await store.getArtifact(critique.features!));
      const request = params as unknown as WritingParams & { caption: string };
      return await hostOf(services, manifest).writeFeedback(
        { model, features, caption: request.caption, ...writingOf(request) },
        { signal, onStart: started },
      );
    },
  };
}

/** What the prompt calls the caption: with memory, the caption and the feedback that the picture was made from. */
export async function captionOf(run: RunContext, offset: number, earlier: FeedbackInput['critique']['earlier']): Promise<string> {
  const { caption } = await run.files.readIndexed(offset);
  return joinPrompt([caption, ...(await Promise.all(earlier.map((text) => readText(run, text))))]);
}

function optOf(manifest: RunManifest, arm: string): OptFeedbackRecipe {
  const feedback = feedbackOf(manifest, arm);
  if (feedback.source !== 'opt') throw new InvalidInput(`arm ${arm} has source ${feedback.source}, not opt`);
  return feedback;
}
