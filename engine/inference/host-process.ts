/**
 * The inference host's child process: runs models for its parent and nothing else. Started by {@link InferenceHost} with
 * its configuration as one JSON argument; speaks `host-protocol.ts` over the IPC channel.
 */
import { failureCode } from '../../core/errors.js';
import { memoized } from '../../core/memoized.js';
import { Encoder } from './encoders.js';
import type { FromHost, HostConfig, Task, Tasks, TaskName, ToHost } from './host-protocol.js';
import { TextToImage, type GenerationHooks } from './pipelines/text-to-image.js';
import { Sessions } from './sessions.js';
import { VitMae } from './vit-mae.js';

const config = JSON.parse(process.argv[2] ?? '{}') as HostConfig;
const sessions = new Sessions(config);
const loadTextToImage = memoized((folder: string) => TextToImage.load(folder, sessions));
const loadEncoder = memoized((folder: string) => Encoder.load(folder, sessions));
const loadVitMae = memoized((folder: string) => VitMae.load(folder, sessions));
// The library takes a while to load, and most devices never need it.
const loadOptFeedback = memoized(async (folder: string) => (await import('./opt-feedback.js')).OptFeedback.load(folder, config));

/** By request id, while it waits or runs. */
const cancellations = new Map<number, AbortController>();
let queue: Promise<void> = Promise.resolve();

async function perform(task: Task, hooks: GenerationHooks): Promise<Tasks[TaskName]['result']> {
  switch (task.name) {
    case 'generate':
      return (await loadTextToImage(task.request.model)).generate(task.request, hooks);
    case 'embedImage':
      return (await loadEncoder(task.request.model)).embedImage(task.request.image);
    case 'embedText':
      return (await loadEncoder(task.request.model)).embedText(task.request.text);
    case 'meanPatch':
      return (await loadVitMae(task.request.model)).meanPatch(task.request.image, task.request.noiseSeed);
    case 'writeFeedback':
      return (await loadOptFeedback(task.request.model)).write(task.request);
  }
}

async function run(id: number, task: Task, signal: AbortSignal): Promise<void> {
  try {
    signal.throwIfAborted();
    const result = await perform(task, {
      signal,
      onStep: (done, total) => send({ type: 'progress', id, done, total }),
      onCheckpoint: (checkpoint) => send({ type: 'checkpoint', id, checkpoint }),
    });
    send({ type: 'result', id, result });
  } catch (error) {
    if (signal.aborted) send({ type: 'cancelled', id });
    else send({ type: 'failed', id, code: failureCode(error), message: error instanceof Error ? error.message : String(error) });
  } finally {
    cancellations.delete(id);
  }
}

function send(message: FromHost): void {
  if (process.connected) process.send!(message);
}

process.on('message', (message: ToHost) => {
  switch (message.type) {
    case 'run': {
      const controller = new AbortController();
      cancellations.set(message.id, controller);
      queue = queue.then(() => run(message.id, message.task, controller.signal));
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
