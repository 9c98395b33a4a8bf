import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { InvalidInput } from '../../../core/errors.js';
import type { PromptText } from '../../../core/policy/refine.js';
import type { SchedulerName } from '../../../core/recipe.js';
import type { Tokens } from '../../../core/types.js';
import { ClipTokenizer } from '../clip-tokenizer.js';
import { MicroBatcher, type Batching, type Feed } from '../micro-batching.js';
import { onnxFile } from '../model-folder.js';
import { readModelConfig } from '../model-json.js';
import { XL_INPUTS } from '../model-layouts.js';
import type { FloatTensor, OnnxModel } from '../onnx-model.js';
import { fromPicture, toPixels, toPng } from '../picture.js';
import { layOut, readSchedulerFile, type NoiseSource, type SchedulerFile } from '../schedulers/index.js';
import type { Sessions } from '../sessions.js';
import { TorchRandom } from '../torch-random.js';
import type { Checkpoint } from './checkpoint.js';
import { Generation, type Conditioning } from './generation.js';
import { guidanceEmbedding } from './guidance-embedding.js';
import { pictureSize, readUnetConfig, type UnetConfig } from './picture-size.js';
import { encodeNegative, encodePrompt, zerosLike, type PromptStates, type TextTower } from './prompt-encoding.js';
import { SafetyChecker } from './safety-checker.js';
import { Vae } from './vae.js';

const indexSchema = z.looseObject({
  /** Stable Diffusion XL: no negative prompt is zeros in the place of an empty text's states; so it is there where nothing is said, as in diffusers. */
  force_zeros_for_empty_prompt: z.boolean().nullish(),
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
  /** True: `(word:1.3)` in the prompts is a weight. */
  promptWeights?: true;
  /** True: the VAE sees pictures that are larger than those it was trained on in tiles. */
  vaeTiling?: true;
  /** Edits this picture instead of beginning with noise alone. */
  start?: StartPicture;
  /** Goes on from there instead of from noise: the picture is the same. */
  resume?: Checkpoint;
}

export interface StartPicture {
  /** An encoded picture (PNG, JPEG, WebP) of the size that is asked for. */
  image: Uint8Array;
  /** Share of the denoising steps that are made, above 0 and at most 1: how far the picture may go from this one. */
  strength: number;
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
  towers: TextTower[];
  unet: OnnxModel;
  vae: Vae;
  safetyChecker: SafetyChecker | undefined;
  schedulerConfig: SchedulerFile;
  unetConfig: UnetConfig;
  index: z.infer<typeof indexSchema>;
}

/** Input of a UNet that was distilled with guidance: it is told the scale, and needs no second evaluation without the caption. */
const DISTILLED = 'timestep_cond';

/**
 * Stable Diffusion 1.x, 2.x or XL from a folder in diffusers' ONNX layout; gives what diffusers' pipelines give, text to image and image to image.
 * A UNet exported in float16 gets torch's float16 noise; between the models everything is float32.
 */
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
    const index = await readModelConfig(join(folder, 'model_index.json'), indexSchema);
    const schedulerConfig = await readSchedulerFile(folder);
    const unetConfig = await readUnetConfig(folder);
    const unet = await sessions.load(await onnxFile(folder, 'unet/model'));
    const isXl = XL_INPUTS.every((name) => unet.inputNames.includes(name));
    const own = [...(isXl ? XL_INPUTS : []), ...(unet.inputNames.includes(DISTILLED) ? [DISTILLED] : [])];
    unet.expectInputs(['sample', 'timestep', 'encoder_hidden_states', ...own]);
    const towers = isXl
      ? [await loadTower(folder, '', sessions, 'penultimate'), await loadTower(folder, '_2', sessions, 'penultimate', 'text_embeds')]
      : [await loadTower(folder, '', sessions, 'last')];
    const vae = await Vae.load(folder, sessions);
    const safetyChecker = await SafetyChecker.load(folder, sessions);
    return new TextToImage({ towers, unet, vae, safetyChecker, schedulerConfig, unetConfig, index }, sessions);
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
    const { unetConfig, schedulerConfig, unet } = this.parts;
    const size = this.size(request);
    const scheduler = layOut(schedulerConfig, request.scheduler, request.numInferenceSteps, request.start?.strength ?? null);
    const dims = [1, unetConfig.in_channels, size.height / this.parts.vae.factor, size.width / this.parts.vae.factor];
    const random = new TorchRandom(request.seed);
    const dtype = unet.input('sample').type === 'float16' ? 'float16' : 'float32';
    const noise = () =>
      random.randn(
        dims.reduce((a, b) => a * b),
        dtype,
      );
    const start = request.start && (await this.startLatents(request.start, request, noise));
    return new Generation(request, hooks, scheduler, dims, await this.condition(request, size), noise, start);
  }

  /** The picture that is edited as latents: diffusers' image-to-image. */
  private async startLatents({ image }: StartPicture, request: TextToImageRequest, noise: NoiseSource): Promise<Float32Array> {
    const picture = await fromPicture(image);
    const { height, width } = this.size(request);
    const [, , h, w] = picture.dims;
    if (h !== height || w !== width) throw new InvalidInput(`the picture to start from is ${w}x${h}, asked for is ${width}x${height}`);
    return (await this.parts.vae.encode(picture, noise, request.vaeTiling === true)).data;
  }

  private async condition(request: TextToImageRequest, { height, width }: { height: number; width: number }): Promise<Conditioning> {
    const { towers, index, unet } = this.parts;
    const { prompt, negativePrompt, guidanceScale, promptWeights } = request;
    const caption = await encodePrompt(prompt, towers, promptWeights);
    const rows: Array<Omit<PromptStates, 'tokens'>> = [caption];
    const told = unet.inputNames.includes(DISTILLED)
      ? { [DISTILLED]: guidanceEmbedding(guidanceScale, lastSize(unet, DISTILLED)) }
      : undefined;
    let negativeCut = 0;
    if (guidanceScale > 1 && !told) {
      const isZero = (index.force_zeros_for_empty_prompt ?? caption.pooled !== undefined) && negativePrompt === '';
      const negative = isZero ? undefined : await encodeNegative(negativePrompt, caption, towers, promptWeights);
      rows.unshift(negative ?? zerosLike(caption));
      negativeCut = negative?.tokens.cut ?? 0;
    }
    const pooled = rows.flatMap((row) => row.pooled ?? []);
    const sizes = rows.flatMap(() => [height, width, 0, 0, height, width]); // Original size, where it was cropped, size asked for.
    const timeIds = { data: Float32Array.from(sizes), dims: [rows.length, 6] };
    return {
      context: stack(rows.map(({ states }) => states)),
      added: { ...(pooled.length > 0 ? { text_embeds: stack(pooled), time_ids: timeIds } : {}), ...told },
      tokens: { ...caption.tokens, ...(negativeCut > 0 ? { negativeCut } : {}) },
    };
  }

  private async picture({ hooks, latents, tokens }: Generation, request: TextToImageRequest, started: number): Promise<Picture> {
    hooks.signal?.throwIfAborted();
    const { height, width } = this.size(request);
    const { data } = await this.parts.vae.decode(latents, request.vaeTiling === true);
    const pixels = toPixels(data, height, width);
    const png = await toPng(pixels, height, width);
    await this.parts.safetyChecker?.check(pixels, png, height, width);
    return { png, width, height, tokens, seconds: (performance.now() - started) / 1000 };
  }

  private size(request: TextToImageRequest): { height: number; width: number } {
    return pictureSize(request, this.parts.unetConfig, this.parts.vae.config);
  }
}

/** Throws InvalidInput where the graph leaves it open. */
function lastSize(model: OnnxModel, input: string): number {
  const size = model.input(input).shape.at(-1);
  if (typeof size !== 'number')
    throw new InvalidInput(`${model.file}: the last dimension of ${input} has no fixed size; export it with one`);
  return size;
}

/** @param states Stable Diffusion XL attends to the states before the last layer; in 2.x that layer is no part of the model. */
async function loadTower(
  folder: string,
  suffix: '' | '_2',
  sessions: Sessions,
  states: 'last' | 'penultimate',
  pooled?: string,
): Promise<TextTower> {
  const encoder = await sessions.load(await onnxFile(folder, `text_encoder${suffix}/model`));
  encoder.expectInputs(['input_ids']);
  const tokenizer = await ClipTokenizer.load(join(folder, `tokenizer${suffix}`));
  const hidden = encoder.outputNames.filter((name) => /^hidden_states\.\d+$/.test(name)).length;
  const last = encoder.outputNames.includes('last_hidden_state') ? 'last_hidden_state' : encoder.outputNames[0]!;
  const output = states === 'last' ? last : `hidden_states.${Math.max(0, hidden - 2)}`;
  return { tokenizer, encoder, states: output, ...(pooled ? { pooled } : {}) };
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

/** Their rows, one after the other. */
function stack(parts: FloatTensor[]): FloatTensor {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, dims: [parts.reduce((sum, { dims }) => sum + dims[0]!, 0), ...parts[0]!.dims.slice(1)] };
}
