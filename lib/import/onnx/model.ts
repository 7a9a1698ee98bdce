/** An ONNX file as a network: read, translated with its input in the order that suits it, checked as a whole. */
import { type AxesSizes, binding, type NetworkDescription } from '../../binding.js';
import { withFile } from '../../data/files.js';
import { DataError, ImportError } from '../../errors.js';
import { givenStateSteps, type State } from '../../network/initial.js';
import { packedAxes, packOutputs } from '../../network/parts.js';
import { runPaced } from '../../pace.js';
import type { Activation } from './layout.js';
import { decodeModelProto, type GraphProto, type ModelProto } from './proto.js';
import { type Constant, readTensor } from './tensors.js';
import { type FileInput, type FileOutput, Translation } from './translation.js';

export interface OnnxOptions {
  /** Output to import, by name, of a file with several, or some of them. Default: all. */
  output?: string | readonly string[];
  /** [channels, ...positions] of the input, where the file leaves sizes open; of several by name. */
  input?: number[] | Readonly<Record<string, number[]>>;
  /** Axis of the input that counts examples; −1: none does. Default 0. */
  batchAxis?: number;
}

/** What tests of single operators set beside. */
export interface TranslationOptions extends OnnxOptions {
  /** Values for inputs of the file that are to be constants. */
  constants?: Map<string, Constant>;
  /** Nothing is left out at the output. */
  whole?: boolean;
}

/** A tensor of the file and the axes of the network's that it lies in. */
export interface TensorReport {
  /** Of the file, the batch among its axes. */
  shape: number[];
  /** For each axis of the network's tensor, channels first: the axes of the file that it is made of. Several axes in one of the file lie in it in order. */
  axes: number[][];
}

export interface ImportReport {
  producer: string;
  /** Of a file of ONNX. */
  opset?: number | undefined;
  /** Nodes at the output that are left out: what training's loss does itself, and what makes integers of the prediction. */
  tail: { node: string; operator: string /** Of the file's output. */; axis?: number }[];
  input: TensorReport;
  output: TensorReport;
  /** Of a file with several inputs or outputs each, by name; `input` and `output` are the first then. */
  inputs?: Record<string, TensorReport>;
  outputs?: Record<string, TensorReport>;
  /** Nodes, or layers, of the file that were read, by operator. */
  operators: Record<string, number>;
}

export interface ImportedModel {
  network: NetworkDescription;
  /** Every parameter but bit depths and exponents: `Trainer.create` chooses those from the weights. */
  state: State;
  report: ImportReport;
}

/** Largest model that is read: a protobuf message has at most 2 GiB. */
const MOST_BYTES = 2 ** 31 - 1;
async function readModel(path: string): Promise<ModelProto> {
  const bytes = await withFile(path, async (file, size) => {
    if (size > MOST_BYTES) throw new DataError(`${size} bytes are more than an ONNX file has`, path);
    const all = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(all, at, size - at, at);
      if (bytesRead === 0) throw new DataError('it ends while it is read', path);
      at += bytesRead;
    }
    return all;
  });
  try {
    return decodeModelProto(bytes);
  } catch (cause) {
    throw new DataError(`no ONNX model: ${(cause as Error).message}`, path, { cause });
  }
}

/** The nodes of a file's network, and what it is made of, not yet checked as a whole. */
export interface Translated {
  network: NetworkDescription;
  state: State;
  report: ImportReport;
  /** Where the elements of the file's tensors lie in the network's: of the first input and output. */
  input: Activation;
  output: Activation;
  /** The file's tensor that is the output, before what is left out. */
  tensor: string;
  /** All of them. */
  inputs: FileInput[];
  outputs: FileOutput[];
}

function reportOf(x: Activation): TensorReport {
  const axes = x.sizes.map((_, axis) => x.axes.flatMap((atoms, i) => (atoms.some((a) => a.axis === axis) ? [i] : [])));
  return { shape: x.shape, axes };
}

interface GraphInput {
  path: string;
  graph: GraphProto;
  opset: number;
  constants: Map<string, Constant>;
  options: TranslationOptions;
}

/** @throws ImportError with every node at fault */
export async function translateGraph(given: GraphInput): Promise<Translated> {
  const run = (channelsLast: boolean) => Translation.run({ ...given, channelsLast });
  let best = await run(false);
  if (best.build.rearranged > 0 && best.inputs.some(({ activation }) => activation.sizes.length > 1)) {
    const other = await run(true);
    if (other.faults.length <= best.faults.length && other.build.rearranged < best.build.rearranged) best = other;
  }
  const { build, faults, tail, operators, inputs, outputs } = best;
  const [{ activation: input } = {}] = inputs;
  const [{ activation: output, tensor = '' } = {}] = outputs;
  if (faults.length || !input || !output) throw new ImportError(given.path, faults);
  const report: ImportReport = { producer: '', opset: given.opset, tail, operators, input: reportOf(input), output: reportOf(output) };
  if (inputs.length + outputs.length > 2) {
    report.inputs = Object.fromEntries(inputs.map(({ name, activation }) => [name, reportOf(activation)]));
    report.outputs = Object.fromEntries(outputs.map(({ name, activation }) => [name, reportOf(activation ?? output)]));
  }
  return { network: networkOf(best, input, output), state: build.state, report, input, output, tensor, inputs, outputs };
}

/** With names where the file has several inputs or outputs. */
function networkOf({ build, inputs, outputs }: Translation, input: Activation, output: Activation): NetworkDescription {
  const { nodes } = build;
  if (inputs.length + outputs.length === 2) {
    return { input: input.sizes as AxesSizes, ...(input.isTokens && { inputType: 'token' }), nodes, output: output.node };
  }
  const parts = inputs.map(({ name, activation }) => ({ name, axes: activation.sizes as AxesSizes }));
  const named = outputs.map(({ name, activation = output }) => ({ name, node: activation.node, axes: activation.sizes as AxesSizes }));
  const packed = packOutputs(named, (wanted) => build.take(wanted));
  const kind = input.isTokens ? { inputType: 'token' as const } : { inputs: parts };
  return { input: packedAxes(parts), ...kind, ...packed, nodes: [...nodes, ...packed.nodes] };
}

/** @throws DataError for what is no ONNX file; ImportError with every node at fault */
export async function translateOnnx(path: string, options: TranslationOptions = {}): Promise<Translated> {
  const model = await readModel(path);
  const { graph } = model;
  if (!graph) throw new DataError('no ONNX model: it has no graph', path);
  const opset = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0;
  const constants = new Map<string, Constant>();
  for (const tensor of graph.initializer) constants.set(tensor.name, await readTensor(tensor, path));
  for (const [name, value] of options.constants ?? []) constants.set(name, value);
  const { report, ...rest } = await translateGraph({ path, graph, opset, constants, options });
  return { ...rest, report: { ...report, producer: model.producerName } };
}

/** What the native side says of the description, as a fault of the file. */
function inspect(path: string, network: NetworkDescription) {
  try {
    return binding.inspectNetwork(network);
  } catch (error) {
    const { message } = error as Error;
    const [, node = 'the graph'] = message.match(/node "([^"]*)"/) ?? [];
    const kind = network.nodes.find(({ name }) => name === node)?.kind ?? 'network';
    throw new ImportError(path, [{ node, operator: kind, needs: message.replace(/^Expected /, '') }]);
  }
}

/**
 * The network of an ONNX file; several inputs and outputs lie behind one another in the network's, which keeps their names.
 * @throws DataError for what is no ONNX file; ImportError that lists every node at fault, and what each would need
 */
export async function importOnnx(path: string, options: OnnxOptions = {}): Promise<ImportedModel> {
  const { network, state: given, report } = await translateOnnx(path, options);
  return checkedModel(path, network, given, report);
}

/** The description with every field, and all parameters but those of the quantizers. */
export async function checkedModel(path: string, network: NetworkDescription, given: State, report: ImportReport): Promise<ImportedModel> {
  const kinds = new Set(binding.operators().flatMap(({ kind, hasWeights }) => (hasWeights ? [kind] : [])));
  if (!network.nodes.some(({ kind }) => kinds.has(kind))) {
    throw new ImportError(path, [{ node: 'the graph', operator: 'nodes', needs: 'at least one layer with weights' }]);
  }
  const { description, parameters } = inspect(path, network);
  const own = parameters.filter((p) => !['bitDepth', 'exponent'].includes(p.role));
  const state = await runPaced(givenStateSteps(own, given)); // checks lengths and values
  return { network: description, state, report };
}
