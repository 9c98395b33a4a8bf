import { basename, dirname, relative } from 'node:path';
import type { Tensor } from '@huggingface/transformers';
import { AutoConfig, AutoModelForImageTextToText, AutoProcessor, DynamicCache, env, type RawImage } from '@huggingface/transformers';
import { InvalidInput, ModelOutputInvalid, OutOfMemory } from '../../../core/errors.js';
import { onnxFile } from '../model-folder.js';
import { isOutOfMemory } from '../onnx-model.js';
import { weightBytes } from '../onnx-file.js';
import { PillowImage } from '../pillow-image.js';
import { checkFinite } from '../picture.js';
import { sessionOptions, type SessionOptions } from '../sessions.js';
import type { AskRequest } from './blip2.js';
import { readChatTemplate } from './chat-template.js';
import type { Branch, TokenModel } from './decode.js';
import { probabilityOf } from './next-token.js';
import { loadTextEnds, type TextEnds } from './text-ends.js';
import { writeText, type WrittenFeedback } from './written-text.js';

type Tensors = Record<string, Tensor>;
type Cache = InstanceType<typeof DynamicCache>;
type Inputs = Record<string, unknown> & { past_key_values?: Cache };

/** What is used of the library's model: its generation in steps, so that every way to choose tokens works with every layout. */
interface LibraryModel {
  config: { is_encoder_decoder?: boolean };
  generation_config: unknown;
  forward(inputs: Inputs): Promise<Tensors>;
  prepare_inputs_for_generation(ids: bigint[][], inputs: Inputs, config: unknown): Inputs;
  _update_model_kwargs_for_generation(step: {
    generated_input_ids: bigint[][];
    outputs: Tensors;
    model_inputs: Inputs;
    is_encoder_decoder: boolean;
  }): Inputs;
  _prepare_model_inputs(given: { model_kwargs: Inputs }): { inputs_tensor: unknown; model_inputs: Inputs; model_input_name: string };
  _prepare_encoder_decoder_kwargs_for_generation(given: object): Promise<Inputs>;
  dispose(): Promise<unknown>;
}

interface LibraryProcessor {
  (...given: unknown[]): Promise<Tensors>;
  tokenizer: { decode(ids: number[], options: object): string; encode(text: string, options: object): number[] };
  apply_chat_template(messages: object[], options: object): string;
}

/** A text so far, as the library's steps know it. */
interface Said {
  ids: bigint[];
  inputs: Inputs;
  outputs: Tensors;
}

/** Names that the library gives to what the end of a file's name says. */
const DTYPES: Record<string, string> = { '': 'fp32', _fp16: 'fp16', _int8: 'int8', _quantized: 'q8', _uint8: 'uint8' };
const GRAPHS = ['vision_encoder', 'embed_tokens', 'encoder_model', 'decoder_model_merged'];

type LibraryConfig = Awaited<ReturnType<typeof AutoConfig.from_pretrained>>;

/** Of a Qwen2-VL, the library looks for the language model's fields at the root, where transformers before 4.52 wrote them; it would find no keys and values. */
async function libraryConfig(folder: string): Promise<LibraryConfig> {
  const config = await AutoConfig.from_pretrained(folder, { local_files_only: true });
  const { text_config: text } = config as unknown as { text_config?: object };
  if (config.model_type !== 'qwen2_vl' || !text) return config;
  return AutoConfig.from_pretrained(folder, { config: { ...text, ...config } });
}

/** Processors of the library that take the picture before the text. */
const IMAGE_FIRST = /^(Llava|PaliGemma|Pixtral|Lfm2Vl)/;
/** How a vocabulary may spell yes, as the first thing said or after a space. */
const YES = ['Yes', ' Yes', 'yes', ' yes'];

export interface YesNoRequest {
  /** An encoded picture. */
  image: Uint8Array;
  question: string;
}

/** A vision-language model that transformers.js knows (SmolVLM, Qwen2-VL, Florence-2, ...), asked by its chat template where it has one. */
export class VisionLanguage implements TokenModel<Said> {
  private constructor(
    private readonly model: LibraryModel,
    private readonly processor: LibraryProcessor,
    private readonly ends: TextEnds,
    /** How a conversation is written down; `null` for models of fixed tasks. */
    private readonly template: string | null,
    /** Of its weights. */
    readonly bytes: number,
  ) {}

  async release(): Promise<void> {
    await this.model.dispose();
  }

  /**
   * Throws InvalidInput, which names the folder, where it is not complete or not of this kind; OutOfMemory.
   * @param folder absolute: the library takes a relative one for a name on the Hub
   */
  static async load(folder: string, options: SessionOptions): Promise<VisionLanguage> {
    env.allowRemoteModels = false;
    try {
      const ends = await loadTextEnds(folder);
      // Not every layout has all of them; that the needed ones are there was checked when the run was made.
      const found = await Promise.all(GRAPHS.map((graph) => onnxFile(folder, graph).catch(() => null)));
      const files = found.filter((file) => file !== null);
      const bytes = (await Promise.all(files.map((file) => weightBytes(file)))).reduce((sum, size) => sum + size, 0);
      const dtype = Object.fromEntries(
        GRAPHS.flatMap((graph, i) => (found[i] ? [[graph, DTYPES[basename(found[i], '.onnx').slice(graph.length)]!]] : [])),
      );
      const processor = await AutoProcessor.from_pretrained(folder, { local_files_only: true });
      const model = await AutoModelForImageTextToText.from_pretrained(folder, {
        config: await libraryConfig(folder),
        local_files_only: true,
        subfolder: relative(folder, dirname(files.at(-1) ?? folder)),
        dtype: dtype as Record<string, 'fp32'>,
        device: options.provider === 'cpu' ? 'cpu' : (options.provider as 'cuda'),
        session_options: sessionOptions(options),
      });
      // The library does not look into every file that may hold it, for every model.
      const template = await readChatTemplate(folder);
      return new VisionLanguage(model as unknown as LibraryModel, processor as unknown as LibraryProcessor, ends, template, bytes);
    } catch (error) {
      const { message } = error as Error;
      if (isOutOfMemory(message)) throw new OutOfMemory(`not enough memory to load ${folder}: ${message}`, { cause: error });
      throw new InvalidInput(`${folder} cannot be loaded as a vision-language model: ${message}`, { cause: error });
    }
  }

  /** Throws InvalidInput where the picture cannot be decoded, ModelOutputInvalid where the numbers are not finite, and the signal's reason. */
  async write({ image, prompt, instructions, ...options }: AskRequest, signal?: AbortSignal): Promise<WrittenFeedback> {
    const given = await this.processed(await PillowImage.decode(image), prompt, instructions);
    const words = Array.from(given['input_ids']!.data as BigInt64Array);
    const { start, said } = await this.start(given, words);
    const toText = (ids: readonly number[]) =>
      ids.length === 0 ? '' : this.processor.tokenizer.decode([...ids], { skip_special_tokens: true });
    return writeText(this, start, options, { prompt: said.map(Number), endIds: this.ends.endIds, toText, read: words.length, signal });
  }

  /**
   * How sure the model is that the answer is yes: the softmax over the whole vocabulary of what comes first after the question, summed over the
   * tokens that say yes, from 0 to 1 (Lin et al., arXiv 2404.01291). Throws InvalidInput where the picture cannot be decoded or the vocabulary has
   * no such token, ModelOutputInvalid where the logits are not finite.
   */
  async probabilityOfYes({ image, question }: YesNoRequest): Promise<number> {
    const encoded = YES.map((word) => this.processor.tokenizer.encode(word, { add_special_tokens: false }));
    const yes = new Set(encoded.filter((ids) => ids.length === 1).map(([id]) => id!));
    if (this.template === null) throw new InvalidInput('the vision-language model has no chat template, so it answers no questions');
    if (yes.size === 0) throw new InvalidInput('the vocabulary of the vision-language model has no token for Yes');
    const given = await this.processed(await PillowImage.decode(image), question, question);
    const { start } = await this.start(given, Array.from(given['input_ids']!.data as BigInt64Array));
    checkFinite(start.logits, 'the answer');
    return probabilityOf([...yes], start.logits);
  }

  async next(texts: ReadonlyArray<{ state: Said; token: number }>): Promise<Array<Branch<Said>>> {
    const branches: Array<Branch<Said>> = [];
    for (const { state, token } of texts) {
      const ids = [...state.ids, BigInt(token)];
      const { past_key_values: past } = state.inputs;
      const inputs = this.model._update_model_kwargs_for_generation({
        generated_input_ids: [[BigInt(token)]],
        outputs: state.outputs,
        // The library changes the past in place, and other texts may go on from it.
        model_inputs: past ? { ...state.inputs, past_key_values: new DynamicCache({ ...past }) } : { ...state.inputs },
        is_encoder_decoder: this.isEncoderDecoder,
      });
      branches.push(await this.forward(ids, inputs));
    }
    return branches;
  }

  private get isEncoderDecoder(): boolean {
    return this.model.config.is_encoder_decoder === true;
  }

  private async processed(picture: RawImage, prompt: string, instructions: string): Promise<Tensors> {
    const { processor } = this;
    // Models of fixed tasks, such as Florence-2, have no template, and take the picture first.
    if (this.template === null) return processor(picture, instructions);
    const content = [{ type: 'image' }, { type: 'text', text: prompt }];
    const text = processor.apply_chat_template([{ role: 'user', content }], {
      chat_template: this.template,
      add_generation_prompt: true,
      tokenize: false,
    });
    return IMAGE_FIRST.test(processor.constructor.name) ? processor(picture, text) : processor(text, [picture]);
  }

  /** Reads picture and prompt. `said`: the ids that the text begins with. */
  private async start(given: Tensors, words: bigint[]): Promise<{ start: Branch<Said>; said: bigint[] }> {
    if (!this.isEncoderDecoder) return { start: await this.forward(words, { ...given }), said: words };
    const first = this.ends.decoderStartId;
    if (first === undefined) throw new InvalidInput('the model is an encoder with a decoder, and no decoder_start_token_id is configured');
    const { inputs_tensor, model_inputs, model_input_name } = this.model._prepare_model_inputs({ model_kwargs: { ...given } });
    const inputs = await this.model._prepare_encoder_decoder_kwargs_for_generation({
      inputs_tensor,
      model_inputs,
      model_input_name,
      generation_config: { guidance_scale: null },
    });
    const said = [BigInt(first)];
    return { start: await this.forward(said, inputs), said };
  }

  private async forward(ids: bigint[], inputs: Inputs): Promise<Branch<Said>> {
    const prepared = this.model.prepare_inputs_for_generation([ids], inputs, this.model.generation_config);
    const outputs = await this.model.forward(prepared);
    const logits = outputs['logits'];
    if (!logits) throw new ModelOutputInvalid('malformed', 'the vision-language model gave no logits');
    const last = logits.slice(null, -1, null).to('float32').data as Float32Array;
    return { logits: last, state: { ids, inputs: prepared, outputs } };
  }
}
