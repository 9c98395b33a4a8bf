import { promptText } from '../core/policy/refine.js';
import { DeviceLost, RefineError, type FailureCode } from '../core/errors.js';
import { modelIdentity, type RunManifest } from '../core/recipe.js';
import { seedOf } from '../core/seeds.js';
import type { ArtifactRef, Digest, RefinedPrompt, TextValue, Tokens } from '../core/types.js';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  type Checkpoint,
  type GenerateRequest,
  type InferenceHost,
} from '../engine/inference/index.js';
import type { StepDefinition } from './run-step.js';
import type { ActivityServices, RunContext } from './services.js';
import type { GenerateInput } from './types.js';

/** Failures that say nothing against the request's next try on the same device. */
const LOST_WITH_DEVICE: readonly FailureCode[] = ['HostCrashed', 'OutOfMemory', 'DeviceLost'];

type Made = { image: ArtifactRef; seed: number; tokens: Tokens };

/** Thrown when a generation is lost that has left a checkpoint: it is best gone on with where its models are loaded. */
export class LeftHalfMade extends RefineError {
  constructor(
    cause: RefineError,
    /** Name of the worker that has them; `null` where it has no queue of its own. */
    readonly worker: string | null,
  ) {
    super(cause.code, cause.message, { cause });
  }
}

/** A picture from a prompt and a seed, or from a picture as well. Its parents are the feedback texts in the prompt, and that picture. */
export function generateStep(services: ActivityServices): StepDefinition<GenerateInput, Made> {
  return {
    step: 'generate',
    version: 1,
    async prepare({ manifest, store }, { item, at, prompt: refined, start }) {
      const { model, scheduler, numInferenceSteps, guidanceScale, negativePrompt, height, width, promptWeights, vaeTiling } =
        manifest.recipe.generator;
      const texts = await Promise.all(refined.parts.map((part) => readText({ store }, part)));
      const prompt = promptText(refined, texts, manifest.recipe.glossary);
      const seed = seedOf(manifest.recipe.seed, item.id, at.draw);
      return {
        inputs: [...lineage(refined), ...(start ? [start.image.digest] : [])],
        params: {
          ...{ prompt, negativePrompt, scheduler, numInferenceSteps, guidanceScale, height, width, seed },
          // Absent where not asked for: the keys of steps without them stay what they were.
          ...(promptWeights ? { promptWeights } : {}),
          ...(vaeTiling ? { vaeTiling } : {}),
          ...(start ? { start: { image: start.image.digest, strength: start.strength } } : {}),
        },
        model: modelIdentity(manifest, model),
        runtime: manifest.runtime,
        draw: at.draw,
      };
    },
    async execute({ manifest, store }, _input, { inputs, params }, { key, signal, progress, started }) {
      const request = await generateRequest(store, params);
      const model = services.modelFolder(manifest, manifest.recipe.generator.model);
      const found = await store.checkpoints.find(key);
      const resume = found && decodeCheckpoint(found);
      // One after the other; a store that is away costs the checkpoint, not the picture.
      let isKept = found !== undefined;
      let writing: Promise<unknown> = Promise.resolve();
      const onCheckpoint = (checkpoint: Checkpoint) => {
        isKept = true;
        writing = writing.then(() => store.checkpoints.write(key, encodeCheckpoint(checkpoint))).catch(() => undefined);
      };
      const options = { signal, onProgress: progress, onStart: started, onCheckpoint };
      const { batching } = manifest.runtime;
      const host = hostOf(services, manifest);
      const made = await host
        .generate({ model, batching, ...request, ...(resume ? { resume } : {}) }, options)
        .catch(async (error: unknown) => {
          await writing; // Whoever goes on with it finds it.
          throw isKept && RefineError.is(error) && LOST_WITH_DEVICE.includes(error.code) ? new LeftHalfMade(error, services.name) : error;
        });
      const image = await store.putArtifact(made.png, 'image/png', inputs);
      await writing;
      if (isKept) await store.checkpoints.remove(key).catch(() => undefined);
      const resumed = resume ? { resumedAfter: resume.done } : {};
      return {
        outputs: { image },
        values: { seed: request.seed, tokens: made.tokens, width: made.width, height: made.height, ...resumed },
      };
    },
    read: ({ outputs, values }) => ({ image: outputs['image']!, seed: values['seed'] as number, tokens: values['tokens'] as Tokens }),
  };
}

/** What the host is asked for, from the parameters of a generate step; the picture that it edits is read from the store. */
export async function generateRequest(
  store: Pick<RunContext['store'], 'getArtifact'>,
  params: Record<string, unknown>,
): Promise<Omit<GenerateRequest, 'model'>> {
  const start = params['start'] as { image: Digest; strength: number } | undefined;
  const picture = start && { image: await store.getArtifact(start.image), strength: start.strength };
  return { ...(params as unknown as Omit<GenerateRequest, 'model' | 'start'>), ...(picture ? { start: picture } : {}) };
}

/**
 * The device's host. A step that needs one and lands where there is none has been sent to the wrong queue; one whose
 * run is keyed for another execution provider would be recorded under a runtime that it did not run on.
 */
export function hostOf(services: ActivityServices, { runtime }: RunManifest): InferenceHost {
  const { host } = services;
  if (!host) throw new DeviceLost('this worker has no inference host; model steps belong on the gpu queue');
  if (host.provider !== runtime.provider)
    throw new DeviceLost(
      `this worker runs on ${host.provider}, the run on ${runtime.provider}; start it with --provider ${runtime.provider}`,
    );
  return host;
}

/** A text that travels inline or by reference. */
export async function readText({ store }: Pick<RunContext, 'store'>, value: TextValue): Promise<string> {
  if (value.text !== undefined) return value.text;
  if (!value.ref) throw new Error('a text has neither its words nor a reference');
  return Buffer.from(await store.getArtifact(value.ref)).toString('utf8');
}

function lineage({ parts }: RefinedPrompt): Digest[] {
  return parts.flatMap((part) => (part.ref ? [part.ref.digest] : []));
}
