/** A trained network as a layers model of TensorFlow.js: its configuration and its weights, as a file model.json has them. */
import { binding } from '../../binding.js';
import { ExportError, type ExportFault } from '../../errors.js';
import { present } from '../../indexing.js';
import { elements } from '../../network/description.js';
import type { ExportNetwork } from '../layers.js';
import { channelsLast, LayersGraph, type Rule, RuleContext, type Tensor, Unsupported } from './context.js';
import { batchNorm, conv2d, convTranspose2d, globalPool, layerNorm, linear, pool, prelu } from './layers.js';
import {
  activation,
  affine,
  channelShuffle,
  clip,
  concat,
  dropout,
  elu,
  flatten,
  gatherChannels,
  hardSigmoid,
  leakyRelu,
  merge,
  pad,
  padChannels,
  reshape,
  resize,
  sliceChannels,
  slicePositions,
  softmax,
} from './layout.js';

/** By kind. */
export const rules: Record<string, Rule> = {
  conv2d,
  convTranspose2d,
  linear,
  batchNorm,
  layerNorm,
  prelu,
  relu: activation('relu'),
  sigmoid: activation('sigmoid'),
  tanh: activation('tanh'),
  softplus: activation('softplus'),
  gelu: activation('gelu'),
  silu: activation('swish'),
  hardSigmoid,
  leakyRelu,
  elu,
  clip,
  affine,
  dropout,
  softmax,
  maxPool: pool('MaxPooling'),
  averagePool: pool('AveragePooling'),
  globalAveragePool: globalPool('GlobalAveragePooling'),
  globalMaxPool: globalPool('GlobalMaxPooling'),
  add: merge('Add'),
  multiply: merge('Multiply'),
  concat,
  flatten,
  reshape,
  gatherChannels,
  sliceChannels,
  padChannels,
  channelShuffle,
  pad,
  slicePositions,
  resize,
};

/** What TensorFlow.js calls the artifacts of a layers model. */
export interface LayersModelArtifacts {
  format: 'layers-model';
  generatedBy: string;
  convertedBy: null;
  modelTopology: object;
  weightSpecs: { name: string; shape: number[]; dtype: 'float32' }[];
  weightData: ArrayBuffer;
}

/** What stands around the network's layers. */
export interface Surroundings {
  name: string;
  /** Axis of the model's input, from 1, that is each axis of the network's with the channels last. Default: in that order. */
  inputOrder?: readonly number[] | undefined;
  /** The same of the output. */
  outputOrder?: readonly number[] | undefined;
  /** Functions that follow the output, by TensorFlow.js's names. */
  activations?: readonly { name: string; activation: string }[] | undefined;
}
const isInOrder = (order: readonly number[]) => order.every((axis, i) => axis === i + 1);

/**
 * Images have their channels last, where nothing else is said; layers are called as the network's nodes.
 *
 * @throws ExportError with every node that has no layers
 */
export function encodeLayersModel(network: ExportNetwork, around: Surroundings): LayersModelArtifacts {
  const { name, inputOrder = [], outputOrder = [], activations = [] } = around;
  const graph = new LayersGraph();
  const sizes = channelsLast(network.input);
  const shape = sizes.map((size, i) => (isInOrder(inputOrder) ? size : (sizes[inputOrder.indexOf(i + 1)] as number)));
  const input = graph.add('InputLayer', 'input', [], { batch_input_shape: [null, ...shape], dtype: 'float32', sparse: false });
  const first = isInOrder(inputOrder) ? input : graph.add('Permute', 'input_order', [input], { dims: inputOrder });
  const tensors = new Map<string, Tensor>([['input', { layer: first, axes: network.input }]]);
  const faults: ExportFault[] = [];
  const { inputs: several = [], outputs = [] } = network.description;
  if (several.length > 1 || outputs.length > 1)
    faults.push({
      node: 'the network',
      operator: `${several.length || 1} inputs, ${outputs.length || 1} outputs`,
      needs: 'one input and one output',
    });
  let context: RuleContext | undefined;
  for (const layer of network.layers) {
    const { name: node, kind, inputs } = layer.node;
    tensors.set(node, { layer: node, axes: layer.output });
    try {
      const rule: Rule | undefined = Object.hasOwn(rules, kind) ? rules[kind] : undefined;
      if (!rule) throw new Unsupported('a layer of TensorFlow.js');
      context = new RuleContext(
        graph,
        layer,
        inputs.map((of) => present(tensors.get(of), `a node ${of}`)),
      );
      tensors.set(node, rule(context));
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      faults.push({ node, operator: kind, needs: error.message });
    }
  }
  if (faults.length) throw new ExportError('a layers model of TensorFlow.js', faults);
  const whole = present(tensors.get(network.description.output), 'an output');
  let output = context?.natural(whole) ?? whole.layer;
  const back = outputOrder.map((_, i) => outputOrder.indexOf(i + 1) + 1);
  if (!isInOrder(outputOrder)) output = graph.add('Permute', 'output_order', [output], { dims: back });
  for (const { name: after, activation: kind } of activations) output = graph.add('Activation', after, [output], { activation: kind });
  return artifactsOf(graph, name, input, output);
}

function artifactsOf(graph: LayersGraph, name: string, input: string, output: string): LayersModelArtifacts {
  const weights = [...graph.weights];
  const all = new Float32Array(weights.reduce((sum, [, { values }]) => sum + values.length, 0));
  let at = 0;
  for (const [of, { shape, values }] of weights) {
    if (elements(shape) !== values.length) throw new Error(`Expected ${elements(shape)} numbers for ${of} but there are ${values.length}`);
    all.set(values, at);
    at += values.length;
  }
  return {
    format: 'layers-model',
    generatedBy: `selfcompress ${binding.info().version}`,
    convertedBy: null,
    modelTopology: {
      keras_version: 'tfjs-layers 4.0.0',
      backend: 'tensor_flow.js',
      model_config: {
        class_name: 'Functional',
        config: { name, layers: graph.layers, input_layers: [[input, 0, 0]], output_layers: [[output, 0, 0]] },
      },
    },
    weightSpecs: weights.map(([of, { shape }]) => ({ name: of, shape, dtype: 'float32' })),
    weightData: all.buffer,
  };
}
