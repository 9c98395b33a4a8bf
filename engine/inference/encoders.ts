import { ModelOutputInvalid } from '../../core/errors.js';
import { ClipTokenizer } from './clip-tokenizer.js';
import { onnxFile } from './model-folder.js';
import { checkFinite } from './picture.js';
import { loadPreprocessor, pixelValues, type Preprocessor } from './pixel-values.js';
import { MicroBatcher, type Batching, type Feed } from './micro-batching.js';
import type { OnnxModel } from './onnx-model.js';
import type { Sessions } from './sessions.js';

/** A CLIP-like encoder in transformers.js layout: pictures and, where the folder has a text model, texts as unit vectors. */
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

  /** L2-normalised `image_embeds` of encoded pictures. Throws InvalidInput when one cannot be decoded. */
  async embedImages(images: readonly Uint8Array[], batching: Batching): Promise<Float32Array[]> {
    const model = await this.sessions.load(await onnxFile(this.folder, 'vision_model', 'model'));
    model.expectInputs(['pixel_values']);
    const feeds: Feed[] = [];
    for (const image of images) {
      const { data, height, width } = await pixelValues(image, this.preprocessor);
      feeds.push({ pixel_values: { values: data, dims: [1, 3, height, width] } });
    }
    const embeds = await this.batcher(model, 'image_embeds').run(feeds, batching);
    return embeds.map(({ data }) => unit(data));
  }

  /** L2-normalised `text_embeds`. A text beyond the context is cut. Throws InvalidInput when the folder has no text model. */
  async embedTexts(texts: readonly string[], batching: Batching): Promise<Float32Array[]> {
    // The model first: where a folder has neither, the model is what should be named.
    const model = await this.sessions.load(await onnxFile(this.folder, 'text_model'));
    const tokenizer = await this.loadTokenizer();
    const masked = model.inputNames.includes('attention_mask');
    const feeds = texts.map((text): Feed => {
      const { ids, used } = tokenizer.encode(text);
      const row = (values: number[]) => ({ values, dims: [1, values.length] });
      return { input_ids: row(ids), ...(masked ? { attention_mask: row(ids.map((_, i) => (i < used ? 1 : 0))) } : {}) };
    });
    return (await this.batcher(model, 'text_embeds').run(feeds, batching)).map(({ data }) => unit(data));
  }

  private readonly batchers = new Map<OnnxModel, MicroBatcher>();
  private batcher(model: OnnxModel, output: string): MicroBatcher {
    const known = this.batchers.get(model) ?? new MicroBatcher(model, [], output);
    this.batchers.set(model, known);
    return known;
  }

  private tokenizer: Promise<ClipTokenizer> | undefined;
  private loadTokenizer(): Promise<ClipTokenizer> {
    return (this.tokenizer ??= ClipTokenizer.load(this.folder));
  }
}

function unit(vector: Float32Array): Float32Array {
  checkFinite(vector, 'the embedding');
  const norm = Math.hypot(...vector);
  if (norm === 0) throw new ModelOutputInvalid('the embedding is the zero vector');
  return Float32Array.from(vector, (x) => x / norm);
}
