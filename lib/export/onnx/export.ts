/** A trained network as an ONNX file: in float32, opset 17, or in integers. */
import { binding } from '../../binding.js';
import { ExportError, type ExportFault } from '../../errors.js';
import { item, present } from '../../indexing.js';
import type { Ranges } from '../calibrate.js';
import { foldNorms } from '../fold.js';
import type { ExportLayer, ExportNetwork } from '../layers.js';
import { type Rule, RuleContext, Unsupported } from './context.js';
import { OnnxGraph, type OnnxOutput } from './graph.js';
import { codedBias, codedWeights, codeScales, rounded } from './integer.js';
import { GraphInputs, joinedOutputs, onlyJoining, partsOfPrediction } from './parts.js';
import { rules } from './rules.js';

const OPSET = 17;
/** The first that has integers of four bits. */
const INT4_OPSET = 21;
const PRODUCER = 'selfcompress';

export interface IntegerForm {
  ranges: Ranges;
  /** Nodes in the order of the ranges. */
  order: readonly string[];
  /** Weights of at most 4 bits in 4 bits: needs opset 21. */
  int4: boolean;
}

/** @param integer weights as codes, values in 8 bits; norms are folded then. @throws ExportError with every node that ONNX does not have */
export function encodeOnnx(given: ExportNetwork, integer?: IntegerForm): Uint8Array {
  const network = integer ? foldNorms(given) : given;
  const graph = new OnnxGraph(integer?.int4 ? INT4_OPSET : OPSET);
  const tokens = network.description.inputType === 'token';
  const inputs = new GraphInputs(graph, network);
  const named = network.description.outputs?.map(({ name }) => graph.fresh(name));
  const scales = integer && codeScales(network, integer.ranges, integer.order);
  const scaleOf = (name: string) => scales?.get(name);
  const inputScale = ({ node }: ExportLayer) => scaleOf(node.inputs[0] ?? '');
  const how = integer && { weights: codedWeights(integer.int4, inputScale), bias: codedBias(inputScale) };
  const whole = (name: string, tensor: string) => {
    const scale = scaleOf(name);
    return scale ? rounded(graph, tensor, scale) : tensor;
  };
  const tensors = new Map<string, string>();
  // Integers have a scale for every tensor: there the inputs are one, and so are the outputs.
  const joined = integer || !named ? undefined : joinedOutputs(network);
  const skipped = joined ? onlyJoining(network, joined) : new Set<string>();
  const tensorOf = (name: string) => {
    if (name === 'input' && !tensors.has(name)) tensors.set(name, whole(name, inputs.packed()));
    return present(inputs.isVector(name) ? inputs.vector(name) : tensors.get(name), `a node ${name}`);
  };
  const faults: ExportFault[] = [];
  for (const layer of network.layers) {
    const { name, kind } = layer.node;
    const own = integer ? undefined : inputs.tensorOf(layer);
    if (own !== undefined) tensors.set(name, own);
    if (own !== undefined || inputs.isVector(name) || skipped.has(name)) continue;
    const rule: Rule | undefined = Object.hasOwn(rules, kind) ? rules[kind] : undefined;
    tensors.set(name, name);
    try {
      if (!rule) throw new Unsupported('an operator of ONNX, opset 17');
      const context = new RuleContext(graph, layer, layer.node.inputs.map(tensorOf), how);
      tensors.set(name, whole(name, rule(context)));
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      faults.push({ node: name, operator: kind, needs: error.message });
    }
  }
  if (faults.length) throw new ExportError('an ONNX file', faults);
  const outputs = outputsOf(graph, network, tensorOf, joined).map((output, i) => ({ ...output, name: named?.[i] ?? output.tensor }));
  graph.nameOutputs(
    outputs,
    inputs.parts.map(({ tensor }) => tensor),
  );
  return graph.finish(
    inputs.parts.map(({ tensor, axes }) => ({ name: tensor, shape: ['batch', ...(tokens ? axes.slice(1) : axes)], tokens })),
    outputs.map(({ name, axes }) => ({ name, shape: ['batch', ...axes] })),
    { producer: PRODUCER, version: binding.info().version },
  );
}

/** The tensors that are outputs. @param joined nodes that they are, where nothing has to be taken apart */
function outputsOf(graph: OnnxGraph, network: ExportNetwork, tensorOf: (name: string) => string, joined: string[] | undefined): OnnxOutput[] {
  const { output, outputs } = network.description;
  if (!outputs) return [{ name: '', tensor: tensorOf(output), axes: network.output }];
  if (joined) return outputs.map(({ name, axes }, i) => ({ name, tensor: tensorOf(item(joined, i)), axes }));
  return partsOfPrediction(graph, tensorOf(output), outputs, network.output);
}
