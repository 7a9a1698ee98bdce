/** A trained network as an ONNX file: in float32, opset 17, or in integers. */
import { binding } from '../../binding.js';
import { ExportError, type ExportFault } from '../../errors.js';
import { present } from '../../indexing.js';
import type { Ranges } from '../calibrate.js';
import { foldNorms } from '../fold.js';
import type { ExportLayer, ExportNetwork } from '../layers.js';
import { type Rule, RuleContext, Unsupported } from './context.js';
import { OnnxGraph } from './graph.js';
import { codedBias, codedWeights, codeScales, rounded } from './integer.js';
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
  const axes = tokens ? network.input.slice(1) : network.input;
  const input = { name: graph.fresh('input'), shape: ['batch', ...axes], tokens };
  const scales = integer && codeScales(network, integer.ranges, integer.order);
  const scaleOf = (name: string) => scales?.get(name);
  const inputScale = ({ node }: ExportLayer) => scaleOf(node.inputs[0] ?? '');
  const how = integer && { weights: codedWeights(integer.int4, inputScale), bias: codedBias(inputScale) };
  const whole = (name: string, tensor: string) => {
    const scale = scaleOf(name);
    return scale ? rounded(graph, tensor, scale) : tensor;
  };
  const tensors = new Map([['input', whole('input', input.name)]]);
  const faults: ExportFault[] = [];
  for (const layer of network.layers) {
    const { name, kind, inputs } = layer.node;
    const rule: Rule | undefined = Object.hasOwn(rules, kind) ? rules[kind] : undefined;
    tensors.set(name, name);
    try {
      if (!rule) throw new Unsupported('an operator of ONNX, opset 17');
      const context = new RuleContext(
        graph,
        layer,
        inputs.map((of) => present(tensors.get(of), `a node ${of}`)),
        how,
      );
      tensors.set(name, whole(name, rule(context)));
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      faults.push({ node: name, operator: kind, needs: error.message });
    }
  }
  if (faults.length) throw new ExportError('an ONNX file', faults);
  const output = { name: present(tensors.get(network.description.output), 'an output'), shape: ['batch', ...network.output] };
  return graph.finish(input, output, { producer: PRODUCER, version: binding.info().version });
}
