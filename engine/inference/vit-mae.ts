import { join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';
import type { OnnxModel } from './onnx-model.js';
import { checkFinite } from './picture.js';
import { loadPreprocessor, pixelValues, type Preprocessor } from './pixel-values.js';
import type { Sessions } from './sessions.js';
import { TorchRandom } from './torch-random.js';

/**
 * ViT-MAE's encoder (He et al., arXiv 2111.06377) with the mask's noise as an input of the graph: it keeps the quarter of the
 * patches whose noise is lowest, so that a picture of 196 patches gives 49 features and the class token's.
 */
export class VitMae {
  private constructor(
    private readonly model: OnnxModel,
    private readonly preprocessor: Preprocessor,
  ) {}

  /** Throws InvalidInput, which names the file, where the folder is not complete or not of this kind. */
  static async load(folder: string, sessions: Sessions): Promise<VitMae> {
    const preprocessor = await loadPreprocessor(folder);
    const model = await sessions.load(join(folder, 'onnx', 'model.onnx'));
    model.expectInputs(['pixel_values', 'noise']);
    return new VitMae(model, preprocessor);
  }

  /**
   * Mean over the visible patches' and the class token's features: float32 [width].
   * @param noiseSeed torch's: the noise is `torch.rand(1, patches)` with it
   */
  async meanPatch(image: Uint8Array, noiseSeed: number): Promise<Float32Array> {
    const { data, height, width } = await pixelValues(image, this.preprocessor);
    const random = new TorchRandom(noiseSeed);
    const noise = Float32Array.from({ length: this.patches() }, () => random.uniform());
    const { data: states, dims } = await this.model.run(
      {
        pixel_values: this.model.tensor('pixel_values', data, [1, 3, height, width]),
        noise: this.model.tensor('noise', noise, [1, noise.length]),
      },
      'last_hidden_state',
    );
    checkFinite(states, "the image's features");
    return meanRow(states, dims.at(-1)!);
  }

  private patches(): number {
    const patches = this.model.input('noise').shape.at(-1);
    if (typeof patches !== 'number')
      throw new InvalidInput(`${this.model.file}: the noise input has no fixed number of patches; export it with one`);
    return patches;
  }
}

/** Mean of the rows of a row-major matrix, added up in double precision and rounded once. */
function meanRow(values: Float32Array, width: number): Float32Array {
  const rows = values.length / width;
  return Float32Array.from({ length: width }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += values[row * width + column]!;
    return sum / rows;
  });
}
