/** An ONNX file as a network: its constants folded, its functions recognised, its nodes by the rules, all faults in one error. */
import { type AxesSizes, binding, type NetworkDescription } from '../../binding.js';
import { withFile } from '../../data/files.js';
import { DataError, ImportError, type ImportFault } from '../../errors.js';
import { entry } from '../../indexing.js';
import { initialState, type State } from '../../network/initial.js';
import { Building, OnnxNode, Unsupported, type Value } from './context.js';
import { folds } from './fold.js';
import { recognise } from './patterns.js';
import { decodeModelProto, type GraphProto, type ModelProto, type NodeProto, type ValueInfoProto } from './proto.js';
import { rules } from './rules.js';
import { type Constant, isFloatType, readTensor, scalarOf } from './tensors.js';

export interface OnnxOptions {
  /** Output to import, by name, of a file with several. */
  output?: string;
  /** [channels, ...positions] of the input, where the file leaves sizes open. */
  input?: number[];
  /** Values for inputs of the file that are to be constants. */
  constants?: Map<string, Constant>;
}

export interface ImportReport {
  producer: string;
  opset: number;
  /** Nodes at the output that are left out: what training's loss does itself, and what makes integers of the prediction. */
  tail: { node: string; operator: string }[];
  /** Nodes of the file that were read, by operator. */
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
const OLDEST_OPSET = 7;
/** What is left out at the output. */
const TAIL = ['Softmax', 'LogSoftmax', 'Sigmoid', 'ArgMax', 'Cast', 'Identity'];

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

class Importer {
  readonly build = new Building();
  readonly faults: ImportFault[] = [];
  readonly operators: Record<string, number> = {};
  readonly #values = new Map<string, Value>();
  readonly #readers = new Map<string, number>();
  #nodes: NodeProto[];
  #output: string;

  constructor(
    readonly path: string,
    readonly graph: GraphProto,
    readonly opset: number,
  ) {
    this.#nodes = graph.node;
    this.#output = '';
  }

  fault(node: string, operator: string, needs: string): void {
    this.faults.push({ node, operator, needs });
  }

  async constants(given: Map<string, Constant> | undefined): Promise<void> {
    for (const tensor of this.graph.initializer) this.#values.set(tensor.name, { constant: await readTensor(tensor, this.path) });
    for (const [name, value] of given ?? []) this.#values.set(name, { constant: value });
    if (this.graph.sparseInitializer.length) this.fault('the graph', 'sparse_initializer', 'dense initializers');
  }

  /** The one input: its axes without the batch. */
  input(sizes: number[] | undefined): AxesSizes {
    const open = this.graph.input.filter(({ name }) => !this.#values.has(name));
    const [info, ...others] = open;
    if (!info || others.length > 0) {
      this.fault('the graph', `inputs ${open.map(({ name }) => name).join(', ') || '(none)'}`, 'one input that is not constant');
      for (const { name } of open) this.#values.set(name, undefined);
      return [1];
    }
    const shape = this.#inputShape(info, sizes);
    this.#values.set(info.name, shape && { activation: { node: 'input', shape, exclusive: false } });
    return (shape?.slice(1) ?? [1]) as unknown as AxesSizes;
  }

  #inputShape({ name, type }: ValueInfoProto, sizes: number[] | undefined): number[] | undefined {
    const tensor = type?.tensorType;
    if (!tensor || !isFloatType(tensor.elemType)) {
      this.fault('the graph', `input ${name}`, 'numbers with a fraction');
      return undefined;
    }
    const dims = tensor.shape?.dim.map(({ dimValue }) => dimValue) ?? (sizes ? [undefined, ...sizes.map(() => undefined)] : []);
    const shape = dims.map((size, i) => (i === 0 ? size || 1 : size || (sizes?.[i - 1] ?? 0)));
    if (shape.length < 2 || shape.length > 5 || !shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
      const text = tensor.shape?.dim.map(({ dimValue, dimParam }) => dimValue ?? (dimParam || '?')).join(', ') ?? 'unknown';
      this.fault(
        'the graph',
        `input ${name}`,
        `a batch, channels and up to three axes of known sizes (it has [${text}]); the option input gives them`,
      );
      return undefined;
    }
    return shape;
  }

  /** The output to make, and what is left out behind it. */
  output(wanted: string | undefined): ImportReport['tail'] {
    const names = this.graph.output.map(({ name }) => name);
    const name = wanted ?? (names.length === 1 ? names[0] : undefined);
    if (name === undefined || !names.includes(name)) {
      this.fault('the graph', `outputs ${names.join(', ')}`, 'one output; the option output chooses one');
      this.#output = name !== undefined && names.includes(name) ? name : (names[0] ?? '');
    } else this.#output = name;
    const tail: ImportReport['tail'] = [];
    const producers = new Map(this.#nodes.flatMap((node) => node.output.map((o) => [o, node])));
    for (let node = producers.get(this.#output); node && TAIL.includes(node.opType); node = producers.get(this.#output)) {
      const [from] = node.input;
      producers.delete(this.#output); // so that nodes that read each other come to an end here; walk() refuses them
      if (from === undefined) break;
      if (node.opType !== 'Identity') tail.unshift({ node: node.name || this.#output, operator: node.opType });
      this.#output = from;
    }
    return tail;
  }

  /** Replaces functions of several nodes, and leaves out what the output does not depend on. */
  simplify(): void {
    const fixed = new Map<string, Constant>();
    for (const [name, value] of this.#values) if (value && 'constant' in value) fixed.set(name, value.constant);
    for (const node of this.#nodes) {
      const [output] = node.output;
      if (output === undefined) continue;
      const attribute = node.opType === 'Constant' ? node.attribute.find(({ name }) => name === 'value')?.t : undefined;
      const number = attribute && [...attribute.floatData, ...attribute.doubleData];
      if (number?.length === 1) fixed.set(output, { shape: [], data: Float32Array.from(number), isInteger: false });
      else if (attribute?.rawData?.length === 4 && attribute.dataType === 1) {
        const value = new DataView(attribute.rawData.buffer, attribute.rawData.byteOffset).getFloat32(0, true);
        fixed.set(output, { shape: [], data: Float32Array.of(value), isInteger: false });
      }
    }
    const scalar = (name: string) => {
      const value = fixed.get(name);
      return value && scalarOf(value);
    };
    this.#nodes = recognise({ nodes: this.#nodes, scalar, isConstant: (name) => fixed.has(name) });
    const needed = new Set([this.#output]);
    const kept: NodeProto[] = [];
    for (const node of [...this.#nodes].reverse()) {
      if (!node.output.some((name) => needed.has(name))) continue;
      for (const name of node.input) needed.add(name);
      kept.unshift(node);
    }
    this.#nodes = kept;
    for (const name of kept.flatMap(({ input }) => input)) this.#readers.set(name, (this.#readers.get(name) ?? 0) + 1);
    this.#readers.set(this.#output, (this.#readers.get(this.#output) ?? 0) + 1);
  }

  async walk(): Promise<void> {
    for (const [index, proto] of this.#nodes.entries()) await this.#node(new OnnxNode(proto, index, this.opset));
  }

  async #node(node: OnnxNode): Promise<void> {
    const { operator, label } = node;
    const written = operator.replace(/^selfcompress\./, '');
    this.operators[written] = (this.operators[written] ?? 0) + 1;
    const unknown = node.proto.input.find((name) => name !== '' && !this.#values.has(name));
    if (unknown !== undefined) throw new DataError(`node "${label}" reads "${unknown}", which nothing before it makes`, this.path);
    const inputs = node.proto.input.map((name) => this.#values.get(name));
    const blind = node.proto.input.some((name, i) => name !== '' && inputs[i] === undefined);
    const reads = (output: number) => {
      const name = node.proto.output[output];
      return name !== undefined && name !== '' && this.#readers.has(name);
    };
    let outputs: Value[] = [];
    try {
      const rule = Object.hasOwn(rules, operator) ? rules[operator] : undefined;
      const fold = Object.hasOwn(folds, operator) ? folds[operator] : undefined;
      const fixed = inputs.every((value, i) => node.proto.input[i] === '' || (value && 'constant' in value));
      if (!rule && !(fold && (fixed || blind)))
        throw new Unsupported(fold ? `a rule for ${written} of computed values` : `an import rule for ${written}`);
      if (blind) {
        if (rule && !fold) this.#requireKind(rule, node); // with a fold it may be arithmetic of shapes
      } else if (fold && fixed) {
        const tensor = node.tensor('value');
        const value = fold({ build: this.build, node, inputs, reads }, tensor && (await readTensor(tensor, this.path)));
        outputs = node.proto.output.map((_, i) => (i === 0 ? { constant: value } : undefined));
      } else outputs = (rule as (typeof rules)[string])({ build: this.build, node, inputs, reads });
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.fault(label, written, error.message);
    }
    node.proto.output.forEach((name, i) => {
      if (name !== '') this.#values.set(name, this.#named(outputs[i], name));
    });
  }

  /** Of a node behind one at fault: whether its operator is there at all. What it would need besides is not known. */
  #requireKind(rule: (typeof rules)[string], node: OnnxNode): void {
    const inputs = node.proto.input.map((name) => this.#values.get(name));
    try {
      rule({ build: new Building(), node, inputs, reads: () => false });
    } catch (error) {
      if (error instanceof Unsupported && /^the operator "|^an import rule/.test(error.message)) throw error;
    }
  }

  #named(value: Value, name: string): Value {
    if (!value || !('activation' in value)) return value;
    const { activation } = value;
    return { activation: { ...activation, exclusive: activation.exclusive && this.#readers.get(name) === 1 } };
  }

  result(): string {
    const value = this.#values.get(this.#output);
    if (value && 'activation' in value && value.activation.node !== 'input') return value.activation.node;
    if (this.faults.length === 0) this.fault('the graph', `output ${this.#output}`, 'an output that layers compute from the input');
    return '';
  }
}

/** The nodes of a file's network, and what it is made of, not yet checked as a whole. */
export interface Translated {
  network: NetworkDescription;
  state: State;
  report: ImportReport;
}

/** @throws DataError for what is no ONNX file; ImportError with every node at fault */
export async function translateOnnx(path: string, options: OnnxOptions = {}): Promise<Translated> {
  const model = await readModel(path);
  const { graph } = model;
  if (!graph) throw new DataError('no ONNX model: it has no graph', path);
  const opset = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0;
  const importer = new Importer(path, graph, opset);
  if (opset < OLDEST_OPSET) importer.fault('the graph', opset ? `opset ${opset}` : 'no opset', `ONNX's operators of opset ${OLDEST_OPSET} or later`);
  await importer.constants(options.constants);
  const input = importer.input(options.input);
  const tail = importer.output(options.output);
  importer.simplify();
  await importer.walk();
  const output = importer.result();
  if (importer.faults.length) throw new ImportError(path, importer.faults);
  const { nodes, state } = importer.build;
  return { network: { input, nodes, output }, state, report: { producer: model.producerName, opset, tail, operators: importer.operators } };
}

/**
 * The network of an ONNX file (opset 7 and later) with one float input and one output.
 * @throws DataError for what is no ONNX file; ImportError that lists every node at fault, and what each would need
 */
export async function importOnnx(path: string, options: OnnxOptions = {}): Promise<ImportedModel> {
  const { network, state: given, report } = await translateOnnx(path, options);
  const kinds = new Set(binding.operators().flatMap(({ kind, hasWeights }) => (hasWeights ? [kind] : [])));
  if (!network.nodes.some(({ kind }) => kinds.has(kind))) {
    throw new ImportError(path, [{ node: 'the graph', operator: 'nodes', needs: 'at least one layer with weights' }]);
  }
  const { description, parameters } = binding.inspectNetwork(network);
  const all = initialState(parameters, 0, { bitDepth: 8, headroom: 0 }, given); // checks lengths and values
  const state = Object.fromEntries(parameters.filter((p) => !['bitDepth', 'exponent'].includes(p.role)).map((p) => [p.name, entry(all, p.name)]));
  return { network: description, state, report };
}
