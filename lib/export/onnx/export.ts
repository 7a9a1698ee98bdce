/** A trained network as an ONNX file in float32, opset 17. */
import { binding } from '../../binding.js';
import { ExportError, type ExportFault } from '../../errors.js';
import { present } from '../../indexing.js';
import type { ExportNetwork } from '../layers.js';
import { type Rule, RuleContext, Unsupported } from './context.js';
import { OnnxGraph } from './graph.js';
import { rules } from './rules.js';

const OPSET = 17;
const PRODUCER = 'selfcompress';

/** @throws ExportError with every node that ONNX does not have */
export function encodeOnnx(network: ExportNetwork): Uint8Array {
  const graph = new OnnxGraph();
  const input = { name: graph.fresh('input'), shape: ['batch', ...network.input] };
  const tensors = new Map([['input', input.name]]);
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
      );
      tensors.set(name, rule(context));
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      faults.push({ node: name, operator: kind, needs: error.message });
    }
  }
  if (faults.length) throw new ExportError('an ONNX file', faults);
  const output = { name: present(tensors.get(network.description.output), 'an output'), shape: ['batch', ...network.output] };
  return graph.finish(input, output, { opset: OPSET, producer: PRODUCER, version: binding.info().version });
}
