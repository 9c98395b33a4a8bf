import { basename, dirname, relative } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, env, LogitsProcessor, LogitsProcessorList, Tensor } from '@huggingface/transformers';
import { InvalidInput, ModelOutputInvalid, OutOfMemory } from '../../core/errors.js';
import { onnxFile } from './model-folder.js';
import { weightBytes } from './onnx-file.js';
import { isOutOfMemory } from './onnx-model.js';
import { featureIds, loadOptPrompt, promptTexts, type OptPrompt } from './opt-prompt.js';
import { sessionOptions, type SessionOptions } from './sessions.js';
import { TorchRandom } from './torch-random.js';

export interface WriteFeedbackRequest {
  caption: string;
  /** Mean of the image encoder's features: one token a value. */
  features: Float32Array;
  maxNewTokens: number;
  /** `null`: greedy. A number: sampled from the model's distribution with this seed. */
  sampleSeed: number | null;
}

export interface WrittenFeedback {
  text: string;
  /** `used`: tokens read and written together. */
  tokens: { used: number };
}

type Model = Awaited<ReturnType<typeof AutoModelForCausalLM.from_pretrained>>;
type Tokenizer = Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>;

/** Feedback by a causal language model that reads a picture's features as integer tokens between the words of its prompt. */
export class OptFeedback {
  private constructor(
    private readonly model: Model,
    private readonly tokenizer: Tokenizer,
    private readonly prompt: OptPrompt,
    private readonly vocabSize: number,
    /** Of its weights. */
    readonly bytes: number,
  ) {}

  async release(): Promise<void> {
    await this.model.dispose();
  }

  /** Throws InvalidInput, which names the folder, where it is not complete or not of this kind. */
  static async load(folder: string, options: SessionOptions): Promise<OptFeedback> {
    const prompt = await loadOptPrompt(folder);
    env.allowRemoteModels = false;
    env.localModelPath = dirname(folder);
    try {
      const name = basename(folder);
      // What exports of earlier years and of this one are called.
      const file = await onnxFile(folder, 'decoder_model_merged', 'model');
      const bytes = await weightBytes(file);
      const tokenizer = await AutoTokenizer.from_pretrained(name, { local_files_only: true });
      const model = await AutoModelForCausalLM.from_pretrained(name, {
        local_files_only: true,
        ...libraryNames(folder, file),
        device: options.provider === 'cpu' ? 'cpu' : (options.provider as 'cuda'),
        session_options: sessionOptions(options),
      });
      const { vocab_size: vocabSize } = model.config as unknown as { vocab_size?: number };
      if (!vocabSize) throw new Error('config.json has no vocab_size');
      return new OptFeedback(model, tokenizer, prompt, vocabSize, bytes);
    } catch (error) {
      const { message } = error as Error;
      if (isOutOfMemory(message)) throw new OutOfMemory(`not enough memory to load ${folder}: ${message}`, { cause: error });
      throw new InvalidInput(`${folder} cannot be loaded as a causal language model: ${message}`, { cause: error });
    }
  }

  /** Ids of the whole prompt: words, the picture's tokens, words. */
  promptIds({ caption, features }: Pick<WriteFeedbackRequest, 'caption' | 'features'>): number[] {
    const { before, after } = promptTexts(caption, this.prompt);
    const ids = (text: string) => this.tokenizer.encode(text, { add_special_tokens: false });
    const bos = this.tokenizer.bos_token_id ?? (this.model.config as unknown as { bos_token_id?: number }).bos_token_id;
    if (this.prompt.bos && typeof bos !== 'number') throw new InvalidInput('prompt.json asks for a BOS token and the model names none');
    return [...(this.prompt.bos ? [bos] : []), ...ids(before), ...featureIds(features, this.vocabSize, this.prompt), ...ids(after)];
  }

  /** Throws ModelOutputInvalid where the model writes nothing; OutOfMemory. */
  async write(request: WriteFeedbackRequest): Promise<WrittenFeedback> {
    const prompt = this.promptIds(request);
    const row = (values: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const sampled = request.sampleSeed === null ? undefined : new LogitsProcessorList();
    sampled?.push(new SeededSampling(request.sampleSeed!));
    const written = this.model.generate({
      inputs: row(prompt),
      attention_mask: row(prompt.map(() => 1)),
      max_new_tokens: request.maxNewTokens,
      do_sample: false,
      ...(sampled ? { logits_processor: sampled } : {}),
    });
    const output = (await written.catch((error: Error) => {
      throw isOutOfMemory(error.message) ? new OutOfMemory(`the feedback model: ${error.message}`, { cause: error }) : error;
    })) as Tensor;
    const ids = Array.from(output.data as BigInt64Array, Number).slice(prompt.length);
    const text = this.tokenizer.decode(ids, { skip_special_tokens: true }).trim();
    if (text === '') throw new ModelOutputInvalid('the feedback model wrote nothing');
    return { text, tokens: { used: prompt.length + ids.length } };
  }
}

/** Adds Gumbel noise to the logits, so that the largest is a sample of their softmax (Gumbel 1954): sampling with a seed. */
class SeededSampling extends LogitsProcessor {
  private readonly random: TorchRandom;
  constructor(seed: number) {
    super();
    this.random = new TorchRandom(seed);
  }
  override _call(_inputIds: bigint[][], logits: Tensor): Tensor {
    const values = logits.data as Float32Array;
    for (let i = 0; i < values.length; i++) values[i]! -= Math.log(-Math.log(this.random.uniform() || 2 ** -25));
    return logits;
  }
}

/** The library's words for what the end of a file's name says. */
const DTYPES = { '': 'fp32', _fp16: 'fp16', _int8: 'int8', _quantized: 'q8', _uint8: 'uint8' } as const;

/** How the library is told which file to load. */
function libraryNames(folder: string, file: string) {
  const [, name, variant] = /^(.*?)(_fp16|_int8|_quantized|_uint8|)$/.exec(basename(file, '.onnx')) as unknown as [
    string,
    string,
    keyof typeof DTYPES,
  ];
  return { subfolder: relative(folder, dirname(file)), model_file_name: name, dtype: DTYPES[variant] };
}
