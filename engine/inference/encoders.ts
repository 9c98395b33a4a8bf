import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInput, ModelOutputInvalid } from '../../core/errors.js';
import { ClipTokenizer } from './clip-tokenizer.js';
import { MicroBatcher, type Batching, type Feed } from './micro-batching.js';
import { onnxFile } from './model-folder.js';
import { readModelConfig } from './model-json.js';
import type { FloatTensor, OnnxModel } from './onnx-model.js';
import { checkFinite } from './picture.js';
import { loadPreprocessor, pixelValues, toPixelValues, type Preprocessor } from './pixel-values.js';
import type { Sessions } from './sessions.js';

const configSchema = z.looseObject({ model_type: z.string().default('') });

/**
 * An encoder as Hugging Face's exporters write it: pictures and, where the folder has a text model, texts as unit vectors. CLIP in two files or in
 * one, SigLIP, and any image model (DINOv2, ViT) whose graph gives an embedding or a class token.
 */
export class Encoder {
  private constructor(
    private readonly folder: string,
    private readonly sessions: Sessions,
    private readonly preprocessor: Preprocessor,
  ) {}

  /** Throws InvalidInput, which names the file, when `preprocessor_config.json` is missing or cannot be used. */
  static async load(folder: string, sessions: Sessions): Promise<Encoder> {
    return new Encoder(folder, sessions, await loadPreprocessor(folder));
  }

  /** Of its weights. */
  get bytes(): number {
    return this.sessions.bytes;
  }

  release(): Promise<void> {
    this.batchers.clear();
    return this.sessions.release();
  }

  /**
   * Embeddings of encoded pictures, of length 1: `image_embeds`; of a graph without, `pooler_output`; else the class token (the first) of
   * `last_hidden_state`. Throws InvalidInput when a picture cannot be decoded.
   */
  async embedImages(images: readonly Uint8Array[], batching: Batching): Promise<Float32Array[]> {
    const model = await this.sessions.load(await onnxFile(this.folder, 'vision_model', 'model'));
    const beside = await this.besidePictures(model);
    model.expectInputs(['pixel_values', ...Object.keys(beside)]);
    const feeds: Feed[] = [];
    for (const image of images) {
      const { data, height, width } = await pixelValues(image, this.preprocessor);
      feeds.push({ pixel_values: { values: data, dims: [1, 3, height, width] }, ...beside });
    }
    const output = outputOf(model, 'image_embeds', 'pooler_output', 'last_hidden_state');
    const embeds = await this.batcher(model, output, Object.keys(beside)).run(feeds, batching);
    return embeds.map((embed) => unit(output === 'last_hidden_state' ? classToken(embed, model) : embed.data));
  }

  /**
   * Embeddings of texts, of length 1, beside those of pictures: `text_embeds`, SigLIP's `pooler_output`. A text beyond the context is cut.
   * Throws InvalidInput when the folder has no text model.
   */
  async embedTexts(texts: readonly string[], batching: Batching): Promise<Float32Array[]> {
    // The model first: where a folder has neither, the model is what should be named.
    const model = await this.sessions.load(await onnxFile(this.folder, 'text_model', 'model'));
    if (!model.inputNames.includes('input_ids')) {
      throw new InvalidInput(`${this.folder} has no text model: text_model.onnx is missing, and the model beside it takes no input_ids`);
    }
    const tokenizer = await this.loadTokenizer();
    const beside = model.inputNames.includes('pixel_values') ? this.blankPicture() : {};
    const feeds = texts.map((text): Feed => {
      const { ids, used } = tokenizer.encode(text);
      return { ...tokenRows(model, ids, used), ...beside };
    });
    // CLIP's own pooler_output is not in the space of its pictures.
    const output = outputOf(model, 'text_embeds', ...((await this.isSiglip()) ? ['pooler_output'] : []));
    return (await this.batcher(model, output, Object.keys(beside)).run(feeds, batching)).map(({ data }) => unit(data));
  }

  /** Both towers in one graph run together: the other one gets what is cheapest, once a batch. */
  private async besidePictures(model: OnnxModel): Promise<Feed> {
    if (!model.inputNames.includes('input_ids')) return {};
    const { ids, used } = (await this.loadTokenizer()).encode('');
    return tokenRows(model, ids.slice(0, used), used);
  }

  private blankPicture(): Feed {
    const { data, height, width } = toPixelValues({ width: 1, height: 1, data: new Uint8Array(3) }, this.preprocessor);
    return { pixel_values: { values: data, dims: [1, 3, height, width] } };
  }

  private readonly batchers = new Map<string, MicroBatcher>();
  private batcher(model: OnnxModel, output: string, shared: string[]): MicroBatcher {
    const name = `${model.file} ${output}`;
    const known = this.batchers.get(name) ?? new MicroBatcher(model, shared, output);
    this.batchers.set(name, known);
    return known;
  }

  private tokenizer: Promise<ClipTokenizer> | undefined;
  private loadTokenizer(): Promise<ClipTokenizer> {
    return (this.tokenizer ??= ClipTokenizer.load(this.folder));
  }

  private siglip: Promise<boolean> | undefined;
  private isSiglip(): Promise<boolean> {
    return (this.siglip ??= readModelConfig(join(this.folder, 'config.json'), configSchema).then(({ model_type: type }) =>
      /^siglip/.test(type),
    ));
  }
}

/** One text's ids as a batch of one, with the mask where the graph asks for it. */
function tokenRows(model: OnnxModel, ids: number[], used: number): Feed {
  const row = (values: number[]) => ({ values, dims: [1, values.length] });
  const masked = model.inputNames.includes('attention_mask');
  return { input_ids: row(ids), ...(masked ? { attention_mask: row(ids.map((_, i) => (i < used ? 1 : 0))) } : {}) };
}

/** The first of these outputs that the graph has. */
function outputOf(model: OnnxModel, ...names: string[]): string {
  const found = names.find((name) => model.outputNames.includes(name));
  if (found === undefined) {
    throw new InvalidInput(`${model.file} has no output ${names.join(' or ')}; it has ${model.outputNames.join(', ')}`);
  }
  return found;
}

function classToken({ data, dims }: FloatTensor, { file }: OnnxModel): Float32Array {
  if (dims.length !== 3) throw new InvalidInput(`${file}: last_hidden_state has ${dims.length} dimensions, where a class token needs 3`);
  return data.slice(0, dims[2]);
}

function unit(vector: Float32Array): Float32Array {
  checkFinite(vector, 'the embedding');
  const norm = Math.hypot(...vector);
  if (norm === 0) throw new ModelOutputInvalid('not_finite', 'the embedding is the zero vector');
  return Float32Array.from(vector, (x) => x / norm);
}
