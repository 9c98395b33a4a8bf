import { canonicalJson, sha256Hex } from './content-hash.js';
import type { StepKeyInput } from './types.js';

/**
 * The name of a step's result: SHA-256 (hex) of the canonical JSON of everything it depends on.
 * Holds no item id, run id or path, so that any later run finds what an earlier one did.
 */
export function stepKey(input: StepKeyInput): string {
  const { step, stepVersion, inputs, params, model, runtime, draw } = input;
  return sha256Hex(canonicalJson({ step, stepVersion, inputs, params, model, runtime, draw }));
}
