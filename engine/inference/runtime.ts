import { createRequire } from 'node:module';
import type { StepRuntime } from '../../core/types.js';

const require = createRequire(import.meta.url);

/** What a step runs on, for its key. Reads the runtime's version without loading its native code. */
export function runtimeOf(options: { provider: string; batching: StepRuntime['batching'] }): StepRuntime {
  const { version } = require('onnxruntime-node/package.json') as { version: string };
  return { engine: 'onnxruntime-node', version, provider: options.provider, precision: 'fp32', batching: options.batching };
}
