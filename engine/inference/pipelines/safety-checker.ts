import { join } from 'node:path';
import { ModelOutputInvalid } from '../../../core/errors.js';
import { onnxFile } from '../model-folder.js';
import type { OnnxModel } from '../onnx-model.js';
import { loadPreprocessor, pixelValues, type Preprocessor } from '../pixel-values.js';
import type { Sessions } from '../sessions.js';

/** Output that holds one truth value a picture. */
const VERDICT = 'has_nsfw_concepts';

/** Stable Diffusion's safety checker, as diffusers' ONNX export writes it: a CLIP vision model against the concepts that it knows. */
export class SafetyChecker {
  private constructor(
    private readonly model: OnnxModel,
    private readonly preprocessor: Preprocessor,
  ) {}

  /** `undefined` where the folder has none. Throws InvalidInput, which names the file, where it has half of one. */
  static async load(folder: string, sessions: Sessions): Promise<SafetyChecker | undefined> {
    const file = await onnxFile(folder, 'safety_checker/model').catch(() => undefined);
    if (file === undefined) return undefined;
    const model = await sessions.load(file);
    model.expectInputs(['clip_input', 'images']);
    return new SafetyChecker(model, await loadPreprocessor(join(folder, 'feature_extractor')));
  }

  /** Throws ModelOutputInvalid for a picture that is blocked. @param pixels 8-bit RGB, row by row; @param png the same, encoded */
  async check(pixels: Uint8Array, png: Uint8Array, height: number, width: number): Promise<void> {
    const { model } = this;
    const seen = await pixelValues(png, this.preprocessor);
    const images = Float32Array.from(pixels, (value) => value / 255);
    const feeds = {
      clip_input: model.tensor('clip_input', seen.data, [1, 3, seen.height, seen.width]),
      images: model.tensor('images', images, [1, height, width, 3]),
    };
    if ((await model.run(feeds, VERDICT)).data.some((verdict) => verdict !== 0))
      throw new ModelOutputInvalid('blocked', "the picture is blocked by the model's safety checker");
  }
}
