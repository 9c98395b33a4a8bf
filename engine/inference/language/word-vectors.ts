import { Tensor } from 'onnxruntime-node';
import type { OnnxModel } from '../onnx-model.js';

/** By `embed_tokens.onnx`: rows of ids of one length, as vectors [rows, length, width]. */
export async function wordVectors(embed: OnnxModel, ids: number[][]): Promise<Tensor> {
  const input = embed.tensor('input_ids', ids.flat(), [ids.length, ids[0]!.length]);
  return (await embed.runRaw({ input_ids: input }, ['inputs_embeds']))['inputs_embeds']!;
}

/** Of vectors [1, length, width] of one type and width: one behind the other. */
export function joinVectors(...parts: [Tensor, ...Tensor[]]): Tensor {
  const [first] = parts;
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const data = new (first.data.constructor as new (length: number) => Float32Array | Uint16Array)(size);
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.size;
  }
  const width = first.dims[2]!;
  return new Tensor(first.type as 'float32', data as Float32Array, [1, size / width, width]);
}
