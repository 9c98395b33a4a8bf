import { InvalidInput } from '../../core/errors.js';
import { decodePair, type RgbImage } from '../metrics/pixels.js';
import { MicroBatcher, type Batching, type Feed, type Rows } from './micro-batching.js';
import { onnxFile } from './model-folder.js';
import { checkFinite } from './picture.js';
import type { Sessions } from './sessions.js';

/**
 * A graph that sees two pictures and says how far they lie apart: LPIPS (Zhang et al., arXiv 1801.03924), as `models/export/export_lpips.py`
 * writes it. Inputs `image` and `reference`, float32 [b, 3, height, width] from -1 to 1; output `distance` [b], 0 for equal pictures.
 */
export class ImageDistance {
  private constructor(
    private readonly batcher: MicroBatcher,
    private readonly sessions: Sessions,
  ) {}

  /** Throws InvalidInput, which names the file, where the folder is not complete or not of this kind. */
  static async load(folder: string, sessions: Sessions): Promise<ImageDistance> {
    const model = await sessions.load(await onnxFile(folder, 'model'));
    model.expectInputs(['image', 'reference']);
    if (!model.outputNames.includes('distance')) {
      throw new InvalidInput(`${model.file} has no output distance; export it with models/export/export_lpips.py`);
    }
    return new ImageDistance(new MicroBatcher(model, [], 'distance'), sessions);
  }

  /** Of its weights. */
  get bytes(): number {
    return this.sessions.bytes;
  }

  release(): Promise<void> {
    return this.sessions.release();
  }

  /** Of each pair of encoded pictures; where their sizes differ, the picture takes the reference's. */
  async distances(pairs: ReadonlyArray<{ image: Uint8Array; reference: Uint8Array }>, batching: Batching): Promise<number[]> {
    const feeds: Feed[] = [];
    for (const { image, reference } of pairs) {
      const pair = await decodePair(image, reference);
      feeds.push({ image: signedRows(pair.image), reference: signedRows(pair.trueImage) });
    }
    return (await this.batcher.run(feeds, batching)).map(({ data }) => {
      checkFinite(data, 'the distance');
      return data[0]!;
    });
  }
}

/** 8-bit RGB as [1, 3, height, width] from -1 to 1, as the lpips package's `im2tensor`. */
function signedRows({ width, height, data }: RgbImage): Rows {
  const area = width * height;
  const values = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) values[channel * area + i] = data[i * 3 + channel]! / 127.5 - 1;
  }
  return { values, dims: [1, 3, height, width] };
}
