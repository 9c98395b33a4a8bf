import { InvalidInput } from '../../core/errors.js';
import { DecoderGraph } from './language/decoder-graph.js';
import { loadLanguageConfig, loadTextEnds, roomBehind, type LanguageConfig, type TextEnds } from './language/text-ends.js';
import { TextTokenizer } from './language/text-tokenizer.js';
import { writeText, type WriteOptions, type WrittenFeedback } from './language/written-text.js';
import { onnxFile } from './model-folder.js';
import { featureIds, loadOptPrompt, promptTexts, type OptPrompt } from './opt-prompt.js';
import { Sessions, type SessionOptions } from './sessions.js';

export interface WriteFeedbackRequest extends WriteOptions {
  caption: string;
  /** Mean of the image encoder's features: one token a value. */
  features: Float32Array;
}

/** Feedback by a causal language model that reads a picture's features as integer tokens between the words of its prompt. */
export class OptFeedback {
  private constructor(
    private readonly decoder: DecoderGraph,
    private readonly tokenizer: TextTokenizer,
    private readonly prompt: OptPrompt,
    private readonly config: LanguageConfig & { vocab_size: number },
    /** `null`: the prompt begins with its words. */
    private readonly bosId: number | null,
    private readonly ends: TextEnds,
    private readonly sessions: Sessions,
  ) {}

  /** Of its weights. */
  get bytes(): number {
    return this.sessions.bytes;
  }

  release(): Promise<void> {
    return this.sessions.release();
  }

  /** Throws InvalidInput, which names the folder, where it is not complete or not of this kind. */
  static async load(folder: string, options: SessionOptions, sessions = new Sessions(options)): Promise<OptFeedback> {
    const [prompt, tokenizer, ends, config] = await Promise.all([
      loadOptPrompt(folder),
      TextTokenizer.load(folder),
      loadTextEnds(folder),
      loadLanguageConfig(folder),
    ]);
    const { vocab_size: size } = config;
    if (!size) throw new InvalidInput(`${folder}/config.json has no vocab_size`);
    const bosId = prompt.bos ? (tokenizer.bosId ?? config.bos_token_id) : null;
    if (bosId === undefined) throw new InvalidInput(`${folder}/prompt.json asks for a BOS token and the model names none`);
    // What exports of earlier years and of this one are called.
    const graph = await sessions.load(await onnxFile(folder, 'decoder_model_merged', 'model'));
    return new OptFeedback(new DecoderGraph(graph), tokenizer, prompt, { ...config, vocab_size: size }, bosId ?? null, ends, sessions);
  }

  /** Ids of the whole prompt: words, the picture's tokens, words. */
  promptIds({ caption, features }: Pick<WriteFeedbackRequest, 'caption' | 'features'>): number[] {
    const { before, after } = promptTexts(caption, this.prompt);
    const ids = (text: string) => this.tokenizer.encode(text, { special: false });
    return [
      ...(this.bosId === null ? [] : [this.bosId]),
      ...ids(before),
      ...featureIds(features, this.config.vocab_size, this.prompt),
      ...ids(after),
    ];
  }

  /** Throws InvalidInput where the prompt is longer than the model's context, ModelOutputInvalid where its numbers are not finite, and the signal's reason. */
  async write(request: WriteFeedbackRequest, signal?: AbortSignal): Promise<WrittenFeedback & { instructions: string }> {
    const prompt = this.promptIds(request);
    const maxNewTokens = roomBehind(prompt.length, request.maxNewTokens, this.config);
    const start = await this.decoder.read({ ids: [prompt] });
    const toText = (ids: readonly number[]) => this.tokenizer.decode(ids);
    const written = await writeText(
      this.decoder,
      start,
      { ...request, maxNewTokens },
      {
        prompt,
        endIds: this.ends.endIds,
        toText,
        read: prompt.length,
        signal,
      },
    );
    return { ...written, instructions: this.prompt.template.replace(/\{caption\}|\{image\}/g, ' ') };
  }
}
