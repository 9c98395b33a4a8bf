import type { FloatTensor } from '../onnx-model.js';

const { fround } = Math;

/**
 * How strongly the prompt is to be followed as a model reads it that was distilled with guidance (latent consistency models): float32 [1, size], the sines
 * and then the cosines of 1000 (scale - 1) at frequencies from 1 down to 1/10000, as diffusers' `get_guidance_scale_embedding`.
 */
export function guidanceEmbedding(scale: number, size: number): FloatTensor {
  const half = Math.floor(size / 2);
  const fall = fround(fround(Math.log(10_000)) / (half - 1));
  const place = fround(fround(scale - 1) * 1000);
  const data = new Float32Array(size);
  for (let i = 0; i < half; i++) {
    const angle = fround(place * fround(Math.exp(fround(i * -fall))));
    data[i] = Math.sin(angle);
    data[half + i] = Math.cos(angle);
  }
  return { data, dims: [1, size] };
}
