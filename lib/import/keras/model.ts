/** A Keras model as a network: its layers become a graph of ONNX's operators, which the same rules read as files of ONNX. */
import { ImportError, type ImportFault } from '../../errors.js';
import { Unsupported } from '../onnx/errors.js';
import { checkedModel, type ImportedModel, type OnnxOptions, type Translated, type TranslationOptions, translateGraph } from '../onnx/model.js';
import type { GraphProto } from '../onnx/proto.js';
import { GraphBuilder, LayerContext, type Tensor, type Weights } from './graph.js';
import { layers } from './layers.js';
import { type KerasLayer, type KerasModel, readTopology } from './topology.js';

/** What a file of Keras or TensorFlow.js holds. */
export interface KerasFile {
  topology: unknown;
  producer: string;
  /** Weights by layer, then by the last part of their names. */
  weights: Map<string, Weights>;
}

/** Of the operators that layers become. */
const OPSET = 22;
const FLOAT = 1;
const INT32 = 6;

class Conversion {
  readonly builder = new GraphBuilder();
  readonly faults: ImportFault[] = [];
  readonly tensors = new Map<string, Tensor | undefined>();
  readonly inputs: GraphProto['input'] = [];

  constructor(
    readonly model: KerasModel,
    readonly weights: Map<string, Weights>,
  ) {
    for (const layer of model.layers) this.tensors.set(layer.name, this.#tryLayer(layer));
  }

  #tryLayer(layer: KerasLayer): Tensor | undefined {
    try {
      return layer.className === 'InputLayer' ? this.#input(layer) : this.#layer(layer);
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.faults.push({ node: layer.name, operator: layer.className, needs: error.message });
      return undefined;
    }
  }

  #input({ name, config }: KerasLayer): Tensor {
    const shape = config.batch_input_shape ?? config.batch_shape;
    if (!Array.isArray(shape) || shape.length < 1) throw new Unsupported('a batch_input_shape');
    const dim = shape.map((size, i) => {
      if (size !== null && !(Number.isSafeInteger(size) && size > 0))
        throw new Unsupported(`sizes or null in its shape (one is ${JSON.stringify(size)})`);
      return size === null || i === 0 ? {} : { dimValue: size as number };
    });
    // Files of Keras and TensorFlow.js call tokens floats as well.
    const readers = this.model.layers.filter(({ inputs }) => inputs.includes(name));
    const elemType = readers.length > 0 && readers.every(({ className }) => className === 'Embedding') ? INT32 : FLOAT;
    this.inputs.push({ name, type: { tensorType: { elemType, shape: { dim } } } });
    return { name, rank: shape.length };
  }

  #layer(layer: KerasLayer): Tensor | undefined {
    const { className, inputs } = layer;
    if (layer.shared) throw new Unsupported('layers that are called once (its weights are shared)');
    // A layer for every step of time is the layer: those that are there treat all positions alike.
    const inner = className === 'TimeDistributed' ? this.#inner(layer) : layer;
    const rule = Object.hasOwn(layers, inner.className) ? layers[inner.className] : undefined;
    if (!rule) throw new Unsupported(`an import rule for ${inner.className}`);
    const given = inputs.map((name) => this.tensors.get(name));
    if (given.some((tensor) => !tensor)) return undefined; // behind one at fault
    const version = Number.parseInt(this.model.version, 10) || 2;
    return rule(new LayerContext(this.builder, inner, given as Tensor[], this.weights.get(layer.name) ?? new Map(), version));
  }

  #inner(layer: KerasLayer): KerasLayer {
    const { class_name: className, config } = (layer.config.layer ?? {}) as { class_name?: unknown; config?: KerasLayer['config'] };
    if (className !== 'Dense' && className !== 'Activation')
      throw new Unsupported(`a Dense layer for every step (it is ${JSON.stringify(className)})`);
    return { ...layer, className, config: config ?? {} };
  }
}

/** @throws DataError for a configuration that is none; ImportError with every layer at fault */
export async function translateKeras(path: string, file: KerasFile, options: TranslationOptions = {}): Promise<Translated> {
  const model = readTopology(file.topology, path);
  const { builder, faults, inputs, tensors } = new Conversion(model, file.weights);
  if (faults.length) throw new ImportError(path, faults);
  const outputs = model.outputs.map((name) => tensors.get(name)?.name ?? name);
  // Outputs are chosen by the names of their layers.
  const tensorOf = (name: string) => outputs[model.outputs.indexOf(name)] ?? name;
  const named = options.output === undefined ? {} : { output: [options.output].flat().map(tensorOf) };
  const graph = builder.graph(inputs, outputs);
  const { report, ...rest } = await translateGraph({ path, graph, opset: OPSET, constants: builder.constants, options: { ...options, ...named } });
  const operators: Record<string, number> = {};
  for (const { className } of model.layers) if (className !== 'InputLayer') operators[className] = (operators[className] ?? 0) + 1;
  const layerOf = (tensor: string) => model.outputs[outputs.indexOf(tensor)] ?? tensor;
  const { network } = rest;
  if (network.outputs) network.outputs = network.outputs.map(({ name, axes }) => ({ name: layerOf(name), axes }));
  if (report.outputs) report.outputs = Object.fromEntries(Object.entries(report.outputs).map(([name, tensor]) => [layerOf(name), tensor]));
  return { ...rest, report: { ...report, producer: file.producer, operators, opset: undefined } };
}

export async function importKeras(path: string, file: KerasFile, options: OnnxOptions): Promise<ImportedModel> {
  const { network, state, report } = await translateKeras(path, file, options);
  return checkedModel(path, network, state, report);
}
