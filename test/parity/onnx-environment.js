import { TestEnvironment } from 'jest-environment-node';

/**
 * Node's own typed arrays inside jest's sandbox: ONNX Runtime's native code makes its tensors from them and refuses those
 * of another realm. Use with `@jest-environment ./test/parity/onnx-environment.js`.
 */
export default class OnnxEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    Object.assign(this.global, { Float32Array, Int32Array, BigInt64Array, Uint8Array, Uint16Array, ArrayBuffer });
  }
}
