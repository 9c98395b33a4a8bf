import { basename, dirname, join } from 'node:path';
import { Tensor, type InferenceSession } from 'onnxruntime-node';
import { DeviceLost, InvalidInput, OutOfMemory, RefineError } from '../../core/errors.js';
import { toFloat16, fromFloat16 } from './float16.js';
import type { MakesRoom } from './loaded-models.js';

/** A model's input as the file declares it: symbolic dimensions are strings. */
export interface ModelInput {
  type: Tensor.Type;
  shape: ReadonlyArray<number | string>;
}

export interface FloatTensor {
  data: Float32Array;
  dims: readonly number[];
}

/** One loaded ONNX file: takes plain numbers, gives float32, and feeds each input in the type that the file declares. */
export class OnnxModel {
  private readonly inputs: ReadonlyMap<string, ModelInput>;

  /**
   * @param bytes of its weights on disk, which is about what it takes on the device
   * @param withRoom tries a call again that fails for want of memory; default: none is
   */
  constructor(
    readonly file: string,
    private readonly session: InferenceSession,
    readonly bytes: number,
    private readonly withRoom: MakesRoom = (work) => work(),
  ) {
    this.inputs = new Map(session.inputMetadata.flatMap((input) => (input.isTensor ? [[input.name, input] as const] : [])));
  }

  get inputNames(): string[] {
    return [...this.inputs.keys()];
  }

  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  /** Throws InvalidInput when the model has no such input. */
  input(name: string): ModelInput {
    const input = this.inputs.get(name);
    if (!input) throw new InvalidInput(`${this.label} has no input ${name}; it has ${this.inputNames.join(', ')}`);
    return input;
  }

  /** Throws InvalidInput when the model asks for inputs beside these: it is of another kind. */
  expectInputs(names: readonly string[]): void {
    names.forEach((name) => this.input(name));
    const others = this.inputNames.filter((name) => !names.includes(name));
    if (others.length > 0) throw new InvalidInput(`${this.label} also needs ${others.join(', ')}, which this pipeline does not give`);
  }

  /** `values` (row by row) as a tensor of the input's declared type: float32, float16, or int32 and int64, which cut off fractions as optimum's do. */
  tensor(name: string, values: ArrayLike<number>, dims: readonly number[]): Tensor {
    const { type } = this.input(name);
    switch (type) {
      case 'float32':
        return new Tensor('float32', values instanceof Float32Array ? values : Float32Array.from(values), dims);
      case 'float16':
        return new Tensor('float16', toFloat16(values), dims);
      case 'int64':
        return new Tensor(
          'int64',
          BigInt64Array.from({ length: values.length }, (_, i) => BigInt(Math.trunc(values[i]!))),
          dims,
        );
      case 'int32':
        return new Tensor('int32', Int32Array.from(values), dims);
      default:
        throw new InvalidInput(
          `${this.label}: input ${name} is ${type}; float32, float16, int32 and int64 are supported (export with --dtype fp32 or fp16)`,
        );
    }
  }

  /** As {@link runAll}, of one output: `output`, or its first one where none is named. */
  async run(feeds: Record<string, Tensor>, output: string = this.session.outputNames[0]!): Promise<FloatTensor> {
    return (await this.runAll(feeds, [output]))[0]!;
  }

  /**
   * Runs the model and returns the named outputs, float16 and truth values as float32. Blocks the event loop.
   * Throws OutOfMemory; InvalidInput when there is no such output; Unexpected for other failures of the runtime.
   */
  async runAll(feeds: Record<string, Tensor>, outputs: readonly string[]): Promise<FloatTensor[]> {
    const results = await this.runRaw(feeds, outputs);
    return outputs.map((output) => {
      const tensor = results[output]!;
      const data = floatsOf(tensor);
      if (!data) throw new InvalidInput(`${this.label}: output ${output} is ${tensor.type}, not float32, float16 or bool`);
      return { data, dims: tensor.dims };
    });
  }

  /** As {@link runAll}, in the types that the model gives them: what goes straight into another graph. */
  async runRaw(feeds: Record<string, Tensor>, outputs: readonly string[]): Promise<Record<string, Tensor>> {
    const unknown = outputs.find((output) => !this.session.outputNames.includes(output));
    if (unknown !== undefined) {
      throw new InvalidInput(`${this.label} has no output ${unknown}; it has ${this.session.outputNames.join(', ')}`);
    }
    return this.withRoom(() => this.call(feeds, outputs));
  }

  private async call(feeds: Record<string, Tensor>, outputs: readonly string[]): Promise<Record<string, Tensor>> {
    try {
      return await this.session.run(feeds, outputs);
    } catch (error) {
      const message = `${this.label}: ${(error as Error).message}`;
      if (isOutOfMemory(message)) throw new OutOfMemory(message, { cause: error });
      if (isDeviceLost(message)) throw new DeviceLost(message, { cause: error });
      throw new RefineError('Unexpected', message, { cause: error });
    }
  }

  /** Frees what it holds; it must not be run again. */
  release(): Promise<void> {
    return this.session.release();
  }

  /** The file with its folder: enough to know which one, without the machine's paths. */
  private get label(): string {
    return join(basename(dirname(this.file)), basename(this.file));
  }
}

/** A tensor's numbers from `start` to `end` as float32; `undefined` where it holds others than float32, float16 and truth values. */
export function floatsOf({ type, data }: Tensor, start = 0, end = data.length): Float32Array | undefined {
  if (data instanceof Float32Array) return start === 0 && end === data.length ? data : data.subarray(start, end);
  if (type === 'bool') return Float32Array.from(data as Uint8Array).subarray(start, end);
  if (type !== 'float16') return undefined;
  // 16-bit words, or from Node 24 on a Float16Array.
  const { buffer, byteOffset } = data as Uint16Array;
  return fromFloat16(new Uint16Array(buffer, byteOffset + 2 * start, end - start));
}

/** Whether ONNX Runtime (or a device's driver) says that memory ran out. */
export function isOutOfMemory(message: string): boolean {
  return /out of memory|failed to allocate|bad_alloc|CUBLAS_STATUS_ALLOC_FAILED/i.test(message);
}

/** Whether CUDA or one of its libraries says that the device failed: every later call in the same process does, too. */
export function isDeviceLost(message: string): boolean {
  return /CUDA failure|CUDA error|CUDNN_STATUS_|CUBLAS_STATUS_|cudaError/i.test(message);
}
