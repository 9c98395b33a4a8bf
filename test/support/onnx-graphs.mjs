/** Tiny ONNX graphs in the place of a UNet, for faults that only a native call can have: real ones, run by the real runtime. */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const PACK = fileURLToPath(new URL('../../models/packs/creatures', import.meta.url));

/** Copies the bundled generator into an empty folder, with a UNet that does only this. Returns the model's folder. */
export async function faultyModel(folder, fault) {
  const model = join(folder, `diffusion-${fault.kind}`);
  await cp(join(PACK, 'diffusion'), model, { recursive: true });
  await writeFile(join(model, 'unet/model.onnx'), unetGraph(fault));
  return model;
}

/** The part of onnx.proto (github.com/onnx/onnx, Apache-2.0) that these graphs need. */
const { root } = protobuf.parse(
  `syntax = "proto3";
  message ModelProto { int64 ir_version = 1; string producer_name = 2; GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8; }
  message OperatorSetIdProto { string domain = 1; int64 version = 2; }
  message GraphProto {
    repeated NodeProto node = 1; string name = 2; repeated TensorProto initializer = 5;
    repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12;
  }
  message NodeProto { repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4; repeated AttributeProto attribute = 5; }
  message AttributeProto { string name = 1; int64 i = 3; TensorProto t = 5; GraphProto g = 6; int32 type = 20; }
  message TensorProto {
    repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9;
    repeated StringStringEntryProto external_data = 13; int32 data_location = 14;
  }
  message StringStringEntryProto { string key = 1; string value = 2; }
  message ValueInfoProto { string name = 1; TypeProto type = 2; }
  message TypeProto { message Tensor { int32 elem_type = 1; TensorShapeProto shape = 2; } Tensor tensor_type = 1; }
  message TensorShapeProto { message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } } repeated Dimension dim = 1; }`,
  { keepCase: true },
);
const Model = root.lookupType('ModelProto');

const [FLOAT, INT64, BOOL] = [1, 7, 9];
const [INT_ATTRIBUTE, TENSOR_ATTRIBUTE, GRAPH_ATTRIBUTE] = [2, 4, 5];

/** Of `dims`, one that is not fixed has a name. */
const value = (name, elem_type, dims) => {
  const dim = dims.map((d) => (typeof d === 'number' ? { dim_value: d } : { dim_param: d }));
  return { name, type: { tensor_type: { elem_type, shape: { dim } } } };
};
const tensor = (name, data, dims) => ({
  name,
  dims,
  data_type: data instanceof Float32Array ? FLOAT : data instanceof BigInt64Array ? INT64 : BOOL,
  raw_data: Buffer.from(data.buffer),
});
const float = (name, x) => tensor(name, Float32Array.of(x), []);
const node = (op_type, input, output, attribute = []) => ({
  op_type,
  input,
  output: output.split(' '),
  name: output,
  attribute,
});
const sum = (input, output) => node('ReduceSum', [input], output, [{ name: 'keepdims', i: 0, type: INT_ATTRIBUTE }]);

/** The file of a UNet with the usual inputs and output. */
function unetGraph(fault) {
  const { nodes, constants } = BODIES[fault.kind](fault);
  const sample = ['batch', 'channels', 'height', 'width'];
  const graph = {
    name: fault.kind,
    node: nodes,
    initializer: constants,
    input: [
      value('sample', FLOAT, sample),
      value('timestep', INT64, [1]),
      value('encoder_hidden_states', FLOAT, ['batch', 'tokens', 'states']),
    ],
    output: [value('out_sample', FLOAT, sample)],
  };
  return Model.encode(Model.fromObject({ ir_version: 8, producer_name: 'refineloop', graph, opset_import: [{ version: 13 }] })).finish();
}

/** The file of a graph that has these inputs and outputs and computes nothing: what the check of a folder reads. */
export function emptyGraph(inputs, outputs) {
  const values = (names) => names.map((name) => value(name, FLOAT, ['any']));
  return Model.encode(
    Model.fromObject({ ir_version: 8, graph: { name: 'empty', input: values(inputs), output: values(outputs) } }),
  ).finish();
}

/**
 * The file of a model that adds a weight to `pixel_values`; the weight, float32 [dim], lies at `offset` of the file `location` beside it and, as older
 * exporters have it, stands among the inputs.
 */
export function graphWithExternalData({ location, offset, dim }) {
  const place = { location, offset: String(offset), length: String(4 * dim) };
  const external_data = Object.entries(place).map(([key, value]) => ({ key, value }));
  const graph = {
    name: 'sum',
    node: [node('Add', ['pixel_values', 'weight'], 'image_embeds')],
    initializer: [{ name: 'weight', dims: [dim], data_type: FLOAT, data_location: 1, external_data }],
    input: [value('pixel_values', FLOAT, [dim]), value('weight', FLOAT, [dim])],
    output: [value('image_embeds', FLOAT, [dim])],
  };
  return Model.encode(Model.fromObject({ ir_version: 8, producer_name: 'refineloop', graph, opset_import: [{ version: 13 }] })).finish();
}

/** Rounds of the largest loop that there is: at a microsecond each, 290,000 years. */
const FOR_EVER = 2n ** 63n - 1n;

const BODIES = {
  nan: () => ({ nodes: [node('Mul', ['sample', 'nan'], 'out_sample')], constants: [float('nan', NaN)] }),
  hang: () => rounds(FOR_EVER),
  cost: (fault) => rounds(BigInt(fault.rounds)),
  // The least whole number by -1, which x86 answers with SIGFPE. From the sample's shape, so that nothing is known, and done, when the model is loaded.
  crash: () => ({
    nodes: [
      node('Shape', ['sample'], 'shape'),
      node('Sub', ['shape', 'shape'], 'nothing'),
      node('Add', ['nothing', 'least'], 'dividend'),
      node('Sub', ['nothing', 'one'], 'divisor'),
      node('Div', ['dividend', 'divisor'], 'quotient'),
      node('Cast', ['quotient'], 'floats', [{ name: 'to', i: FLOAT, type: INT_ATTRIBUTE }]),
      sum('floats', 'total'),
      ...predicted('total'),
    ],
    constants: [tensor('least', BigInt64Array.of(-(2n ** 63n)), [1]), tensor('one', BigInt64Array.of(1n), [1]), ...PREDICTION],
  }),
  allocate: ({ bytes }) => ({
    nodes: [
      // From the sample's shape, so that nothing is known, and done, when the model is loaded.
      node('Shape', ['sample'], 'shape'),
      node('Gather', ['shape', 'first'], 'batch'),
      node('Mul', ['batch', 'none'], 'nothing'),
      node('Add', ['nothing', 'floats'], 'size'),
      node('ConstantOfShape', ['size'], 'filled', [{ name: 'value', t: tensor('', Float32Array.of(1e-30), [1]), type: TENSOR_ATTRIBUTE }]),
      sum('filled', 'total'),
      ...predicted('total'),
    ],
    constants: [
      tensor('first', BigInt64Array.of(0n), [1]),
      tensor('none', BigInt64Array.of(0n), [1]),
      tensor('floats', BigInt64Array.of(BigInt(Math.ceil(bytes / 4))), [1]),
      ...PREDICTION,
    ],
  }),
};

const SIZE = 64;

/** A matrix times a permutation, so many times over: its numbers stay as they are. */
function rounds(n) {
  const square = (fill) => Float32Array.from({ length: SIZE * SIZE }, (_, i) => fill(Math.floor(i / SIZE), i % SIZE));
  const body = {
    name: 'round',
    node: [node('MatMul', ['before', 'permutation'], 'after'), node('Identity', ['go'], 'go_on')],
    input: [value('i', INT64, []), value('go', BOOL, []), value('before', FLOAT, [SIZE, SIZE])],
    output: [value('go_on', BOOL, []), value('after', FLOAT, [SIZE, SIZE])],
  };
  return {
    nodes: [
      node('Loop', ['n', 'yes', 'start'], 'end', [{ name: 'body', g: body, type: GRAPH_ATTRIBUTE }]),
      sum('end', 'total'),
      ...predicted('total'),
    ],
    constants: [
      tensor('n', BigInt64Array.of(n), []),
      tensor('yes', Uint8Array.of(1), []),
      tensor(
        'start',
        square(() => 1),
        [SIZE, SIZE],
      ),
      tensor(
        'permutation',
        square((row, column) => (column === (row + 1) % SIZE ? 1 : 0)),
        [SIZE, SIZE],
      ),
      ...PREDICTION,
    ],
  };
}

const PREDICTION = [float('tenth', 0.1), float('zero', 0)];

/** A tenth of the sample, once `total` is there. */
const predicted = (total) => [
  node('Mul', [total, 'zero'], 'waited'),
  node('Mul', ['sample', 'tenth'], 'part'),
  node('Add', ['part', 'waited'], 'out_sample'),
];
