import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import type { PromptText } from '../../../core/policy/refine.js';
import type { SchedulerName } from '../../../core/recipe.js';
import type { Tokens } from '../../../core/types.js';
import { ClipTokenizer } from '../clip-tokenizer.js';
import { readModelJson } from '../model-json.js';
import type { FloatTensor, OnnxModel } from '../onnx-model.js';
import { checkFinite, toPixels, toPng } from '../picture.js';
import { createScheduler, parseSchedulerConfig, type Scheduler, type SchedulerConfig } from '../schedulers/index.js';
import type { Sessions } from '../sessions.js';
import { TorchRandom } from '../torch-random.js';
import type { Checkpoint } from './checkpoint.js';
import { classifierFreeGuidance } from './classifier-free-guidance.js';
import { encodeNegative, encodePrompt } from './prompt-encoding.js';

const unetSchema = z.looseObject({ in_channels: z.number().int().positive().default(4), sample_size: z.number().int().positive() });
const vaeSchema = z.looseObject({
  block_out_channels: z.array(z.number()).min(1),
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullish(),
});

export interface TextToImageRequest {
  prompt: PromptText;
  negativePrompt: string;
  /** `null`: the model's own. */
  scheduler: SchedulerName | null;
  numInferenceSteps: number;
  /** At most 1: no guidance, one model evaluation a step instead of two. */
  guidanceScale: number;
  /** torch's seed. */
  seed: number;
  /** Pixels; `null`: what the model was trained on. */
  height: number | null;
  width: number | null;
  /** Goes on from there instead of from noise: the picture is the same. */
  resume?: Checkpoint;
}

export interface Picture {
  png: Uint8Array;
  width: number;
  height: number;
  tokens: Tokens;
  /** Time of the whole generation, without loading the model. */
  seconds: number;
}

export interface GenerationHooks {
  /** After each denoising step; `done` counts from 1. */
  onStep?: (done: number, total: number) => void;
  /** Every {@link CHECKPOINT_STEPS} denoising steps of a generation that is slow enough for it, and when it is cancelled. */
  onCheckpoint?: (checkpoint: Checkpoint) => void;
  /** Looked at between denoising steps; its reason is thrown. */
  signal?: AbortSignal;
}

/** What a kill costs at most, in denoising steps. */
export const CHECKPOINT_STEPS = 5;
/** What takes less is sooner made again than written down. */
const CHECKPOINT_SECONDS = 1;

interface Parts {
  tokenizer: ClipTokenizer;
  textEncoder: OnnxModel;
  unet: OnnxModel;
  vaeDecoder: OnnxModel;
  schedulerConfig: SchedulerConfig;
  unetConfig: z.infer<typeof unetSchema>;
  vaeConfig: z.infer<typeof vaeSchema>;
}

/** Stable Diffusion from a folder in diffusers' ONNX layout; gives what diffusers' `StableDiffusionPipeline` gives. */
export class TextToImage {
  private constructor(private readonly parts: Parts) {}

  /** Throws InvalidInput, which names the file, where the folder is not complete or not of this kind. */
  static async load(folder: string, sessions: Sessions): Promise<TextToImage> {
    const config = async <T>(file: string, schema: z.ZodType<T>): Promise<T> => {
      const result = schema.safeParse(await readModelJson(join(folder, file)));
      if (!result.success) throw new InvalidInput(`${join(folder, file)}: ${z.prettifyError(result.error)}`);
      return result.data;
    };
    await readModelJson(join(folder, 'model_index.json'));
    const schedulerFile = join(folder, 'scheduler', 'scheduler_config.json');
    const parts: Parts = {
      tokenizer: await ClipTokenizer.load(join(folder, 'tokenizer')),
      schedulerConfig: parseSchedulerConfig(await readModelJson(schedulerFile), schedulerFile),
      unetConfig: await config('unet/config.json', unetSchema),
      vaeConfig: await config('vae_decoder/config.json', vaeSchema),
      textEncoder: await sessions.load(join(folder, 'text_encoder', 'model.onnx')),
      unet: await sessions.load(join(folder, 'unet', 'model.onnx')),
      vaeDecoder: await sessions.load(join(folder, 'vae_decoder', 'model.onnx')),
    };
    parts.textEncoder.expectInputs(['input_ids']);
    parts.unet.expectInputs(['sample', 'timestep', 'encoder_hidden_states']);
    parts.vaeDecoder.expectInputs(['latent_sample']);
    return new TextToImage(parts);
  }

  /**
   * Throws InvalidInput (size, steps), ModelOutputInvalid (NaN or infinity), OutOfMemory, or the signal's reason.
   * The event loop is blocked during each model evaluation and free between denoising steps.
   */
  async generate(request: TextToImageRequest, hooks: GenerationHooks = {}): Promise<Picture> {
    const started = performance.now();
    const { height, width } = this.size(request);
    const { latents, tokens } = await this.denoise(request, hooks);
    const pixels = await this.decode(latents, height, width);
    const png = await toPng(pixels, height, width);
    return { png, width, height, tokens, seconds: (performance.now() - started) / 1000 };
  }

  /** The denoised latents, float32 [1, channels, height / factor, width / factor], before the VAE's scaling. */
  async denoise(request: TextToImageRequest, hooks: GenerationHooks = {}): Promise<{ latents: FloatTensor; tokens: Tokens }> {
    const { unetConfig, schedulerConfig } = this.parts;
    const { height, width } = this.size(request);
    const scheduler = createScheduler(schedulerConfig, request.scheduler);
    scheduler.setTimesteps(request.numInferenceSteps);

    const guided = request.guidanceScale > 1;
    const { textEncoder, tokenizer } = this.parts;
    const prompt = await encodePrompt(request.prompt, tokenizer, textEncoder);
    const context = guided
      ? concat(await encodeNegative(request.negativePrompt, prompt.states, tokenizer, textEncoder), prompt.states)
      : prompt.states;
    const contextTensor = this.parts.unet.tensor('encoder_hidden_states', context.data, context.dims);

    const dims = [1, unetConfig.in_channels, height / this.vaeFactor, width / this.vaeFactor];
    const noise = new TorchRandom(request.seed).randn(dims.reduce((a, b) => a * b));
    const total = scheduler.timesteps.length;
    const resume = usable(request.resume, noise.length, total);
    let sample: Float32Array = resume?.latents ?? noise.map((x) => x * scheduler.initNoiseSigma);
    if (resume) scheduler.restore(resume.done, resume.scheduler);
    const begun = performance.now();
    let kept = begun;
    for (const [i, timestep] of scheduler.timesteps.entries()) {
      if (i < (resume?.done ?? 0)) continue;
      if (hooks.signal?.aborted && i > (resume?.done ?? 0) && performance.now() - begun > CHECKPOINT_SECONDS * 1000)
        hooks.onCheckpoint?.({ done: i, latents: sample, scheduler: scheduler.save() });
      hooks.signal?.throwIfAborted();
      const output = await this.predict(scheduler, sample, dims, timestep, contextTensor);
      sample = scheduler.step(guided ? classifierFreeGuidance(output, request.guidanceScale) : output, timestep, sample);
      checkFinite(sample, `the latents after step ${i + 1} of ${total}`);
      hooks.onStep?.(i + 1, total);
      const isDue = (i + 1) % CHECKPOINT_STEPS === 0 && i + 1 < total && performance.now() - kept > CHECKPOINT_SECONDS * 1000;
      if (isDue) {
        hooks.onCheckpoint?.({ done: i + 1, latents: sample, scheduler: scheduler.save() });
        kept = performance.now();
      }
      await setImmediate(); // Lets a cancellation in: run() blocks the event loop.
    }
    hooks.signal?.throwIfAborted();
    return { latents: { data: sample, dims }, tokens: prompt.tokens };
  }

  /** 8-bit RGB, row by row. */
  private async decode(latents: FloatTensor, height: number, width: number): Promise<Uint8Array> {
    const { vaeDecoder, vaeConfig } = this.parts;
    const shift = vaeConfig.shift_factor ?? 0;
    const scaled = latents.data.map((x) => Math.fround(x / vaeConfig.scaling_factor) + shift);
    const decoded = await vaeDecoder.run({ latent_sample: vaeDecoder.tensor('latent_sample', scaled, latents.dims) });
    return toPixels(decoded.data, height, width);
  }

  private async predict(scheduler: Scheduler, sample: Float32Array, dims: number[], timestep: number, context: Context) {
    const { unet } = this.parts;
    const input = scheduler.scaleModelInput(sample, timestep);
    const batch = context.dims[0]!;
    const repeated = new Float32Array(batch * input.length);
    for (let i = 0; i < batch; i++) repeated.set(input, i * input.length);
    const { shape } = unet.input('timestep');
    const output = await unet.run({
      sample: unet.tensor('sample', repeated, [batch, ...dims.slice(1)]),
      // Exports declare a scalar or one timestep for the whole batch.
      timestep: unet.tensor('timestep', [timestep], shape.length === 0 ? [] : [1]),
      encoder_hidden_states: context,
    });
    return output.data;
  }

  /** Pixels along an edge for each latent. */
  private get vaeFactor(): number {
    return 2 ** (this.parts.vaeConfig.block_out_channels.length - 1);
  }

  private size({ height, width }: TextToImageRequest): { height: number; width: number } {
    const own = this.parts.unetConfig.sample_size * this.vaeFactor;
    for (const pixels of [height, width]) {
      if (pixels !== null && (!Number.isInteger(pixels / this.vaeFactor) || pixels <= 0)) {
        throw new InvalidInput(`height and width must be positive multiples of ${this.vaeFactor}, got ${pixels}`);
      }
    }
    return { height: height ?? own, width: width ?? own };
  }
}

/** One of another size or number of steps is of another request. */
function usable(resume: Checkpoint | undefined, latents: number, total: number): Checkpoint | undefined {
  return resume && resume.latents.length === latents && resume.done < total ? resume : undefined;
}

type Context = ReturnType<OnnxModel['tensor']>;

function concat(a: FloatTensor, b: FloatTensor): FloatTensor {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { data, dims: [a.dims[0]! + b.dims[0]!, ...a.dims.slice(1)] };
}
