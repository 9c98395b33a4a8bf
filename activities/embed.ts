import { armEncoder, METRICS } from '../core/item-plan.js';
import { modelIdentity, type OptFeedbackRecipe, type RunManifest } from '../core/recipe.js';
import type { EmbedSubject } from '../core/refine-loop.js';
import { seedOf } from '../core/seeds.js';
import type { ArtifactRef, Digest } from '../core/types.js';
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

/** Torch's seed of the noise that masks pictures which are scored: the same for all, so that any two show the same patches. */
const SCORE_NOISE_SEED = 0;

/**
 * A picture or text as a vector (little-endian float32) by one encoder: a unit vector for scores, the mean of the visible
 * patches' features by ViT-MAE, or all of them for a critic that reads them row by row, the one number of a judgement.
 */
export function embedStep(services: ActivityServices): StepDefinition<EmbedOneInput, { embedding: ArtifactRef }> {
  return {
    step: 'embed',
    version: 2, // 2: pictures are resized as Pillow does it
    async prepare({ manifest, store }, { item, subject, encoder }) {
      return {
        inputs: inputsOf(subject),
        params: await paramsOf(subject),
        model: modelIdentity(manifest, encoderModel(manifest, encoder)),
        runtime: manifest.runtime,
        draw: 0,
      };

      async function paramsOf(what: EmbedSubject): Promise<Record<string, unknown>> {
        switch (what.role) {
          case 'caption':
            return { text: await readText({ store }, what.text) };
          case 'critic':
            return {
              image: what.image.digest,
              noiseSeed: seedOf(manifest.recipe.seed, item.id, 0),
              ...(readsAll(manifest, encoder) ? { features: 'all' } : {}),
            };
          case 'pair':
            return { image: what.image.digest, trueImage: what.trueImage.digest };
          case 'asked':
            return { image: what.image.digest, question: vqaQuestion(await readText({ store }, what.text)) };
          case 'picture':
          case 'true': {
            const masked = METRICS[encoder]?.model?.kind === 'vit-mae';
            return { image: what.image.digest, ...(masked ? { noiseSeed: SCORE_NOISE_SEED } : {}) };
          }
        }
      }
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
          case 'pair': {
            const [image, reference] = await Promise.all([store.getArtifact(what.image), store.getArtifact(what.trueImage)]);
            return Float32Array.of(await host.imageDistance({ model, batching, image, reference }, options));
          }
          case 'asked': {
            const request = { model, batching, image: await store.getArtifact(what.image), question: params['question'] as string };
            return Float32Array.of(await host.probabilityOfYes(request, options));
          }
          case 'critic':
          case 'picture':
          case 'true': {
            const image = await store.getArtifact(what.image);
            const noiseSeed = params['noiseSeed'] as number | undefined;
            if (noiseSeed === undefined) return host.embedImage({ model, batching, image }, options);
            const all = params['features'] === 'all' ? ({ all: true } as const) : {};
            return host.imageFeatures({ model, batching, image, noiseSeed, ...all }, options);
          }
        }
      }
    },
    read: ({ outputs }) => ({ embedding: outputs['embedding']! }),
  };
}

/** Lin et al., arXiv 2404.01291, section 3. */
const vqaQuestion = (caption: string): string => `Does this figure show "${caption}"? Please answer yes or no.`;

function inputsOf(subject: EmbedSubject): Digest[] {
  switch (subject.role) {
    case 'caption':
      return [];
    case 'pair':
      return [subject.image.digest, subject.trueImage.digest];
    default:
      return [subject.image.digest];
  }
}

/** Copies, because a view needs an offset that is a multiple of four. Not by slice(), which of a Buffer is a view itself. */
export function asFloat32(bytes: Uint8Array): Float32Array {
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

/** The critic that an encoder sees for; `null` for those of scores. */
function criticOf({ recipe }: RunManifest, encoder: string): OptFeedbackRecipe | null {
  const feedback = recipe.arms.find(({ name }) => armEncoder(name) === encoder)?.feedback;
  return feedback?.source === 'opt' ? feedback : null;
}

function readsAll(manifest: RunManifest, encoder: string): boolean {
  const critic = criticOf(manifest, encoder);
  return critic !== null && manifest.models[critic.model]?.imageFeatures === 'all';
}

function encoderModel(manifest: RunManifest, encoder: string): string {
  const critic = criticOf(manifest, encoder);
  if (critic) return critic.imageEncoder;
  const { recipe } = manifest;
  const { select, primary, report } = recipe.scores;
  const score = [primary, select, ...report].find((s) => s.metric === encoder);
  if (!score?.model) throw new Error(`no model for ${encoder} in the recipe`);
  return score.model;
}
