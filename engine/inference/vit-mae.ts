import { InvalidInput } from '../../core/errors.js';
import { MicroBatcher, type Batching, type Feed } from './micro-batching.js';
import { onnxFile } from './model-folder.js';
import type { OnnxModel } from './onnx-model.js';
import { checkFinite } from './picture.js';
import { loadPreprocessor, pixelValues, type Preprocessor } from './pixel-values.js';
import type { Sessions } from './sessions.js';
import { TorchRandom } from './torch-random.js';

export interface FeaturesRequest {
  /** An encoded picture. */
  image: Uint8Array;
  /** Torch's: the mask's noise is `torch.rand(1, patches)` with it. */
  noiseSeed: number;
  /** Absent: the mean of the features. */
  all?: true;
}

/**
 * ViT-MAE's encoder (He et al., arXiv 2111.06377) with the mask's noise as an input of the graph: it keeps the quarter of the
 * patches whose noise is lowest, so that a picture of 196 patches gives 49 features and the class token's.
 */
export class VitMae {
  private readonly batcher: MicroBatcher;

  private constructor(
    private readonly model: OnnxModel,
    private readonly preprocessor: Preprocessor,
    private readonly sessions: Sessions,
  ) {
    this.batcher = new MicroBatcher(model, [], 'last_hidden_state');
  }

  /** Of its weights. */
  get bytes(): number {
    return this.sessions.bytes;
  }

  release(): Promise<void> {
    return this.sessions.release();
  }

  /** Throws InvalidInput, which names the file, where the folder is not complete or not of this kind. */
  static async load(folder: string, sessions: Sessions): Promise<VitMae> {
    const preprocessor = await loadPreprocessor(folder);
    const model = await sessions.load(await onnxFile(folder, 'model'));
    if (!model.inputNames.includes('noise')) {
      throw new InvalidInput(
        `${model.file} draws its mask's noise by itself, so that no two calls agree: export it with noise as an input`,
      );
    }
    model.expectInputs(['pixel_values', 'noise']);
    return new VitMae(model, preprocessor, sessions);
  }

  /** For each picture the class token's and the visible patches' features: their mean, float32 [width], or row by row. */
  async features(pictures: readonly FeaturesRequest[], batching: Batching): Promise<Float32Array[]> {
    const feeds: Feed[] = [];
    for (const { image, noiseSeed } of pictures) {
      const { data, height, width } = await pixelValues(image, this.preprocessor);
      const random = new TorchRandom(noiseSeed);
      const noise = Float32Array.from({ length: this.patches() }, () => random.uniform());
      feeds.push({ pixel_values: { values: data, dims: [1, 3, height, width] }, noise: { values: noise, dims: [1, noise.length] } });
    }
    return (await this.batcher.run(feeds, batching)).map(({ data: states, dims }, i) => {
      checkFinite(states, "the image's features");
      return pictures[i]!.all ? states : meanRow(states, dims.at(-1)!);
    });
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
