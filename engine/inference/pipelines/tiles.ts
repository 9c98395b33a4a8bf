import type { FloatTensor } from '../onnx-model.js';

const { fround } = Math;

/** Share of a tile that overlaps the next one (diffusers' `tile_overlap_factor`). */
const OVERLAP = 0.25;

/**
 * A convolutional model over a picture in overlapping tiles, which are blended linearly where they overlap: memory depends on the tile, not
 * on the picture. As diffusers' `AutoencoderKL.tiled_decode` and `tiled_encode`, float32.
 * @param input float32 [1, channels, height, width]
 * @param edge of a tile: what goes in and, where it is a whole one, what comes out
 */
export async function inTiles(
  input: FloatTensor,
  edge: { input: number; output: number },
  run: (tile: FloatTensor) => Promise<FloatTensor>,
): Promise<FloatTensor> {
  const [, , height = 0, width = 0] = input.dims;
  const stride = Math.trunc(edge.input * (1 - OVERLAP));
  const blended = Math.trunc(edge.output * OVERLAP);
  const kept = edge.output - blended;
  const rows: FloatTensor[][] = [];
  for (let y = 0; y < height; y += stride) {
    const row: FloatTensor[] = [];
    for (let x = 0; x < width; x += stride) {
      const tile = await run(cut(input, y, x, edge.input));
      const above = rows.at(-1)?.[row.length];
      if (above) blend(above, tile, blended, 2);
      if (row.length > 0) blend(row.at(-1)!, tile, blended, 3);
      row.push(tile);
    }
    rows.push(row);
  }
  return join(rows, kept);
}

function cut({ data, dims }: FloatTensor, top: number, left: number, edge: number): FloatTensor {
  const [batch = 1, channels = 1, height = 0, width = 0] = dims;
  const [h, w] = [Math.min(edge, height - top), Math.min(edge, width - left)];
  const tile = new Float32Array(batch * channels * h * w);
  for (let c = 0; c < batch * channels; c++) {
    for (let y = 0; y < h; y++) {
      const from = (c * height + top + y) * width + left;
      tile.set(data.subarray(from, from + w), (c * h + y) * w);
    }
  }
  return { data: tile, dims: [batch, channels, h, w] };
}

/** Fades from the end of `before` into the beginning of `tile`, along one axis; what is blended once is blended on. */
function blend(before: FloatTensor, tile: FloatTensor, wanted: number, axis: 2 | 3): void {
  const extent = Math.min(before.dims[axis]!, tile.dims[axis]!, wanted);
  const [, channels = 1, height = 0, width = 0] = tile.dims;
  const [, , heightBefore = 0, widthBefore = 0] = before.dims;
  const [h, w] = axis === 2 ? [extent, width] : [height, extent];
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const share = (axis === 2 ? y : x) / extent;
        const [yBefore, xBefore] = axis === 2 ? [heightBefore - extent + y, x] : [y, widthBefore - extent + x];
        const a = before.data[(c * heightBefore + yBefore) * widthBefore + xBefore]!;
        const at = (c * height + y) * width + x;
        tile.data[at] = fround(a * fround(1 - share)) + fround(tile.data[at]! * fround(share));
      }
    }
  }
}

/** The first `kept` rows and columns of each tile, side by side. */
function join(rows: FloatTensor[][], kept: number): FloatTensor {
  const part = (tile: FloatTensor, axis: 2 | 3): number => Math.min(kept, tile.dims[axis]!);
  const height = rows.reduce((sum, [first]) => sum + part(first!, 2), 0);
  const width = rows[0]!.reduce((sum, tile) => sum + part(tile, 3), 0);
  const channels = rows[0]![0]!.dims[1]!;
  const data = new Float32Array(channels * height * width);
  let top = 0;
  for (const row of rows) {
    let left = 0;
    for (const tile of row) {
      const [, , h = 0, w = 0] = tile.dims;
      for (let c = 0; c < channels; c++) {
        for (let y = 0; y < part(tile, 2); y++) {
          const from = (c * h + y) * w;
          data.set(tile.data.subarray(from, from + part(tile, 3)), (c * height + top + y) * width + left);
        }
      }
      left += part(tile, 3);
    }
    top += part(row[0]!, 2);
  }
  return { data, dims: [1, channels, height, width] };
}
