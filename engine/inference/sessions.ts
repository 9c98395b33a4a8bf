import { availableParallelism } from 'node:os';
import { InferenceSession } from 'onnxruntime-node';
import { DeviceLost, InvalidInput, OutOfMemory } from '../../core/errors.js';
import type { MakesRoom } from './loaded-models.js';
import { weightBytes } from './onnx-file.js';
import { OnnxModel, isOutOfMemory } from './onnx-model.js';

export interface SessionOptions {
  /** ONNX Runtime's name of the execution provider: `cpu`, `cuda`, ... */
  provider: string;
  /** Which of the provider's devices. */
  device: number;
  /** Threads inside one operator; default: as many as the machine has cores for this process. */
  threads?: number;
}

/** The ONNX sessions of one model: each file is loaded once, however many ask for it at the same time. */
export class Sessions {
  /** Of all weights that are loaded. */
  bytes = 0;
  private readonly loaded = new Map<string, Promise<OnnxModel>>();

  /** @param withRoom tries what fails for want of memory again; default: nothing is */
  constructor(
    private readonly options: SessionOptions,
    private readonly withRoom: MakesRoom = (work) => work(),
  ) {}

  /**
   * Throws InvalidInput, which names the file, when it is missing or no usable model or the provider is not there;
   * OutOfMemory when it does not fit. A failure is forgotten: the next call tries again.
   */
  load(file: string): Promise<OnnxModel> {
    let promise = this.loaded.get(file);
    if (!promise) {
      promise = this.withRoom(() => open(file, this.options, this.withRoom));
      this.loaded.set(file, promise);
      promise.then(
        ({ bytes }) => (this.bytes += bytes),
        () => this.loaded.delete(file),
      );
    }
    return promise;
  }

  /** Frees all of them. */
  async release(): Promise<void> {
    const models = await Promise.allSettled(this.loaded.values());
    this.loaded.clear();
    this.bytes = 0;
    for (const one of models) if (one.status === 'fulfilled') await one.value.release();
  }
}

type ExecutionProvider = InferenceSession.ExecutionProviderConfig;

/** How every session of a device is opened, also those that a library opens for us. */
export function sessionOptions({ provider, device, threads = availableParallelism() }: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: [provider === 'cpu' ? 'cpu' : ({ name: provider, deviceId: device } as ExecutionProvider)],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // A plan for shapes that come again is a block beside what the arena holds already: 1.6 times the memory, and no faster.
    enableMemPattern: false,
    // Threads that spin while they wait win a little on an idle machine and lose several times over on a busy one.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    logSeverityLevel: 3,
  };
}

async function open(file: string, options: SessionOptions, withRoom: MakesRoom): Promise<OnnxModel> {
  const bytes = await weightBytes(file);
  const { provider, device } = options;
  try {
    const session = await InferenceSession.create(file, sessionOptions(options));
    return new OnnxModel(file, session, bytes, withRoom);
  } catch (error) {
    const message = (error as Error).message;
    if (isOutOfMemory(message)) throw new OutOfMemory(`not enough memory to load ${file}: ${message}`, { cause: error });
    if (/backend not found|ExecutionProvider|provider/i.test(message)) {
      // Another worker may have it: nothing is wrong with the step.
      throw new DeviceLost(`execution provider ${provider} (device ${device}) is not available here: ${message}`, { cause: error });
    }
    throw new InvalidInput(`${file} cannot be loaded, it is corrupt or incomplete (${message}): export or copy the model folder again`, {
      cause: error,
    });
  }
}
