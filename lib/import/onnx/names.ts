/** Functions of one element that are one operator on both sides: read by the importer's rules and the exporter's. */

export interface SameFunction {
  onnx: string;
  kind: string;
  /** Fields of the node here, with ONNX's attribute and what that is where the file does not say. */
  numbers?: Record<string, { attribute: string; otherwise: number }>;
}

export const sameFunctions: readonly SameFunction[] = [
  { onnx: 'Relu', kind: 'relu' },
  { onnx: 'LeakyRelu', kind: 'leakyRelu', numbers: { slope: { attribute: 'alpha', otherwise: 0.01 } } },
  { onnx: 'Elu', kind: 'elu', numbers: { alpha: { attribute: 'alpha', otherwise: 1 } } },
  { onnx: 'Sigmoid', kind: 'sigmoid' },
  {
    onnx: 'HardSigmoid',
    kind: 'hardSigmoid',
    numbers: { slope: { attribute: 'alpha', otherwise: 0.2 }, offset: { attribute: 'beta', otherwise: 0.5 } },
  },
  { onnx: 'HardSwish', kind: 'hardSwish' },
  { onnx: 'Tanh', kind: 'tanh' },
  { onnx: 'Softplus', kind: 'softplus' },
  { onnx: 'Exp', kind: 'exp' },
  { onnx: 'Log', kind: 'log' },
  { onnx: 'Sqrt', kind: 'sqrt' },
  { onnx: 'Abs', kind: 'abs' },
  { onnx: 'Reciprocal', kind: 'reciprocal' },
];
