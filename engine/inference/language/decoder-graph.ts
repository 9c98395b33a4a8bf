import { Tensor } from 'onnxruntime-node';
import { InvalidInput } from '../../../core/errors.js';
import { floatsOf, type OnnxModel } from '../onnx-model.js';
import type { Branch, TokenModel } from './decode.js';

/** What a decoder keeps of a text: keys and values by input name, each [1, heads, length, width]. */
export interface Past {
  /** Tokens that they are of. */
  length: number;
  tensors: Readonly<Record<string, Tensor>>;
}

/** Of rows of one length: ids, or their vectors [rows, length, width]. */
export type Words = { ids: number[][] } | { vectors: Tensor };

/** Inputs that are told apart by their names; `past_key_values.*` is the past. */
const KNOWN = ['input_ids', 'inputs_embeds', 'attention_mask', 'position_ids', 'use_cache_branch', 'num_logits_to_keep'];
const PAST = 'past_key_values.';

/**
 * A decoder in one graph, as exporters write it: `model.onnx` (an empty past reads the prompt) or `decoder_model_merged.onnx` (with a switch).
 * It reads only what is new: the past comes back to it as it gave it.
 */
export class DecoderGraph implements TokenModel<Past> {
  private readonly pastNames: string[];
  private readonly outputs: string[];

  /**
   * @param vectorsOf where the graph takes vectors: those of ids [rows, 1]
   * @param given keys and values that stay as they are, beside those that grow
   * Throws InvalidInput where the graph is no decoder with past.
   */
  constructor(
    private readonly graph: OnnxModel,
    private readonly vectorsOf?: (ids: number[][]) => Promise<Tensor>,
    given: readonly string[] = [],
  ) {
    const isPast = (name: string) => name.startsWith(PAST);
    this.pastNames = graph.inputNames.filter((name) => isPast(name) && !given.includes(name));
    graph.expectInputs(graph.inputNames.filter((name) => isPast(name) || KNOWN.includes(name)));
    this.outputs = ['logits', ...this.pastNames.map(presentOf)];
    const missing = this.outputs.filter((name) => !graph.outputNames.includes(name));
    if (this.pastNames.length === 0 || missing.length > 0) {
      const why = this.pastNames.length === 0 ? 'takes no past key values' : `has no output ${missing.join(', ')}`;
      throw new InvalidInput(
        `${graph.file} ${why}, so every token would read the whole text again: export with --task text-generation-with-past`,
      );
    }
  }

  /** Reads the words of one text. */
  async read(words: Words, given: Past['tensors'] = {}): Promise<Branch<Past>> {
    const empty = this.pastNames.map((name) => [name, this.empty(name)] as const);
    const [branch] = await this.run(words, [{ length: 0, tensors: { ...given, ...Object.fromEntries(empty) } }]);
    return branch!;
  }

  /** Texts of one length share a call. */
  async next(texts: ReadonlyArray<{ state: Past; token: number }>): Promise<Array<Branch<Past>>> {
    const ids = texts.map(({ token }) => [token]);
    const words = this.vectorsOf ? { vectors: await this.vectorsOf(ids) } : { ids };
    return this.run(
      words,
      texts.map(({ state }) => state),
    );
  }

  private async run(words: Words, pasts: Past[]): Promise<Array<Branch<Past>>> {
    const rows = pasts.length;
    const { length: before, tensors } = pasts[0]!;
    const length = 'ids' in words ? words.ids[0]!.length : words.vectors.dims[1]!;
    const feeds: Record<string, Tensor> = Object.fromEntries(
      Object.keys(tensors).map((name) => [name, stack(pasts.map((past) => past.tensors[name]!))]),
    );
    const give = (name: string, values: () => number[], dims: number[]) => {
      if (this.graph.inputNames.includes(name)) feeds[name] = this.graph.tensor(name, values(), dims);
    };
    const row = (count: number, value: (i: number) => number) => Array.from({ length: rows * count }, (_, i) => value(i % count));
    if ('ids' in words) feeds['input_ids'] = this.graph.tensor('input_ids', words.ids.flat(), [rows, length]);
    else feeds['inputs_embeds'] = words.vectors;
    give('attention_mask', () => row(before + length, () => 1), [rows, before + length]);
    give('position_ids', () => row(length, (i) => before + i), [rows, length]);
    give('num_logits_to_keep', () => [1], []);
    if (this.graph.inputNames.includes('use_cache_branch')) feeds['use_cache_branch'] = new Tensor('bool', [before > 0], [1]);
    const made = await this.graph.runRaw(feeds, this.outputs);
    const grown = this.pastNames.map((name) => [name, split(made[presentOf(name)]!, rows)] as const);
    const last = lastRows(made['logits']!, rows);
    return pasts.map((past, i) => ({
      logits: last[i]!,
      state: {
        length: before + length,
        tensors: { ...past.tensors, ...Object.fromEntries(grown.map(([name, each]) => [name, each[i]!])) },
      },
    }));
  }

  /** No tokens yet: free dimensions are 0, but for the row. */
  private empty(name: string): Tensor {
    const dims = this.graph.input(name).shape.map((size, i) => (typeof size === 'number' ? size : i === 0 ? 1 : 0));
    return this.graph.tensor(name, new Float32Array(0), dims);
  }
}

const presentOf = (past: string): string => `present.${past.slice(PAST.length)}`;

type Numbers = Float32Array | Uint16Array;

/** One below the other along the first dimension. */
export function stack(tensors: Tensor[]): Tensor {
  const [first] = tensors;
  if (tensors.length === 1) return first!;
  const data = new (first!.data.constructor as new (length: number) => Numbers)(first!.size * tensors.length);
  tensors.forEach((tensor, i) => data.set(tensor.data as Numbers, i * first!.size));
  return new Tensor(first!.type as 'float32', data as Float32Array, [tensors.length * first!.dims[0]!, ...first!.dims.slice(1)]);
}

/** Views of the rows, each with a first dimension of 1. */
function split(tensor: Tensor, rows: number): Tensor[] {
  if (rows === 1) return [tensor];
  const each = tensor.size / rows;
  return Array.from({ length: rows }, (_, i) => {
    const data = (tensor.data as Float32Array).subarray(i * each, (i + 1) * each);
    return new Tensor(tensor.type as 'float32', data, [1, ...tensor.dims.slice(1)]);
  });
}

/** Of logits [rows, length, vocabulary]: those after each row's last token. */
function lastRows(logits: Tensor, rows: number): Float32Array[] {
  const [, length, size] = logits.dims as [number, number, number];
  return Array.from({ length: rows }, (_, i) => floatsOf(logits, ((i + 1) * length - 1) * size, (i + 1) * length * size)!);
}
