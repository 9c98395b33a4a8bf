import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import type { PromptText } from '../../../core/policy/refine.js';
import type { SchedulerName } from '../../../core/recipe.js';
import type { Tokens } from '../../../core/types.js';
import { ClipTokenizer } from '../clip-tokenizer.js';
import { MicroBatcher, type Batching, type Feed } from '../micro-batching.js';
import { readModelJson } from '../model-json.js';
import type { FloatTensor, OnnxModel } from '../onnx-model.js';
import { toPixels, toPng } from '../picture.js';
import { createScheduler, parseSchedulerConfig, type SchedulerFile } from '../schedulers/index.js';
import type { Sessions } from '../sessions.js';
import type { Checkpoint } from './checkpoint.js';
import { Generation, type Conditioning } from './generation.js';
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
  /** Every few denoising steps of a generation that is slow enough for it, and when it is cancelled. */
  onCheckpoint?: (checkpoint: Checkpoint) => void;
  /** Looked at between denoising steps; its reason is thrown. */
  signal?: AbortSignal;
  /** What came of this one, while others that are made beside it may go on. */
  onSettled?: (outcome: PromiseSettledResult<Picture>) => void;
}

/** One of several that are made side by side. */
export interface AskedPicture {
  request: TextToImageRequest;
  hooks: GenerationHooks;
}

interface Parts {
  tokenizer: ClipTokenizer;
  textEncoder: OnnxModel;
  unet: OnnxModel;
  vaeDecoder: OnnxModel;
  schedulerConfig: SchedulerFile;
  unetConfig: z.infer<typeof unetSchema>;
  vaeConfig: z.infer<typeof vaeSchema>;
}

/** Stable Diffusion from a folder in diffusers' ONNX layout; gives what diffusers' `StableDiffusionPipeline` gives. */
export class TextToImage {
  private readonly unet: MicroBatcher;
  private readonly timestepDims: number[];

  private constructor(
    private readonly parts: Parts,
    private readonly sessions: Sessions,
  ) {
    this.unet = new MicroBatcher(parts.unet, ['timestep']);
    this.timestepDims = parts.unet.input('timestep').shape.length === 0 ? [] : [1];
  }

  /** Of its weights. */
  get bytes(): number {
    return this.sessions.bytes;
  }

  release(): Promise<void> {
    return this.sessions.release();
  }

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
    return new TextToImage(parts, sessions);
  }

  /** One picture; fails as {@link generateAll} says. */
  async generate(request: TextToImageRequest, hooks: GenerationHooks = {}): Promise<Picture> {
    return settled((await this.generateAll([{ request, hooks }], 'exact'))[0]!);
  }

  /**
   * Pictures of one scheduler, number of steps, size and kind of guidance, side by side: each denoising step of all of them is as few calls of the UNet
   * as `batching` allows. One that fails or is cancelled leaves the others alone: InvalidInput (size, steps), ModelOutputInvalid (NaN or infinity),
   * OutOfMemory, or its signal's reason. The event loop is blocked during each model evaluation and free between denoising steps.
   */
  async generateAll(asked: readonly AskedPicture[], batching: Batching): Promise<Array<PromiseSettledResult<Picture>>> {
    const started = performance.now();
    const denoised = await this.denoiseAll(asked, batching);
    const pictures: Array<PromiseSettledResult<Picture>> = [];
    for (const [i, one] of denoised.entries()) {
      const picture = await settle(() => this.picture(settled(one), asked[i]!.request, started));
      if (one.status === 'fulfilled') asked[i]!.hooks.onSettled?.(picture);
      pictures.push(picture);
    }
    return pictures;
  }

  /** The denoised latents, float32 [1, channels, height / factor, width / factor], before the VAE's scaling. */
  async denoise(request: TextToImageRequest, hooks: GenerationHooks = {}): Promise<Pick<Generation, 'latents' | 'tokens'>> {
    return settled((await this.denoiseAll([{ request, hooks }], 'exact'))[0]!);
  }

  private async denoiseAll(asked: readonly AskedPicture[], batching: Batching): Promise<Array<PromiseSettledResult<Generation>>> {
    const results: Array<PromiseSettledResult<Generation>> = [];
    const attempt = async (i: number, work: () => Generation | Promise<Generation>) => {
      const result = (results[i] = await settle(work));
      if (result.status === 'rejected') asked[i]!.hooks.onSettled?.(result);
    };
    for (const [i, one] of asked.entries()) await attempt(i, () => this.begin(one));
    const open = () => results.flatMap((one, i) => (one.status === 'fulfilled' && one.value.done < one.value.total ? [i] : []));
    for (let rest = open(); rest.length > 0; rest = open()) {
      const at = (i: number) => settled(results[i]!);
      for (const i of rest) await attempt(i, () => (at(i).throwIfAborted(), at(i)));
      const live = rest.filter((i) => results[i]!.status === 'fulfilled');
      const outputs = await this.predict(
        live.map((i) => at(i).feed(this.timestepDims)),
        batching,
      );
      for (const [k, i] of live.entries()) await attempt(i, () => (at(i).advance(settled(outputs[k]!)), at(i)));
      await setImmediate(); // Lets a cancellation in: run() blocks the event loop.
    }
    return results;
  }

  /** What the UNet says to each; where a call fails, each is asked by itself, so that only one that fails alone has failed. */
  private async predict(feeds: Feed[], batching: Batching): Promise<Array<PromiseSettledResult<FloatTensor>>> {
    const together = await settle(() => this.unet.run(feeds, batching));
    if (together.status === 'fulfilled') return together.value.map((value) => ({ status: 'fulfilled', value }));
    if (feeds.length === 1) return [together];
    const each: Array<PromiseSettledResult<FloatTensor>> = [];
    for (const feed of feeds) each.push(await settle(async () => (await this.unet.run([feed], batching))[0]!));
    return each;
  }

  private async begin({ request, hooks }: AskedPicture): Promise<Generation> {
    const { unetConfig, schedulerConfig } = this.parts;
    const { height, width } = this.size(request);
    const scheduler = createScheduler(schedulerConfig, request.scheduler);
    scheduler.setTimesteps(request.numInferenceSteps);
    const dims = [1, unetConfig.in_channels, height / this.vaeFactor, width / this.vaeFactor];
    return new Generation(request, hooks, scheduler, dims, await this.condition(request));
  }

  private async condition({ prompt, negativePrompt, guidanceScale }: TextToImageRequest): Promise<Conditioning> {
    const { textEncoder, tokenizer } = this.parts;
    const { states, tokens } = await encodePrompt(prompt, tokenizer, textEncoder);
    if (guidanceScale <= 1) return { context: states, tokens };
    return { context: concat(await encodeNegative(negativePrompt, states, tokenizer, textEncoder), states), tokens };
  }

  private async picture({ hooks, latents, tokens }: Generation, request: TextToImageRequest, started: number): Promise<Picture> {
    hooks.signal?.throwIfAborted();
    const { height, width } = this.size(request);
    const png = await toPng(await this.decode(latents, height, width), height, width);
    return { png, width, height, tokens, seconds: (performance.now() - started) / 1000 };
  }

  /** 8-bit RGB, row by row. */
  private async decode(latents: FloatTensor, height: number, width: number): Promise<Uint8Array> {
    const { vaeDecoder, vaeConfig } = this.parts;
    const shift = vaeConfig.shift_factor ?? 0;
    const scaled = latents.data.map((x) => Math.fround(x / vaeConfig.scaling_factor) + shift);
    const decoded = await vaeDecoder.run({ latent_sample: vaeDecoder.tensor('latent_sample', scaled, latents.dims) });
    return toPixels(decoded.data, height, width);
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

async function settle<T>(work: () => T | Promise<T>): Promise<PromiseSettledResult<T>> {
  try {
    return { status: 'fulfilled', value: await work() };
  } catch (reason) {
    return { status: 'rejected', reason };
  }
}

function settled<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

function concat(a: FloatTensor, b: FloatTensor): FloatTensor {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { data, dims: [a.dims[0]! + b.dims[0]!, ...a.dims.slice(1)] };
}
