/**
 * The inference host's child process: runs models for its parent and nothing else. Started by {@link InferenceHost} with
 * its configuration as one JSON argument; speaks `host-protocol.ts` over the IPC channel.
 */
import { failureCode, outputFault } from '../../core/errors.js';
import { Encoder } from './encoders.js';
import type { AnswerRequest, Batch, FromHost, HostConfig, Tasks, TaskName, ToHost } from './host-protocol.js';
import { ImageDistance } from './image-distance.js';
import { Blip2 } from './language/blip2.js';
import type { VisionLanguage } from './language/vision-language.js';
import { LoadedModels } from './loaded-models.js';
import { OptFeedback } from './opt-feedback.js';
import { TextToImage, type GenerationHooks } from './pipelines/text-to-image.js';
import { Sessions } from './sessions.js';
import { VitMae } from './vit-mae.js';

const config = JSON.parse(process.argv[2] ?? '{}') as HostConfig;
const models = new LoadedModels(config.modelMemoryMb === undefined ? undefined : config.modelMemoryMb * 2 ** 20);

/** By request id, while it waits or runs. */
const cancellations = new Map<number, AbortController>();
let queue: Promise<void> = Promise.resolve();

type Outcome = PromiseSettledResult<Tasks[TaskName]['result']>;
type Hooks = GenerationHooks & { onSettled(outcome: Outcome): void };

/** Of each request of a batch. Throws what is wrong with all of them. */
async function perform({ name, requests }: Batch, hooks: GenerationHooks[]): Promise<Outcome[]> {
  const { model: folder, batching = 'exact' } = requests[0]!;
  switch (name) {
    case 'generate':
      return models.use(
        `diffusion ${folder}`,
        () => loaded((sessions) => TextToImage.load(folder, sessions)),
        (pipeline) =>
          pipeline.generateAll(
            requests.map((request, i) => ({ request, hooks: hooks[i]! })),
            batching,
          ),
      );
    case 'embedImage':
      return useEncoder(folder, (encoder) =>
        encoder.embedImages(
          requests.map(({ image }) => image),
          batching,
        ),
      );
    case 'embedText':
      return useEncoder(folder, (encoder) =>
        encoder.embedTexts(
          requests.map(({ text }) => text),
          batching,
        ),
      );
    case 'imageFeatures':
      return models.use(
        `vit-mae ${folder}`,
        () => loaded((sessions) => VitMae.load(folder, sessions)),
        async (vitMae) => (await vitMae.features(requests, batching)).map(fulfilled),
      );
    case 'imageDistance':
      return models.use(
        `image-distance ${folder}`,
        () => loaded((sessions) => ImageDistance.load(folder, sessions)),
        async (model) => (await model.distances(requests, batching)).map(fulfilled),
      );
    case 'probabilityOfYes':
      return models.use(
        `vlm ${folder}`,
        () => loadVisionLanguage(folder),
        (model) => oneByOne(requests, (request) => model.probabilityOfYes(request)),
      );
    case 'writeFeedback':
      return models.use(
        `opt ${folder}`,
        () => loaded((sessions) => OptFeedback.load(folder, config, sessions)),
        (critic) => oneByOne(requests, (request, i) => critic.write(request, hooks[i]!.signal)),
      );
    case 'answer': {
      const { layout } = requests[0]!;
      return models.use(
        `${layout} ${folder}`,
        () => loadAnswerer(layout, folder),
        (model) => oneByOne(requests, (request, i) => model.write(request, hooks[i]!.signal)),
      );
    }
  }
}

/** What a model that is incomplete has opened is closed again. */
async function loaded<T>(load: (sessions: Sessions) => Promise<T>): Promise<T> {
  const sessions = new Sessions(config, models.withRoom);
  try {
    return await load(sessions);
  } catch (error) {
    await sessions.release();
    throw error;
  }
}

const fulfilled = (value: Tasks[TaskName]['result']): Outcome => ({ status: 'fulfilled', value });

function useEncoder(folder: string, work: (encoder: Encoder) => Promise<Float32Array[]>): Promise<Outcome[]> {
  const load = () => loaded((sessions) => Encoder.load(folder, sessions));
  return models.use(`encoder ${folder}`, load, async (encoder) => (await work(encoder)).map(fulfilled));
}

function loadAnswerer(layout: AnswerRequest['layout'], folder: string): Promise<Blip2 | VisionLanguage> {
  return layout === 'blip2' ? loaded((sessions) => Blip2.load(folder, sessions)) : loadVisionLanguage(folder);
}

/** transformers.js takes a while to load, and most devices never need it. */
async function loadVisionLanguage(folder: string): Promise<VisionLanguage> {
  return (await import('./language/vision-language.js')).VisionLanguage.load(folder, config);
}

async function oneByOne<R>(requests: R[], answer: (request: R, i: number) => Promise<Tasks[TaskName]['result']>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [i, request] of requests.entries()) outcomes.push(fulfilled(await models.withRoom(() => answer(request, i))));
  return outcomes;
}

/** One picture that cannot be decoded fails its whole batch: then each is run by itself, so that only it fails. */
async function outcomes(batch: Batch, hooks: Hooks[]): Promise<Outcome[]> {
  try {
    return await perform(batch, hooks);
  } catch (reason) {
    if (batch.requests.length === 1) return [{ status: 'rejected', reason }];
    const each: Outcome[] = [];
    for (const [i, request] of batch.requests.entries()) {
      const [one] = await outcomes({ name: batch.name, requests: [request] } as Batch, [hooks[i]!]);
      hooks[i]!.onSettled(one!);
      each.push(one!);
    }
    return each;
  }
}

async function run(ids: number[], batch: Batch, signals: AbortSignal[]): Promise<void> {
  const hooks = ids.map((id, i): Hooks => ({
    signal: signals[i]!,
    onStep: (done, total) => send({ type: 'progress', id, done, total }),
    onCheckpoint: (checkpoint) => send({ type: 'checkpoint', id, checkpoint }),
    onSettled: (outcome) => cancellations.delete(id) && send(answer(id, outcome, signals[i]!)),
  }));
  const results = await outcomes(batch, hooks);
  for (const [i, { onSettled }] of hooks.entries()) onSettled(results[i]!);
}

function answer(id: number, outcome: Outcome, { aborted }: AbortSignal): FromHost {
  if (aborted) return { type: 'cancelled', id };
  if (outcome.status === 'fulfilled') return { type: 'result', id, result: outcome.value };
  const error: unknown = outcome.reason;
  const message = error instanceof Error ? error.message : String(error);
  return { type: 'failed', id, code: failureCode(error), reason: outputFault(error), message };
}

function send(message: FromHost): void {
  if (process.connected) process.send!(message);
}

process.on('message', (message: ToHost) => {
  switch (message.type) {
    case 'run': {
      const { ids, batch } = message;
      const signals = ids.map((id) => {
        const controller = new AbortController();
        cancellations.set(id, controller);
        return controller.signal;
      });
      queue = queue.then(() => run(ids, batch, signals));
      break;
    }
    case 'cancel':
      cancellations.get(message.id)?.abort();
      break;
    case 'ping':
      send({ type: 'pong' });
      break;
  }
});

// The parent is gone: nobody is left to answer.
process.on('disconnect', () => process.exit(0));
// Ctrl-C and a service manager's stop reach the whole process group; the parent decides when this process ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
