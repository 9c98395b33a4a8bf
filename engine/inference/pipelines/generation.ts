import type { Tokens } from '../../../core/types.js';
import type { Feed } from '../micro-batching.js';
import type { FloatTensor } from '../onnx-model.js';
import { checkFinite } from '../picture.js';
import type { NoiseSource, Scheduler } from '../schedulers/index.js';
import type { Checkpoint } from './checkpoint.js';
import { classifierFreeGuidance } from './classifier-free-guidance.js';
import type { GenerationHooks, TextToImageRequest } from './text-to-image.js';

/** What a kill costs at most, in denoising steps. */
export const CHECKPOINT_STEPS = 5;
/** What takes less is sooner made again than written down. */
const CHECKPOINT_SECONDS = 1;

/** What the UNet reads of the prompts: float32 [2, tokens, width] (without the caption, with it), or [1, ...] without guidance. */
export interface Conditioning {
  context: FloatTensor;
  /** Further inputs by name, each as many rows. */
  added: Record<string, FloatTensor>;
  tokens: Tokens;
}

/** One picture between noise and the VAE: its latents and its scheduler, from denoising step to denoising step. */
export class Generation {
  readonly tokens: Tokens;
  /** Denoising steps that are through. */
  done: number;
  private sample: Float32Array;
  private readonly guided: boolean;
  private readonly begun: { at: number; done: number };
  private readonly context: FloatTensor;
  private readonly added: Record<string, FloatTensor>;

  /**
   * @param scheduler laid out for the request's steps, and this generation's own
   * @param dims of the latents: [1, channels, height / factor, width / factor]
   * @param noise the generation's own stream; what comes next is the noise that it starts from
   * @param start latents of the picture that is edited, to be made noisy; without them, it begins with noise alone
   */
  constructor(
    private readonly request: Pick<TextToImageRequest, 'guidanceScale' | 'resume'>,
    readonly hooks: GenerationHooks,
    private readonly scheduler: Scheduler,
    private readonly dims: number[],
    { context, added, tokens }: Conditioning,
    private readonly noise: NoiseSource,
    start?: Float32Array,
  ) {
    this.tokens = tokens;
    this.context = context;
    this.added = added;
    this.guided = context.dims[0] === 2;
    const initial = this.noise();
    const resume = usable(request.resume, initial.length, this.total);
    this.done = resume?.done ?? 0;
    this.begun = { at: performance.now(), done: this.done };
    this.sample = resume?.latents ?? (start ? scheduler.addNoise(start, initial) : initial.map((x) => x * scheduler.initNoiseSigma));
    if (resume) scheduler.restore(resume.done, resume.scheduler, this.noise);
  }

  get total(): number {
    return this.scheduler.timesteps.length;
  }

  /** Of the next denoising step. */
  get timestep(): number {
    return this.scheduler.timesteps[this.done]!;
  }

  /** float32, before the VAE's scaling. */
  get latents(): FloatTensor {
    return { data: this.sample, dims: this.dims };
  }

  /** What the UNet is shown in the next step. `timestepDims`: exports declare a scalar or one timestep for the whole batch. */
  feed(timestepDims: number[]): Feed {
    const input = this.scheduler.scaleModelInput(this.sample, this.timestep);
    const rows = this.context.dims[0]!;
    const repeated = new Float32Array(rows * input.length);
    for (let i = 0; i < rows; i++) repeated.set(input, i * input.length);
    return {
      sample: { values: repeated, dims: [rows, ...this.dims.slice(1)] },
      timestep: { values: [this.timestep], dims: timestepDims },
      encoder_hidden_states: { values: this.context.data, dims: this.context.dims },
      ...Object.fromEntries(Object.entries(this.added).map(([name, { data, dims }]) => [name, { values: data, dims }])),
    };
  }

  /** Takes the UNet's output for {@link feed}. Throws ModelOutputInvalid where it leads to NaN or infinity. */
  advance({ data }: FloatTensor): void {
    const output = this.guided ? classifierFreeGuidance(data, this.request.guidanceScale) : data;
    this.sample = this.scheduler.step(output, this.timestep, this.sample, this.noise);
    this.done++;
    checkFinite(this.sample, `the latents after step ${this.done} of ${this.total}`);
    this.hooks.onStep?.(this.done, this.total);
    const isDue = this.done % CHECKPOINT_STEPS === 0 && this.done < this.total;
    if (isDue && isSlow(this.begun.at)) this.keep();
  }

  /** Throws the signal's reason once it is aborted, and leaves a checkpoint of what has taken long enough. */
  throwIfAborted(): void {
    const { signal } = this.hooks;
    if (signal?.aborted && this.done > this.begun.done && isSlow(this.begun.at)) this.keep();
    signal?.throwIfAborted();
  }

  private keep(): void {
    this.hooks.onCheckpoint?.({ done: this.done, latents: this.sample, scheduler: this.scheduler.save() });
  }
}

const isSlow = (since: number): boolean => performance.now() - since > CHECKPOINT_SECONDS * 1000;

/** One of another size or number of steps is of another request. */
function usable(resume: Checkpoint | undefined, latents: number, total: number): Checkpoint | undefined {
  return resume && resume.latents.length === latents && resume.done < total ? resume : undefined;
}
