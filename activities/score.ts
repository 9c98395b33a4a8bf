import { metricOf, scoreNames } from '../core/item-plan.js';
import type { ArtifactRef, Digest } from '../core/types.js';
import { scoreImage } from '../engine/metrics/index.js';
import { asFloat32 } from './embed.js';
import type { StepDefinition } from './run-step.js';
import type { ScoreInput } from './types.js';

/** All scores of a picture at once, from its pixels and embeddings; those that need a true picture are left out where there is none. */
export const scoreStep: StepDefinition<ScoreInput, { scores: Record<string, number> }> = {
  step: 'score',
  version: 1,
  prepare: ({ manifest }, { subject }) => {
    const metrics = scoreNames(manifest.recipe).filter((name) => subject.trueImage !== null || !metricOf(name).needsTrueImage);
    const digests = (refs: Record<string, ArtifactRef>): Digest[] =>
      Object.keys(refs)
        .sort()
        .map((name) => refs[name]!.digest);
    const inputs = [
      subject.image.digest,
      ...(subject.trueImage ? [subject.trueImage.digest] : []),
      ...digests(subject.embeddings),
      ...digests(subject.references),
    ];
    return Promise.resolve({ inputs, params: { metrics }, model: null, runtime: null, draw: 0 });
  },
  async execute({ store }, { subject }, { params }) {
    const vectors = async (refs: Record<string, ArtifactRef>) =>
      Object.fromEntries(
        await Promise.all(Object.entries(refs).map(async ([name, ref]) => [name, asFloat32(await store.getArtifact(ref))] as const)),
      );
    const image = await store.getArtifact(subject.image);
    const trueImage = subject.trueImage ? await store.getArtifact(subject.trueImage) : undefined;
    const metrics = params['metrics'] as string[];
    const scores = await scoreImage(metrics, { image, trueImage }, await vectors(subject.embeddings), await vectors(subject.references));
    return { outputs: {}, values: { scores } };
  },
  read: ({ values }) => ({ scores: values['scores'] as Record<string, number> }),
};
