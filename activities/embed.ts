import { modelIdentity, type RunManifest } from '../core/recipe.js';
import type { EmbedSubject } from '../core/refine-loop.js';
import type { ArtifactRef } from '../core/types.js';
import { hostOf, readText } from './generate.js';
import type { StepDefinition } from './run-step.js';
import type { ActivityServices } from './services.js';

export interface EmbedOneInput {
  subject: EmbedSubject;
  /** The score that reads the embedding; the recipe names its model. */
  encoder: string;
}

/** A picture or text as a unit vector (little-endian float32) by one encoder. */
export function embedStep(services: ActivityServices): StepDefinition<EmbedOneInput, { embedding: ArtifactRef }> {
  return {
    step: 'embed',
    version: 1,
    async prepare({ manifest, store }, { subject, encoder }) {
      const params = subject.role === 'caption' ? { text: await readText({ store }, subject.text) } : { image: subject.image.digest };
      return {
        inputs: subject.role === 'caption' ? [] : [subject.image.digest],
        params,
        model: modelIdentity(manifest, encoderModel(manifest, encoder)),
        runtime: manifest.runtime,
        draw: 0,
      };
    },
    async execute({ manifest, store }, { subject, encoder }, { inputs, params }, { signal, started }) {
      const model = services.modelFolder(manifest, encoderModel(manifest, encoder));
      const host = hostOf(services, manifest);
      const vector =
        subject.role === 'caption'
          ? await host.embedText({ model, text: params['text'] as string }, { signal, onStart: started })
          : await host.embedImage({ model, image: await store.getArtifact(subject.image) }, { signal, onStart: started });
      const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
      return {
        outputs: { embedding: await store.putArtifact(bytes, 'application/vnd.refineloop.float32', inputs) },
        values: { dimensions: vector.length },
      };
    },
    read: ({ outputs }) => ({ embedding: outputs['embedding']! }),
  };
}

function encoderModel({ recipe }: RunManifest, encoder: string): string {
  const { select, primary, report } = recipe.scores;
  const score = [primary, select, ...report].find((s) => s.metric === encoder);
  if (!score?.model) throw new Error(`no model for ${encoder} in the recipe`);
  return score.model;
}
