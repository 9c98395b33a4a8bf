import type { Tensor } from 'onnxruntime-node';
import { InvalidInput } from '../../core/errors.js';
import type { Branch } from './language/decode.js';
import { DecoderGraph, type Past } from './language/decoder-graph.js';
import { loadLanguageConfig, loadTextEnds, roomBehind, vocabularySize, type LanguageConfig, type TextEnds } from './language/text-ends.js';
import { TextTokenizer } from './language/text-tokenizer.js';
import { joinVectors, wordVectors } from './language/word-vectors.js';
import { writeText, type WriteOptions, type WrittenFeedback } from './language/written-text.js';
import { onnxFile } from './model-folder.js';
import type { OnnxModel } from './onnx-model.js';
import { featureIds, loadOptPrompt, promptTexts, type OptPrompt } from './opt-prompt.js';
import { Sessions, type SessionOptions } from './sessions.js';

export interface WriteFeedbackRequest extends WriteOptions {
  caption: string;
  /** Mean of the image encoder's features; for a soft prompt each of them, row by row. */
  features: Float32Array;
}

type Shown = Pick<WriteFeedbackRequest, 'caption' | 'features'>;

/** How a folder's graphs are shown a picture. */
interface PictureReader {
  decoder: DecoderGraph;
  /** Reads words, picture, words. */
  read(before: number[], features: Float32Array, after: number[]): Promise<Branch<Past>>;
  /** Ids that stand for the picture; none where vectors do. */
  ids(features: Float32Array): number[];
  /** How many places it takes. */
  length(features: Float32Array): number;
}

/** Feedback by a causal language model that reads a picture's features between the words of its prompt: as integer tokens, or as vectors. */
export class OptFeedback {
  private constructor(
    private readonly reader: PictureReader,
    private readonly tokenizer: TextTokenizer,
    private readonly prompt: OptPrompt,
    private readonly config: LanguageConfig,
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
    const bosId = prompt.bos ? (tokenizer.bosId ?? config.bos_token_id) : null;
    if (bosId === undefined) throw new InvalidInput(`${folder}/prompt.json asks for a BOS token and the model names none`);
    const graph = async (...names: [string, ...string[]]) => sessions.load(await onnxFile(folder, ...names));
    if (prompt.image === 'soft') {
      const decoder = await graph('decoder_model');
      const reader = softReader(decoder, await graph('embed_tokens'), await graph('image_projection'));
      return new OptFeedback(reader, tokenizer, prompt, config, bosId ?? null, ends, sessions);
    }
    // What exports of earlier years and of this one are called.
    const reader = tokenReader(await graph('decoder_model_merged', 'model'), vocabularySize(config, folder), prompt);
    return new OptFeedback(reader, tokenizer, prompt, config, bosId ?? null, ends, sessions);
  }

  /** Ids of the whole prompt: words, the picture's tokens where it has some, words. */
  promptIds(shown: Shown): number[] {
    const { before, after } = this.wordIds(shown.caption);
    return [...before, ...this.reader.ids(shown.features), ...after];
  }

  /** Throws InvalidInput where the prompt is longer than the model's context, ModelOutputInvalid where its numbers are not finite, and the signal's reason. */
  async write(request: WriteFeedbackRequest, signal?: AbortSignal): Promise<WrittenFeedback & { instructions: string }> {
    const { before, after } = this.wordIds(request.caption);
    const read = before.length + this.reader.length(request.features) + after.length;
    const maxNewTokens = roomBehind(read, request.maxNewTokens, this.config);
    const start = await this.reader.read(before, request.features, after);
    const asked = { ...request, maxNewTokens };
    const written = await writeText(this.reader.decoder, start, asked, {
      prompt: this.promptIds(request),
      endIds: this.ends.endIds,
      toText: (ids) => this.tokenizer.decode(ids),
      read,
      signal,
    });
    return { ...written, instructions: this.prompt.template.replace(/\{caption\}|\{image\}/g, ' ') };
  }

  /** Of the words before the picture and behind it. */
  private wordIds(caption: string): { before: number[]; after: number[] } {
    const { before, after } = promptTexts(caption, this.prompt);
    const ids = (text: string) => this.tokenizer.encode(text, { special: false });
    return { before: [...(this.bosId === null ? [] : [this.bosId]), ...ids(before)], after: ids(after) };
  }
}

/** One token a value, as the paper has it. */
function tokenReader(graph: OnnxModel, vocabSize: number, prompt: OptPrompt): PictureReader {
  const decoder = new DecoderGraph(graph);
  const ids = (features: Float32Array) => featureIds(features, vocabSize, prompt);
  return {
    decoder,
    ids,
    length: (features) => features.length,
    read: (before, features, after) => decoder.read({ ids: [[...before, ...ids(features), ...after]] }),
  };
}

/** One vector a feature: `image_projection.onnx` takes `image_features` [1, features, width] into the space of the words. */
function softReader(graph: OnnxModel, embed: OnnxModel, projection: OnnxModel): PictureReader {
  const decoder = new DecoderGraph(graph, (ids) => wordVectors(embed, ids));
  const width = projection.input('image_features').shape.at(-1);
  if (typeof width !== 'number') throw new InvalidInput(`${projection.file}: image_features has no fixed width; export it with one`);
  const length = (features: Float32Array) => {
    if (features.length % width === 0) return features.length / width;
    throw new InvalidInput(
      `${projection.file} takes features of ${width} values and the image encoder gave ${features.length}: name the one that it was trained with`,
    );
  };
  const vectors = (ids: number[]): Promise<Tensor[]> =>
    ids.length > 0 ? wordVectors(embed, [ids]).then((made) => [made]) : Promise.resolve([]);
  return {
    decoder,
    ids: () => [],
    length,
    async read(before, features, after) {
      const input = projection.tensor('image_features', features, [1, length(features), width]);
      const { image_embeds: picture } = await projection.runRaw({ image_features: input }, ['image_embeds']);
      const parts = [...(await vectors(before)), picture!, ...(await vectors(after))];
      return decoder.read({ vectors: joinVectors(...(parts as [Tensor])) });
    },
  };
}
