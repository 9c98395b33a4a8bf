import type { Tensor } from 'onnxruntime-node';
import { onnxFile } from '../model-folder.js';
import type { OnnxModel } from '../onnx-model.js';
import { loadPreprocessor, pixelValues, type Preprocessor } from '../pixel-values.js';
import type { Sessions } from '../sessions.js';
import type { Branch } from './decode.js';
import { DecoderGraph, type Past } from './decoder-graph.js';
import { decoderStart, loadLanguageConfig, loadTextEnds, roomBehind, type LanguageConfig, type TextEnds } from './text-ends.js';
import { TextTokenizer } from './text-tokenizer.js';
import { joinVectors, wordVectors } from './word-vectors.js';
import { writeText, type WriteOptions, type WrittenFeedback } from './written-text.js';

export interface AskRequest extends WriteOptions {
  /** An encoded picture. */
  image: Uint8Array;
  /** What the model is asked, caption included. */
  prompt: string;
  /** What of it is no data; all that a model without a chat template is told. */
  instructions: string;
}

/** The graphs of one BLIP-2, as models/export/export_blip2.py writes them. */
interface Graphs {
  vision: OnnxModel;
  qformer: OnnxModel;
  embed: OnnxModel;
  decoder: OnnxModel;
  /** With a T5. */
  encoder: OnnxModel | null;
}

/**
 * BLIP-2 (Li et al., arXiv 2301.12597): a vision tower, a Q-Former whose projected queries stand before the words, and an OPT or a T5 that
 * goes on with them.
 */
export class Blip2 {
  private readonly decoder: DecoderGraph;

  private constructor(
    private readonly graphs: Graphs,
    private readonly preprocessor: Preprocessor,
    private readonly tokenizer: TextTokenizer,
    private readonly ends: TextEnds,
    private readonly config: LanguageConfig,
    private readonly sessions: Sessions,
  ) {
    const { decoder, embed, encoder } = graphs;
    const vectorsOf = (ids: number[][]) => wordVectors(embed, ids);
    this.decoder = encoder ? new DecoderGraph(decoder, undefined, crossNames(decoder)) : new DecoderGraph(decoder, vectorsOf);
  }

  /** Of its weights. */
  get bytes(): number {
    return this.sessions.bytes;
  }

  release(): Promise<void> {
    return this.sessions.release();
  }

  /** Throws InvalidInput, which names the file, where the folder is not complete or not of this kind. */
  static async load(folder: string, sessions: Sessions): Promise<Blip2> {
    const [preprocessor, tokenizer, ends, config] = await Promise.all([
      loadPreprocessor(folder),
      TextTokenizer.load(folder),
      loadTextEnds(folder),
      loadLanguageConfig(folder),
    ]);
    const graph = async (name: string) => sessions.load(await onnxFile(folder, name));
    const decoder = await graph('decoder_model');
    const hasEncoder = crossNames(decoder).length > 0;
    if (hasEncoder) decoderStart(ends, folder);
    const encoder = hasEncoder ? await graph('encoder_model') : null;
    const [vision, qformer, embed] = [await graph('vision_model'), await graph('qformer'), await graph('embed_tokens')];
    return new Blip2({ vision, qformer, embed, decoder, encoder }, preprocessor, tokenizer, ends, config, sessions);
  }

  /** Ids of a prompt's words, which stand after the picture. */
  promptIds(prompt: string): number[] {
    return this.tokenizer.encode(prompt, { special: true });
  }

  /** Throws InvalidInput where the picture cannot be decoded or the prompt is longer than the model's context, ModelOutputInvalid where the numbers are not finite, and the signal's reason. */
  async write({ image, prompt, ...options }: AskRequest, signal?: AbortSignal): Promise<WrittenFeedback> {
    const ids = this.promptIds(prompt);
    const queries = await this.queries(image);
    signal?.throwIfAborted();
    const read = queries.dims[1]! + ids.length;
    const maxNewTokens = roomBehind(read, options.maxNewTokens, this.config);
    const words = await wordVectors(this.graphs.embed, [ids]);
    const start = await this.start(joinVectors(queries, words));
    const said = this.graphs.encoder ? [this.ends.decoderStartId!] : [...this.pictureIds(queries), ...ids];
    const toText = (written: readonly number[]) => this.tokenizer.decode(written);
    return writeText(this.decoder, start, { ...options, maxNewTokens }, { prompt: said, endIds: this.ends.endIds, toText, read, signal });
  }

  /** What the language model is shown of the picture, [1, queries, width]. */
  private async queries(image: Uint8Array): Promise<Tensor> {
    const { data, height, width } = await pixelValues(image, this.preprocessor);
    const { vision, qformer } = this.graphs;
    const pixels = vision.tensor('pixel_values', data, [1, 3, height, width]);
    const { last_hidden_state: embeds } = await vision.runRaw({ pixel_values: pixels }, ['last_hidden_state']);
    return (await qformer.runRaw({ image_embeds: embeds! }, ['language_model_inputs']))['language_model_inputs']!;
  }

  /** Ids that stand for the queries in a prompt: what rules against repetition count as said. Older configurations name none. */
  private pictureIds(queries: Tensor): number[] {
    const id = this.config.image_token_index ?? this.config.image_token_id;
    return id === null || id === undefined ? [] : Array<number>(queries.dims[1]!).fill(id);
  }

  private async start(embeds: Tensor): Promise<Branch<Past>> {
    const { encoder, decoder } = this.graphs;
    if (!encoder) return this.decoder.read({ vectors: embeds });
    const names = crossNames(decoder);
    const made = await encoder.runRaw(
      { inputs_embeds: embeds },
      names.map((name) => name.replace('past_key_values', 'present')),
    );
    const given = Object.fromEntries(names.map((name) => [name, made[name.replace('past_key_values', 'present')]!]));
    return this.decoder.read({ ids: [[this.ends.decoderStartId!]] }, given);
  }
}

/** Keys and values of a decoder's attention to what its encoder read. */
const crossNames = (decoder: OnnxModel): string[] => decoder.inputNames.filter((name) => /^past_key_values\.\d+\.encoder\./.test(name));
