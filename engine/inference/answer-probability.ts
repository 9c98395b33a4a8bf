import { basename, dirname, join } from 'node:path';
import { AutoModelForImageTextToText, AutoProcessor, env, type Tensor } from '@huggingface/transformers';
import { InvalidInput, ModelOutputInvalid, OutOfMemory } from '../../core/errors.js';
import { isOutOfMemory } from './onnx-model.js';
import { PillowImage } from './pillow-image.js';
import { weightBytes } from './onnx-file.js';
import { sessionOptions, type SessionOptions } from './sessions.js';

export interface AnswerRequest {
  /** An encoded picture. */
  image: Uint8Array;
  question: string;
}

type Tensors = Record<string, Tensor>;

/** What is used of the library's processor, whose declarations know no picture beside a text. */
interface Processor {
  (...given: unknown[]): Promise<Tensors>;
  tokenizer: { encode(text: string, options: object): number[] };
  apply_chat_template(messages: object[], options: object): string;
}
type Model = ((inputs: Tensors) => Promise<Tensors>) & { dispose(): Promise<unknown> };

/** Processors of the library that take the picture before the text. */
const IMAGE_FIRST = /^(Llava|PaliGemma|Pixtral|Lfm2Vl)/;
/** How a vocabulary may spell the answer, as the first thing said or after a space. */
const YES = ['Yes', ' Yes', 'yes', ' yes'];

/**
 * How sure a vision-language model (SmolVLM, Qwen2-VL, LLaVA, ... as transformers.js loads them) is that the answer is yes: the score of Lin et al.,
 * "Evaluating text-to-visual generation with image-to-text generation", arXiv 2404.01291.
 */
export class AnswerProbability {
  private constructor(
    private readonly model: Model,
    private readonly processor: Processor,
    /** Tokens that say yes. */
    private readonly yes: number[],
    /** Of its weights. */
    readonly bytes: number,
  ) {}

  async release(): Promise<void> {
    await this.model.dispose();
  }

  /** Throws InvalidInput, which names the folder, where it is not complete or not of this kind; OutOfMemory. */
  static async load(folder: string, options: SessionOptions): Promise<AnswerProbability> {
    env.allowRemoteModels = false;
    env.localModelPath = dirname(folder);
    const name = basename(folder);
    try {
      const processor = (await AutoProcessor.from_pretrained(name, { local_files_only: true })) as unknown as Processor;
      const encoded = YES.map((word) => processor.tokenizer.encode(word, { add_special_tokens: false }));
      const yes = new Set(encoded.filter((ids) => ids.length === 1).map(([id]) => id!));
      if (yes.size === 0) throw new Error('its vocabulary has no token for Yes');
      const model = await AutoModelForImageTextToText.from_pretrained(name, {
        local_files_only: true,
        dtype: 'fp32',
        device: options.provider === 'cpu' ? 'cpu' : (options.provider as 'cuda'),
        session_options: sessionOptions(options),
      });
      const graphs = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'];
      const sizes = await Promise.all(graphs.map((graph) => weightBytes(join(folder, 'onnx', `${graph}.onnx`))));
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      return new AnswerProbability(model, processor, [...yes], bytes);
    } catch (error) {
      const { message } = error as Error;
      if (isOutOfMemory(message)) throw new OutOfMemory(`not enough memory to load ${folder}: ${message}`, { cause: error });
      throw new InvalidInput(`${folder} cannot be loaded as a vision-language model: ${message}`, { cause: error });
    }
  }

  /**
   * Softmax over the whole vocabulary of what comes first after the question, summed over the tokens that say yes: from 0 to 1.
   * Throws InvalidInput where the picture cannot be decoded, ModelOutputInvalid where the logits are not finite.
   */
  async probabilityOfYes({ image, question }: AnswerRequest): Promise<number> {
    const picture = await PillowImage.decode(image);
    const content = [{ type: 'image' }, { type: 'text', text: question }];
    const prompt = this.processor.apply_chat_template([{ role: 'user', content }], { add_generation_prompt: true, tokenize: false });
    const imageFirst = IMAGE_FIRST.test(this.processor.constructor.name);
    const { logits } = await this.model(await (imageFirst ? this.processor(picture, prompt) : this.processor(prompt, [picture])));
    if (!logits) throw new InvalidInput('the vision-language model gives no logits');
    const last = logits.slice(null, -1, null).to('float32').data as Float32Array;
    return softmaxSum(last, this.yes);
  }
}

/** In double precision, and shifted by the largest logit, so that nothing overflows. */
function softmaxSum(logits: Float32Array, ids: readonly number[]): number {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  const probability = ids.reduce((sum, id) => sum + Math.exp(logits[id]! - largest), 0) / total;
  if (!Number.isFinite(probability)) throw new ModelOutputInvalid('the logits of the answer are not finite');
  return Math.min(1, probability);
}
