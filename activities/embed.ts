import { armEncoder } from '../core/item-plan.js';
import { modelIdentity, type RunManifest } from '../core/recipe.js';
import type { EmbedSubject } from '../core/refine-loop.js';
import { seedOf } from '../core/seeds.js';
import type { ArtifactRef } from '../core/types.js';
import { hostOf, readText } from './generate.js';
import type { StepDefinition } from './run-step.js';
import type { ActivityServices } from './services.js';
import type { ItemRef } from './types.js';

export interface EmbedOneInput {
  item: ItemRef;
  subject: EmbedSubject;
  /** The score that reads the embedding, or `arm:<name>` for a critic's own encoder; the recipe names its model. */
  encoder: string;
}

/**
 * A picture or text as a vector (little-endian float32) by one encoder: a unit vector for scores, the mean of the visible
 * patches' features for a critic.
 */
export function embedStep(services: ActivityServices): StepDefinition<EmbedOneInput, { embedding: ArtifactRef }> {
  return {
    step: 'embed',
    version: 1,
    async prepare({ manifest, store }, { item, subject, encoder }) {
      const params =
        subject.role === 'caption'
          ? { text: await readText({ store }, subject.text) }
          : subject.role === 'critic'
            ? { image: subject.image.digest, noiseSeed: seedOf(manifest.recipe.seed, item.id, 0) }
            : { image: subject.image.digest };
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
      const options = { signal, onStart: started };
      const { batching } = manifest.runtime;
      const vector = await embed(subject);
      const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
      return {
        outputs: { embedding: await store.putArtifact(bytes, 'application/vnd.refineloop.float32', inputs) },
        values: { dimensions: vector.length },
      };

      async function embed(what: EmbedSubject): Promise<Float32Array> {
        switch (what.role) {
          case 'caption':
            return host.embedText({ model, batching, text: params['text'] as string }, options);
          case 'critic':
            return host.meanPatch(
              { model, batching, image: await store.getArtifact(what.image), noiseSeed: params['noiseSeed'] as number },
              options,
            );
          case 'picture':
          case 'true':
            return host.embedImage({ model, batching, image: await store.getArtifact(what.image) }, options);
        }
      }
    },
    read: ({ outputs }) => ({ embedding: outputs['embedding']! }),
  };
}

/** Copies, because a view needs an offset that is a multiple of four. Not by slice(), which of a Buffer is a view itself. */
export function asFloat32(bytes: Uint8Array): Float32Array {
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

function encoderModel({ recipe }: RunManifest, encoder: string): string {
  const critic = recipe.arms.find(({ name }) => armEncoder(name) === encoder)?.feedback;
  if (critic?.source === 'opt') return critic.imageEncoder;
  const { select, primary, report } = recipe.scores;
  const score = [primary, select, ...report].find((s) => s.metric === encoder);
  if (!score?.model) throw new Error(`no model for ${encoder} in the recipe`);
  return score.model;
}
