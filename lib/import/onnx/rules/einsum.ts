/** Einsum of a tensor by itself or with weights that the file fixes: diagonals, sums, products with matrices, other orders of axes. */
import { item } from '../../../indexing.js';
import { pick } from '../arrange.js';
import { activationOf, constantOf, isActivation, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { value } from '../results.js';
import { type Constant, elementsOf, gatherElements, transpose } from '../tensors.js';
import { scaled } from './activations.js';
import { numbered, runsOf } from './places.js';
import { withWeights } from './products.js';
import { MEAN, reducedTo } from './reductions.js';
import { toShape } from './shape.js';

/** One letter for each axis; what `...` stands for has letters of its own. */
interface Terms {
  inputs: string[][];
  output: string[];
}

/** A tensor whose axes have names. */
interface Named<T> {
  of: T;
  names: string[];
}

/** `bij, bjk -> bik` for tensors of these numbers of axes. */
function termsOf(equation: string, ranks: number[]): Terms {
  const wrong = () => new Unsupported(`an equation for tensors of ${ranks.join(' and ')} axes (it is "${equation}")`);
  const [left = '', right, ...more] = equation.replace(/\s/g, '').split('->');
  const sides = left.split(',');
  if (more.length || sides.length !== ranks.length || !/^[A-Za-z.,]*$/.test(left + (right ?? ''))) throw wrong();
  const letters = (term: string) => term.replace('...', '').split('');
  const widest = Math.max(0, ...sides.map((term, i) => (term.includes('...') ? item(ranks, i) - letters(term).length : 0)));
  const rest = (count: number) => Array.from({ length: count }, (_, i) => `.${widest - count + i}`);
  const expand = (term: string, count: number) => {
    const [before = '', after] = term.split('...');
    return after === undefined ? term.split('') : [...before, ...rest(count), ...after];
  };
  const inputs = sides.map((term, i) => expand(term, Math.max(0, item(ranks, i) - letters(term).length)));
  if (inputs.some((names, i) => names.length !== ranks[i] || names.includes('.'))) throw wrong();
  const all = inputs.flat();
  const once = [...new Set(all)].filter((name) => !name.startsWith('.') && all.filter((other) => other === name).length === 1).sort();
  const output = right === undefined ? [...rest(widest), ...once] : expand(right, widest);
  if (new Set(output).size !== output.length || output.some((name) => !all.includes(name))) throw wrong();
  return { inputs, output };
}

/** Every name once: elements on the diagonal of axes of one name. */
function diagonal(c: RuleContext, { of: x, names }: Named<Activation>): Named<Activation> {
  const kept = [...new Set(names)];
  if (kept.length === names.length) return { of: x, names };
  if (x.batchAxis >= 0) throw new Unsupported('axes of different names where one counts examples');
  const shape = kept.map((name) => item(x.shape, names.indexOf(name)));
  if (names.some((name, i) => item(shape, kept.indexOf(name)) !== x.shape[i])) throw new Unsupported(`one size for each name ([${x.shape}])`);
  const runs = runsOf(x.shape);
  const index = numbered(shape, (place) => names.reduce((sum, name, i) => sum + item(place, kept.indexOf(name)) * item(runs, i), 0));
  return { of: pick(c, x, shape, -1, index), names: kept };
}

/** Sums over the axes that nobody else names. */
function summed(c: RuleContext, { of: x, names }: Named<Activation>, needed: Set<string>): Named<Activation> {
  const gone = names.flatMap((name, i) => (needed.has(name) ? [] : [i]));
  if (gone.length === 0) return { of: x, names };
  const mean = reducedTo(c, x, gone, MEAN, false);
  return { of: scaled(c, mean, elementsOf(gone.map((axis) => item(x.shape, axis)))), names: names.filter((name) => needed.has(name)) };
}

/** The same of weights. */
function weightsOf({ of, names }: Named<Constant>, needed: Set<string>): Named<Constant> {
  const kept = [...new Set(names)].filter((name) => needed.has(name));
  const gone = [...new Set(names)].filter((name) => !needed.has(name));
  const size = (name: string) => item(of.shape, names.indexOf(name));
  if (names.some((name, i) => size(name) !== of.shape[i])) throw new Unsupported(`one size for each name ([${of.shape}])`);
  const runs = runsOf(of.shape);
  const order = [...kept, ...gone];
  const at = (place: number[]) => names.reduce((sum, name, i) => sum + item(place, order.indexOf(name)) * item(runs, i), 0);
  const all = gatherElements(of, order.map(size), at);
  const inner = elementsOf(gone.map(size));
  const data = new Float32Array(all.data.length / inner);
  for (let i = 0; i < all.data.length; i++) data[Math.floor(i / inner)] = item(data, Math.floor(i / inner)) + item(all.data, i);
  return { of: { shape: kept.map(size), data, isInteger: false }, names: kept };
}

const ordered = (x: Activation, names: string[], wanted: string[]) => x.with({ axes: wanted.map((name) => item(x.axes, names.indexOf(name))) });

/** The product over the names of both that the output does not have. */
function product(c: RuleContext, a: Named<Activation>, b: Named<Constant>, output: string[]): Named<Activation> {
  const both = a.names.filter((name) => b.names.includes(name));
  const groups = both.filter((name) => output.includes(name));
  const inner = both.filter((name) => !output.includes(name));
  const rows = a.names.filter((name) => !both.includes(name));
  const columns = b.names.filter((name) => !both.includes(name));
  const size = (name: string) => (a.names.includes(name) ? item(a.of.shape, a.names.indexOf(name)) : item(b.of.shape, b.names.indexOf(name)));
  const other = both.find((name) => item(b.of.shape, b.names.indexOf(name)) !== size(name));
  if (other !== undefined) throw new Unsupported(`one size for each name ([${a.of.shape}] and [${b.of.shape}], ${other})`);
  const count = (names: string[]) => elementsOf(names.map(size));
  const x = ordered(a.of, a.names, [...groups, ...rows, ...inner]);
  const w = transpose(
    b.of,
    [...groups, ...inner, ...columns].map((name) => b.names.indexOf(name)),
  );
  // Without groups the rows stay axes of their own, one of which may count examples.
  const [lead, own] = groups.length ? [[count(groups)], [count(rows)]] : [[], rows.map(size)];
  const result = withWeights(c, toShape(c, x, [...lead, ...own, count(inner)]), { ...w, shape: [...lead, count(inner), count(columns)] }, true);
  const names = [...groups, ...rows, ...columns];
  return { of: toShape(c, result, names.map(size)), names };
}

export function einsum(c: RuleContext): Value[] {
  const { inputs: given } = c;
  if (given.length > 2) throw new Unsupported(`one or two inputs (there are ${given.length})`);
  const first = given.findIndex((input) => isActivation(input));
  if (given.filter((input) => isActivation(input)).length > 1) throw new Unsupported('one input that is computed, and weights that the file fixes');
  const x = activationOf(c, Math.max(first, 0));
  const weights = given.length > 1 ? constantOf(c, 1 - first, 'weights') : undefined;
  const ranks = given.length === 1 ? [x.rank] : first === 0 ? [x.rank, weights?.shape.length ?? 0] : [weights?.shape.length ?? 0, x.rank];
  const { inputs, output } = termsOf(c.node.text('equation', ''), ranks);
  const other = weights && item(inputs, 1 - first);
  const needed = new Set([...output, ...(other ?? [])]);
  let a = summed(c, diagonal(c, { of: x, names: item(inputs, Math.max(first, 0)) }), needed);
  if (weights && other) a = product(c, a, weightsOf({ of: weights, names: other }, new Set([...output, ...a.names])), output);
  return value(ordered(a.of, a.names, output));
}
