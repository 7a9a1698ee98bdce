/** A file's graph as nodes of a network: its constants folded, its functions recognised, its nodes by the rules, all faults together. */
import type { AxesSizes } from '../../binding.js';
import { DataError, type ImportFault } from '../../errors.js';
import { item } from '../../indexing.js';
import { asNodeName, MOST_PARTS, objectOrder, unpackInputs } from '../../network/parts.js';
import { pauses } from '../../pace.js';
import { laidOut, otherAxes } from './arrange.js';
import { Building, OnnxNode, type RuleContext, type Value } from './context.js';
import { Unsupported } from './errors.js';
import { folds } from './fold.js';
import { Activation, atom, BATCH, isWhole, plain } from './layout.js';
import type { ImportReport, TranslationOptions } from './model.js';
import { recognise } from './patterns.js';
import type { GraphProto, NodeProto, ValueInfoProto } from './proto.js';
import type { Rule } from './results.js';
import { rules, SINCE_SEVEN } from './rules/table.js';
import { type Constant, elementsOf, isFloatType, readTensor, scalarOf } from './tensors.js';

/** What is left out at the output: what training's loss does itself, and what makes integers of the prediction. */
const TAIL = new Set(
  'Softmax LogSoftmax Sigmoid ArgMax ArgMin Cast Identity Hardmax Round Floor Ceil Sign Greater GreaterOrEqual Less LessOrEqual NonMaxSuppression TopK'.split(
    ' ',
  ),
);
const MOST_INPUT_AXES = 4;
/** Whole numbers of any width. */
const TOKEN_TYPES = new Set([2, 3, 4, 5, 6, 7, 12, 13]);

export interface TranslationInput {
  path: string;
  graph: GraphProto;
  opset: number;
  constants: Map<string, Constant>;
  options: TranslationOptions;
  /** The last axis of the input is the channels, not the first. */
  channelsLast: boolean;
}

/** An input of the file. */
export interface FileInput {
  name: string;
  activation: Activation;
}
/** An output of the file: its tensor before what is left out, and what has been made of it. */
export interface FileOutput {
  name: string;
  tensor: string;
  activation: Activation | undefined;
}

export class Translation {
  readonly build: Building;
  readonly faults: ImportFault[] = [];
  readonly operators: Record<string, number> = {};
  tail: ImportReport['tail'] = [];
  /** In the order in which they lie behind one another. */
  inputs: FileInput[] = [];
  readonly outputs: FileOutput[] = [];
  readonly #given: TranslationInput;
  readonly #values = new Map<string, Value>();
  readonly #readers = new Map<string, number>();
  #nodes: NodeProto[];
  #inputsKnown = false;

  private constructor(given: TranslationInput) {
    this.#given = given;
    this.build = new Building((given.options.batchAxis ?? 0) !== -1);
    this.#nodes = given.graph.node;
  }

  static async run(given: TranslationInput): Promise<Translation> {
    const result = new Translation(given);
    if (given.opset < 1) result.#fault('the graph', 'no opset', "a version of ONNX's operators");
    for (const [name, value] of given.constants) result.#values.set(name, { constant: value });
    if (given.graph.sparseInitializer.length) result.#fault('the graph', 'sparse_initializer', 'dense initializers');
    result.#readInputs();
    result.#chooseOutputs(given.options.output);
    result.#simplify();
    if (result.#inputsKnown) result.#takeApart();
    const rest = pauses();
    for (const [index, proto] of result.#nodes.entries()) {
      await rest();
      await result.#node(new OnnxNode(proto, index, given.opset));
    }
    result.#finish();
    return result;
  }

  #fault(node: string, operator: string, needs: string): void {
    this.faults.push({ node, operator, needs });
  }

  #readInputs(): void {
    const open = this.#given.graph.input.filter(({ name }) => !this.#values.has(name));
    for (const { name } of open) this.#values.set(name, undefined);
    if (open.length === 0 || open.length > MOST_PARTS) {
      const names = open.map(({ name }) => name).join(', ') || '(none)';
      this.#fault('the graph', `inputs ${names}`, `1 to ${MOST_PARTS} inputs that are not constant`);
      return;
    }
    for (const info of objectOrder(open)) {
      const shape = this.#inputShape(info, open.length > 1);
      const isTokens = TOKEN_TYPES.has(info.type?.tensorType?.elemType ?? 0);
      if (isTokens && open.length > 1) {
        this.#fault('the graph', `input ${info.name}`, 'numbers with a fraction, beside other inputs');
        continue;
      }
      const activation = shape && (isTokens ? this.#tokensOf(info.name, shape) : this.#inputOf(shape));
      if (activation) this.inputs.push({ name: info.name, activation });
    }
    this.#inputsKnown = this.inputs.length === open.length;
  }

  /** Several inputs lie behind one another in the network's; those that nobody reads are left out. */
  #takeApart(): void {
    const read = this.inputs.filter(({ name }) => this.#readers.has(name));
    if (read.length > 0) this.inputs = read;
    const parts = this.inputs.map(({ name, activation }) => ({ name, axes: activation.sizes as AxesSizes }));
    const { nodes, of } = unpackInputs(parts, (name) => this.build.take(asNodeName(name, 'input')));
    for (const node of nodes) {
      this.build.take(node.name);
      this.build.nodes.push(node);
    }
    for (const input of this.inputs) {
      if (parts.length > 1) input.activation = input.activation.with({ node: of.get(input.name) ?? 'input' });
      this.#values.set(input.name, { activation: input.activation });
    }
  }

  /** A batch of rows of whole numbers. */
  #tokensOf(name: string, shape: number[]): Activation | undefined {
    const batch = this.#batchAxis(shape.length);
    const own = shape.filter((_, i) => i !== batch);
    const [length = 0, ...more] = own;
    if (more.length > 0 || own.length === 0) {
      this.#fault('the graph', `input ${name}`, `whole numbers in rows, [batch, length], or numbers with a fraction (it has [${shape}])`);
      return undefined;
    }
    const axes = shape.map((size, i) => (i === batch ? atom(BATCH, size) : atom(1, length)));
    return new Activation('input', [1, length], axes, false, false, true);
  }

  #inputOf(shape: number[]): Activation {
    const batch = this.#batchAxis(shape.length);
    const own = shape.flatMap((_, i) => (i === batch ? [] : [i]));
    if (own.length > MOST_INPUT_AXES) {
      const inner = (i: number) => elementsOf(own.filter((k) => k > i).map((k) => item(shape, k)));
      const axes = shape.map((size, i) => (i === batch ? atom(BATCH, size) : atom(0, size, inner(i))));
      return new Activation('input', [elementsOf(own.map((i) => item(shape, i)))], axes, false);
    }
    if (!this.#given.channelsLast || own.length < 2) return plain('input', shape, batch).with({ exclusive: false });
    const order = [item(own, own.length - 1), ...own.slice(0, -1)];
    const axes = shape.map((size, i) => (i === batch ? atom(BATCH, size) : atom(order.indexOf(i), size)));
    return new Activation(
      'input',
      order.map((i) => item(shape, i)),
      axes,
      false,
    );
  }

  #batchAxis(rank: number): number {
    const { batchAxis = 0 } = this.#given.options;
    return batchAxis < rank ? batchAxis : -1;
  }

  #inputShape({ name, type }: ValueInfoProto, byName: boolean): number[] | undefined {
    const { input: given } = this.#given.options;
    const sizes = Array.isArray(given) ? (byName ? undefined : given) : given?.[name];
    const tensor = type?.tensorType;
    if (!tensor || !(isFloatType(tensor.elemType) || TOKEN_TYPES.has(tensor.elemType))) {
      this.#fault('the graph', `input ${name}`, 'numbers with a fraction, or tokens');
      return undefined;
    }
    const dims = tensor.shape?.dim.map(({ dimValue }) => dimValue) ?? (sizes ? [undefined, ...sizes.map(() => undefined)] : []);
    const batch = this.#batchAxis(dims.length);
    const own = dims.filter((_, i) => i !== batch);
    // Sizes of images may be given channels first for a file that has them last.
    const fits = (list: number[]) => list.length === own.length && own.every((size, i) => !size || size === list[i]);
    const last = sizes && [...sizes.slice(1), ...sizes.slice(0, 1)];
    const chosen = sizes && last && !fits(sizes) && fits(last) ? last : sizes;
    let next = 0;
    const shape = dims.map((size, i) => {
      const given = i === batch ? 1 : (chosen?.[next++] ?? 0);
      return size || given;
    });
    if (!tensor.shape && !sizes) shape.push(0); // of unknown rank
    if (!shape.every((size) => Number.isSafeInteger(size) && size > 0) || !(elementsOf(shape) < 2 ** 31)) {
      const text = tensor.shape?.dim.map(({ dimValue, dimParam }) => dimValue ?? (dimParam || '?')).join(', ') ?? 'unknown';
      this.#fault('the graph', `input ${name}`, `axes of known sizes, less than 2^31 elements (it has [${text}]); the option input gives them`);
      return undefined;
    }
    return shape;
  }

  /** The outputs to make, and what is left out behind them. */
  #chooseOutputs(wanted: string | readonly string[] | undefined): void {
    const names = this.#given.graph.output.map(({ name }) => name);
    const chosen = wanted === undefined ? names : [wanted].flat();
    const unknown = chosen.find((name) => !names.includes(name));
    if (chosen.length === 0 || chosen.length > MOST_PARTS || unknown !== undefined) {
      const needs = unknown === undefined ? `1 to ${MOST_PARTS} outputs; the option output chooses some` : `an output "${unknown}"`;
      this.#fault('the graph', `outputs ${names.join(', ')}`, needs);
    }
    for (const { name } of objectOrder(chosen.filter((name) => names.includes(name)).map((name) => ({ name })))) {
      const tensor = this.#given.options.whole ? name : this.#withoutTail(name);
      // What differs from another output by its tail alone would be that output again.
      const again = wanted === undefined && this.outputs.some((other) => other.tensor === tensor);
      if (!again) this.outputs.push({ name, tensor, activation: undefined });
    }
  }

  /** The tensor that is the output without what is left out behind it. */
  #withoutTail(name: string): string {
    let output = name;
    const tail: ImportReport['tail'] = [];
    const producers = new Map(this.#nodes.flatMap((node) => node.output.map((o) => [o, node])));
    for (let node = producers.get(output); node && TAIL.has(node.opType); node = producers.get(output)) {
      const [from] = node.input;
      producers.delete(output); // so that nodes that read each other come to an end here; #node refuses them
      if (from === undefined) break;
      if (node.opType !== 'Identity') {
        const { opset } = this.#given;
        const axis = node.attribute.find((a) => a.name === 'axis')?.i ?? (node.opType.startsWith('Arg') ? 0 : opset < 13 ? 1 : -1);
        tail.unshift({ node: node.name || output, operator: node.opType, ...(/Softmax|Arg/.test(node.opType) && { axis }) });
      }
      output = from;
    }
    this.tail.push(...tail.filter((node) => !this.tail.some((other) => other.node === node.node)));
    return output;
  }

  /** Replaces functions of several nodes, and leaves out what the output does not depend on. */
  #simplify(): void {
    const fixed = new Map<string, Constant>();
    for (const [name, value] of this.#values) if (value && 'constant' in value) fixed.set(name, value.constant);
    for (const node of this.#nodes) {
      const [output] = node.output;
      if (output === undefined || node.opType !== 'Constant') continue;
      const number = constantNumber(node);
      if (number) fixed.set(output, number);
    }
    const scalar = (name: string) => {
      const value = fixed.get(name);
      return value && scalarOf(value);
    };
    this.#nodes = recognise({ nodes: this.#nodes, scalar });
    const needed = new Set(this.outputs.map(({ tensor }) => tensor));
    const kept: NodeProto[] = [];
    for (const node of [...this.#nodes].reverse()) {
      if (!node.output.some((name) => needed.has(name))) continue;
      for (const name of node.input) needed.add(name);
      kept.unshift(node);
    }
    this.#nodes = kept;
    for (const name of kept.flatMap(({ input }) => input)) this.#readers.set(name, (this.#readers.get(name) ?? 0) + 1);
    for (const { tensor } of this.outputs) this.#readers.set(tensor, (this.#readers.get(tensor) ?? 0) + 1);
  }

  async #node(node: OnnxNode): Promise<void> {
    const { operator, label } = node;
    const written = operator.replace(/^selfcompress\./, '');
    this.operators[written] = (this.operators[written] ?? 0) + 1;
    const unknown = node.proto.input.find((name) => name !== '' && !this.#values.has(name));
    if (unknown !== undefined) throw new DataError(`node "${label}" reads "${unknown}", which nothing before it makes`, this.#given.path);
    const inputs = node.proto.input.map((name) => this.#values.get(name));
    const reads = (output: number) => {
      const name = node.proto.output[output];
      return name !== undefined && name !== '' && this.#readers.has(name);
    };
    let outputs: Value[] = [];
    try {
      outputs = await this.#outputs({ build: this.build, node, inputs, reads }, written);
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.#fault(label, written, error.message);
    }
    node.proto.output.forEach((name, i) => {
      if (name !== '') this.#values.set(name, this.#named(outputs[i], name));
    });
  }

  async #outputs(c: RuleContext, written: string): Promise<Value[]> {
    const { node, inputs } = c;
    const { operator, proto } = node;
    const rule = Object.hasOwn(rules, operator) ? (rules[operator] as Rule) : undefined;
    const fold = Object.hasOwn(folds, operator) ? folds[operator] : undefined;
    const blind = proto.input.some((name, i) => name !== '' && inputs[i] === undefined);
    const fixed = inputs.every((value, i) => proto.input[i] === '' || (value && 'constant' in value));
    if (node.opset < 7 && SINCE_SEVEN.has(operator) && !fixed) throw new Unsupported(`opset 7 or later for ${written} (it is ${node.opset})`);
    if (!rule && !(fold && (fixed || blind)))
      throw new Unsupported(fold ? `a rule for ${written} of computed values` : `an import rule for ${written}`);
    if (blind) return []; // behind one at fault: what it would need is not known
    if (fold && fixed) {
      const tensor = node.tensor('value');
      const value = fold(c, tensor && (await readTensor(tensor, this.#given.path)));
      return proto.output.map((_, i) => (i === 0 ? { constant: value } : undefined));
    }
    return (rule as Rule)(c);
  }

  #named(value: Value, name: string): Value {
    if (!value || !('activation' in value)) return value;
    const { activation } = value;
    return { activation: activation.with({ exclusive: activation.exclusive && this.#readers.get(name) === 1 }) };
  }

  /** The outputs with whole axes of the file as channels and positions. */
  #finish(): void {
    if (this.faults.length > 0) return;
    for (const output of this.outputs) {
      const value = this.#values.get(output.tensor);
      if (!value || !('activation' in value)) {
        this.#fault('the graph', `output ${output.tensor}`, 'an output that layers compute from the input');
        continue;
      }
      try {
        output.activation = this.#inWholeAxes(value.activation, output.tensor);
      } catch (error) {
        if (!(error instanceof Unsupported)) throw error;
        this.#fault('the graph', `output ${output.tensor}`, error.message);
      }
    }
  }

  #inWholeAxes(x: Activation, tensor: string): Activation {
    const atoms = x.axes.flat().filter(({ axis }) => axis !== BATCH);
    const whole = atoms.every((a) => isWhole([a], a.axis, item(x.sizes, a.axis)));
    const ascending = x.axes.every((own) => own.every((a, i) => i === 0 || a.axis > item(own, i - 1).axis));
    if (whole && ascending) return x;
    const node = new OnnxNode(
      { input: [], output: [tensor], name: `${tensor}_order`, opType: 'Transpose', domain: '', attribute: [] },
      0,
      this.#given.opset,
    );
    const c: RuleContext = { build: this.build, node, inputs: [], reads: () => true };
    const own = otherAxes(x, []);
    if (own.length < 2) return own.length ? laidOut(c, x, own, []) : x;
    // Of an image, axis 1 is the channels; of a list, what each of its members has.
    const isImage = x.rank > 3;
    const channels = item(own, isImage ? 0 : own.length - 1);
    return laidOut(
      c,
      x,
      [channels],
      own.filter((axis) => axis !== channels),
      own.length > MOST_INPUT_AXES,
    );
  }
}

function constantNumber(node: NodeProto): Constant | undefined {
  const of = (value: number): Constant => ({ shape: [], data: Float64Array.of(value), isInteger: false });
  const attribute = (name: string) => node.attribute.find((a) => a.name === name);
  const number = attribute('value_float')?.f ?? attribute('value_int')?.i;
  if (number !== undefined) return of(number);
  const list = attribute('value_ints')?.ints;
  if (list) return list.length === 1 ? of(list[0] as number) : undefined;
  const tensor = attribute('value')?.t;
  const [value, ...more] = tensor ? [...tensor.floatData, ...tensor.doubleData, ...tensor.int64Data] : [];
  if (value !== undefined && more.length === 0) return of(value);
  if (tensor?.rawData?.length === 8 && tensor.dataType === 7) {
    return of(Number(new DataView(tensor.rawData.buffer, tensor.rawData.byteOffset).getBigInt64(0, true)));
  }
  if (tensor?.rawData?.length !== 4 || tensor.dataType !== 1) return undefined;
  return of(new DataView(tensor.rawData.buffer, tensor.rawData.byteOffset).getFloat32(0, true));
}
