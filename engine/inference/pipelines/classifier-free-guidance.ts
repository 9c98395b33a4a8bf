const { fround } = Math;

/**
 * Classifier-free guidance (Ho & Salimans, arXiv 2207.12598): unconditional + scale * (conditional - unconditional).
 * @param outputs the model's outputs for [unconditional, conditional], one after the other.
 */
export function classifierFreeGuidance(outputs: Float32Array, scale: number): Float32Array {
  const n = outputs.length / 2;
  const guided = new Float32Array(n);
  const factor = fround(scale);
  for (let i = 0; i < n; i++) {
    const unconditional = outputs[i]!;
    guided[i] = unconditional + fround(factor * fround(outputs[n + i]! - unconditional));
  }
  return guided;
}
