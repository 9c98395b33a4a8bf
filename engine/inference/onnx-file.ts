import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InvalidInput } from '../../core/errors.js';

/** What an ONNX file says of itself; its weights are not read. */
export interface OnnxFile {
  /** Names of what it is fed, without weights that older exports list among them. */
  inputs: string[];
  outputs: string[];
  /** Files beside it (paths relative to its folder) and the bytes that each must at least have. */
  external: Map<string, number>;
  /** Type of the most weights, such as `fp32`; `null` where it has none. */
  precision: string | null;
  /** Program that wrote it and its version, such as `pytorch 2.15.0`; `null` where it does not say. */
  producer: string | null;
}

/** Numbers of TensorProto.DataType (onnx.proto of github.com/onnx/onnx) that weights are stored in. */
const PRECISIONS: Record<number, string> = { 1: 'fp32', 10: 'fp16', 16: 'bf16', 2: 'int8', 3: 'int8', 21: 'int4', 22: 'int4' };

/** Field numbers of onnx.proto on the way to the tensors: a message is followed into these and into nothing else. */
const INTO: Record<string, Record<number, string>> = {
  model: { 7: 'main' },
  main: { 1: 'node', 5: 'tensor', 11: 'input', 12: 'output' },
  graph: { 1: 'node', 5: 'tensor' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph' },
};

/**
 * Walks through an ONNX file, which may have gigabytes, without reading its weights.
 * Throws InvalidInput, which names the file, when it is missing, empty, cut short or no ONNX file.
 */
export function readOnnxFile(file: string): OnnxFile {
  const names: Record<'input' | 'output' | 'tensor', string[]> = { input: [], output: [], tensor: [] };
  const external = new Map<string, number>();
  const elements = new Map<string, number>();
  let producer: [string, string] = ['', ''];
  using(file, (bytes) => {
    let hasGraph = false;
    const walk = (message: string, start: number, end: number): void => {
      hasGraph ||= message === 'main';
      if (message === 'tensor') return readTensor(start, end);
      if (message === 'input' || message === 'output') return readName(message, start, end, 1);
      for (const field of bytes.fields(start, end)) {
        const inner = INTO[message]?.[field.number];
        if (inner !== undefined) walk(inner, field.start, field.end);
        if (message === 'main' && inner === 'tensor') readName(inner, field.start, field.end, 8);
        if (message === 'model' && field.number === 2) producer = [bytes.text(field), producer[1]];
        else if (message === 'model' && field.number === 3) producer = [producer[0], bytes.text(field)];
      }
    };
    const readTensor = (start: number, end: number): void => {
      let [count, type] = [1, 0];
      const place: Record<string, string> = {};
      for (const field of bytes.fields(start, end)) {
        if (field.number === 1) count *= field.packed ? bytes.varints(field).reduce((a, b) => a * b, 1) : field.value;
        else if (field.number === 2) type = field.value;
        else if (field.number === 13) {
          const [key = '', value = ''] = [...bytes.fields(field.start, field.end)].map((entry) => bytes.text(entry));
          place[key] = value;
        }
      }
      const precision = PRECISIONS[type];
      if (precision !== undefined) elements.set(precision, (elements.get(precision) ?? 0) + count);
      const { location, offset = '0', length = '0' } = place;
      if (location !== undefined) external.set(location, Math.max(external.get(location) ?? 0, Number(offset) + Number(length)));
    };
    const readName = (of: keyof typeof names, start: number, end: number, number: number): void => {
      for (const field of bytes.fields(start, end)) if (field.number === number) names[of].push(bytes.text(field));
    };
    walk('model', 0, bytes.size);
    if (!hasGraph) throw bytes.spoilt();
  });
  const [most] = [...elements].sort((a, b) => b[1] - a[1]);
  const weights = new Set(names.tensor);
  return {
    inputs: names.input.filter((name) => !weights.has(name)),
    outputs: names.output,
    external,
    precision: most?.[0] ?? null,
    producer: producer.join(' ').trim() || null,
  };
}

/** An ONNX file's size with that of the weights beside it. Throws InvalidInput, which says what is missing or cut short. */
export async function weightBytes(file: string, { external } = readOnnxFile(file)): Promise<number> {
  let bytes = (await stat(file)).size;
  for (const [location, needed] of external) {
    const beside = join(dirname(file), location);
    const found = await stat(beside).catch(() => null);
    if (!found) throw new InvalidInput(`${beside} is missing: ${file} keeps its weights there; copy it too`);
    if (found.size < needed) {
      throw new InvalidInput(`${beside} is cut short: it has ${found.size} bytes, ${file} needs ${needed}; copy it again`);
    }
    bytes += found.size;
  }
  return bytes;
}

interface Field {
  number: number;
  /** Of what a length stands before: a message, a text, bytes, packed numbers. */
  packed: boolean;
  start: number;
  end: number;
  /** Of a varint; 0 for others. */
  value: number;
}

const WINDOW = 1 << 16;
/** By wire type: the bytes of a value that is not a varint and has no length before it; others 0. */
const FIXED_BYTES: Record<number, number> = { 0: 0, 1: 8, 2: 0, 5: 4 };

/** A protobuf file (protobuf.dev, "Encoding") of which only what is asked for is read. */
class ProtobufFile {
  private window: Buffer = Buffer.alloc(0);
  private windowStart = 0;

  constructor(
    private readonly file: string,
    private readonly descriptor: number,
    readonly size: number,
  ) {}

  *fields(start: number, end: number): Generator<Field> {
    for (let at = start; at < end;) {
      const tag = this.varint(at);
      const number = Math.floor(tag.value / 8);
      const fixed = FIXED_BYTES[tag.value % 8];
      if (number === 0 || fixed === undefined) throw this.spoilt();
      const body = fixed === 0 ? this.varint(tag.next) : { value: 0, next: tag.next };
      const packed = tag.value % 8 === 2;
      const field = {
        number,
        packed,
        start: body.next,
        end: body.next + fixed + (packed ? body.value : 0),
        value: packed ? 0 : body.value,
      };
      if (field.end > end) throw this.spoilt();
      yield field;
      at = field.end;
    }
  }

  text({ start, end }: Field): string {
    return this.bytes(start, end - start).toString('utf8');
  }

  varints({ start, end }: Field): number[] {
    const values: number[] = [];
    for (let at = start; at < end;) {
      const { value, next } = this.varint(at);
      values.push(value);
      at = next;
    }
    return values;
  }

  private varint(at: number): { value: number; next: number } {
    let [value, scale] = [0, 1];
    for (let next = at; next < at + 10; next++, scale *= 128) {
      const byte = this.bytes(next, 1)[0]!;
      value += (byte % 128) * scale;
      if (byte < 128) return { value, next: next + 1 };
    }
    throw this.spoilt();
  }

  private bytes(start: number, length: number): Buffer {
    if (start + length > this.size) throw this.spoilt();
    if (start < this.windowStart || start + length > this.windowStart + this.window.length) {
      this.window = Buffer.alloc(Math.min(Math.max(length, WINDOW), this.size - start));
      this.windowStart = start;
      readSync(this.descriptor, this.window, 0, this.window.length, start);
    }
    return this.window.subarray(start - this.windowStart, start - this.windowStart + length);
  }

  spoilt(): InvalidInput {
    return new InvalidInput(
      `${this.file} cannot be loaded, it is corrupt or incomplete (no whole ONNX graph): export or copy the model folder again`,
    );
  }
}

function using(file: string, work: (bytes: ProtobufFile) => void): void {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    throw new InvalidInput(`${file} is missing: export or copy the model folder again`, { cause: error });
  }
  try {
    const { size } = fstatSync(descriptor);
    work(new ProtobufFile(file, descriptor, size));
  } finally {
    closeSync(descriptor);
  }
}
