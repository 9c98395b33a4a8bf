import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelOutputInvalid } from '../../core/errors.js';
import { ClipTokenizer } from './clip-tokenizer.js';
import { checkFinite } from './picture.js';
import { loadPreprocessor, pixelValues, type Preprocessor } from './pixel-values.js';
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

  /** L2-normalised `image_embeds` of an encoded picture. Throws InvalidInput when it cannot be decoded. */
  async embedImage(image: Uint8Array): Promise<Float32Array> {
    const split = join(this.folder, 'onnx', 'vision_model.onnx');
    const file = (await exists(split)) ? split : join(this.folder, 'onnx', 'model.onnx');
    const model = await this.sessions.load(file);
    model.expectInputs(['pixel_values']);
    const { data, height, width } = await pixelValues(image, this.preprocessor);
    const embeds = await model.run({ pixel_values: model.tensor('pixel_values', data, [1, 3, height, width]) }, 'image_embeds');
    return unit(embeds.data);
  }

  /** L2-normalised `text_embeds`. A text beyond the context is cut. Throws InvalidInput when the folder has no text model. */
  async embedText(text: string): Promise<Float32Array> {
    const file = join(this.folder, 'onnx', 'text_model.onnx');
    // The model first: where a folder has neither, the model is what should be named.
    const model = await this.sessions.load(file);
    const tokenizer = await this.loadTokenizer();
    const { ids, used } = tokenizer.encode(text);
    const feeds = { input_ids: model.tensor('input_ids', ids, [1, ids.length]) };
    if (model.inputNames.includes('attention_mask')) {
      const mask = ids.map((_, i) => (i < used ? 1 : 0));
      Object.assign(feeds, { attention_mask: model.tensor('attention_mask', mask, [1, mask.length]) });
    }
    return unit((await model.run(feeds, 'text_embeds')).data);
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

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
