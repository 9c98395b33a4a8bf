import type { StepRuntime } from '../../core/types.js';
import { OutOfMemory } from '../../core/errors.js';
import type { Task } from './host-protocol.js';
import type { FloatTensor, OnnxModel } from './onnx-model.js';

/** `exact`: only in batches that were seen to give the bits of one at a time. `fast`: in any, and results may differ by rounding. */
export type Batching = StepRuntime['batching'];

/** One input of one request, row by row. */
export interface Rows {
  values: ArrayLike<number>;
  dims: readonly number[];
}
/** A request's inputs by name. */
export type Feed = Record<string, Rows>;

/** Requests with one key may share their calls into a model; `null`: shares with none. */
export function batchKey({ name, request }: Task): string | null {
  switch (name) {
    case 'generate': {
      const { model, scheduler, numInferenceSteps, guidanceScale, height, width, batching, resume, start } = request;
      return JSON.stringify([
        ...[name, model, batching, scheduler, numInferenceSteps, guidanceScale > 1, height, width],
        ...[resume?.done ?? 0, start?.strength ?? null],
      ]);
    }
    case 'embedImage':
    case 'embedText':
    case 'imageFeatures':
    case 'imageDistance':
      return JSON.stringify([name, request.model, request.batching]);
    case 'answer':
    case 'probabilityOfYes': // The questions are of different lengths.
    case 'writeFeedback':
      return null; // The texts end at different lengths.
  }
}

/**
 * Runs one model for several requests with as few calls as may be. Which batch sizes are exact is found out at the first batch of each size and
 * shape: its rows are run one at a time as well, and compared bit by bit. How a kernel adds up depends on shapes, not on values, so that once is enough.
 */
export class MicroBatcher {
  /** By size and shapes: whether such a batch gives what its rows give alone. */
  private readonly isExact = new Map<string, boolean>();

  /**
   * @param shared inputs that all requests of a batch have in common; the others are stacked along their first dimension
   * @param output the model's first one where none is named
   */
  constructor(
    private readonly model: OnnxModel,
    private readonly shared: readonly string[] = [],
    private readonly output?: string,
  ) {}

  /** The output for each feed, in their order. A batch that does not fit into memory is run one at a time. */
  async run(feeds: readonly Feed[], batching: Batching): Promise<FloatTensor[]> {
    const outputs = new Array<FloatTensor>(feeds.length);
    for (const alike of groups(feeds)) {
      for (let rest = alike; rest.length > 0;) {
        const made = await this.next(
          rest.map((index) => feeds[index]!),
          batching,
        );
        made.forEach((output, i) => (outputs[rest[i]!] = output));
        rest = rest.slice(made.length);
      }
    }
    return outputs;
  }

  /** Outputs of the first few of feeds of one shape: as many as one batch may hold. */
  private async next(feeds: Feed[], batching: Batching): Promise<FloatTensor[]> {
    if (feeds.length === 1) return [await this.call(feeds[0]!)];
    if (batching === 'fast') return (await this.stacked(feeds)) ?? this.oneByOne(feeds);
    for (let size = 2 ** Math.floor(Math.log2(feeds.length)); size > 1; size /= 2) {
      const some = feeds.slice(0, size);
      const key = `${size} ${shapeOf(some[0]!)}`;
      const isExact = this.isExact.get(key);
      if (isExact === undefined) return this.check(key, some);
      if (isExact) return (await this.stacked(some)) ?? this.oneByOne(some);
    }
    return [await this.call(feeds[0]!)];
  }

  /** Either way the rows' own results are given. */
  private async check(key: string, feeds: Feed[]): Promise<FloatTensor[]> {
    const alone = await this.oneByOne(feeds);
    const together = await this.stacked(feeds);
    this.isExact.set(key, together?.every((output, i) => sameBits(output.data, alone[i]!.data)) ?? false);
    return alone;
  }

  private async oneByOne(feeds: Feed[]): Promise<FloatTensor[]> {
    const outputs: FloatTensor[] = [];
    for (const feed of feeds) outputs.push(await this.call(feed));
    return outputs;
  }

  /** `undefined`: not enough memory. */
  private async stacked(feeds: Feed[]): Promise<FloatTensor[] | undefined> {
    const stack = Object.fromEntries(
      Object.entries(feeds[0]!).map(([name, rows]) => [
        name,
        this.shared.includes(name) ? rows : stackRows(feeds.map((feed) => feed[name]!)),
      ]),
    );
    try {
      const { data, dims } = await this.call(stack);
      const each = data.length / feeds.length;
      return feeds.map((_, i) => ({ data: data.slice(i * each, (i + 1) * each), dims: [dims[0]! / feeds.length, ...dims.slice(1)] }));
    } catch (error) {
      if (error instanceof OutOfMemory) return undefined;
      throw error;
    }
  }

  private call(feed: Feed): Promise<FloatTensor> {
    const tensors = Object.entries(feed).map(([name, { values, dims }]) => [name, this.model.tensor(name, values, dims)] as const);
    return this.model.run(Object.fromEntries(tensors), this.output);
  }
}

/** Places of the feeds, those of one shape together. */
function groups(feeds: readonly Feed[]): number[][] {
  const byShape = new Map<string, number[]>();
  feeds.forEach((feed, index) => {
    const shape = shapeOf(feed);
    byShape.set(shape, [...(byShape.get(shape) ?? []), index]);
  });
  return [...byShape.values()];
}

const shapeOf = (feed: Feed): string => JSON.stringify(Object.entries(feed).map(([name, { dims }]) => [name, dims]));

function stackRows(parts: Rows[]): Rows {
  const [first] = parts;
  const each = first!.values.length;
  const values = first!.values instanceof Float32Array ? new Float32Array(each * parts.length) : new Array<number>(each * parts.length);
  parts.forEach((part, i) => {
    for (let k = 0; k < each; k++) values[i * each + k] = part.values[k]!;
  });
  return { values, dims: [first!.dims[0]! * parts.length, ...first!.dims.slice(1)] };
}

/** NaN of the same bits are equal, 0 and -0 are not. */
function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
  return bytes(a).equals(bytes(b));
}
