/** A scale and a shift for every channel, which files write as Mul, Add, Sub and Div with constants. */
import type { NodeDescription } from '../../binding.js';
import { entry, item } from '../../indexing.js';
import { type Activation, type RuleContext, Unsupported, type Value } from './context.js';
import { type Constant, elementsOf } from './tensors.js';

/** x becomes scale · x + shift. */
export interface Affine {
  scale: number;
  shift: number;
}

/** One number for every channel, from a constant that broadcasts to the shape [batch, channels, ...]. */
export function perChannel({ shape, data }: Constant, to: number[]): Float32Array {
  const sizes = [...new Array<number>(Math.max(0, to.length - shape.length)).fill(1), ...shape];
  const channels = item(to, 1);
  const alongChannels = sizes.length === to.length && sizes.every((size, i) => size === 1 || (i === 1 && size === channels));
  if (data.length === 0 || !alongChannels) throw new Unsupported(`one number for every channel, axis 1 of [${to}] (it has [${shape}])`);
  return Float32Array.from({ length: channels }, (_, i) => item(data, data.length === 1 ? 0 : i));
}

/** Scales and shifts the output of a convolution, a linear layer or a norm by its own parameters. */
function join({ build }: RuleContext, node: NodeDescription, affine: Affine[]): void {
  const weight = entry(build.state, `${node.name}.weight`);
  const run = weight.length / affine.length;
  build.state[`${node.name}.weight`] = weight.map((w, i) => w * item(affine, Math.floor(i / run)).scale);
  const bias = build.state[`${node.name}.bias`];
  if (!bias && affine.every(({ shift }) => shift === 0)) return;
  build.state[`${node.name}.bias`] = Float32Array.from(affine, ({ scale, shift }, i) => (bias?.[i] ?? 0) * scale + shift);
  if ('bias' in node) node.bias = true; // a norm has no such field: its scale and shift come together
}

/** Joined to the layer before where nobody else reads that; else a 1×1 convolution of every channel by itself. */
export function applyAffine(c: RuleContext, x: Activation, affine: Affine[]): Value[] {
  if (affine.every(({ scale, shift }) => scale === 1 && shift === 0)) return [{ activation: x }];
  const node = c.build.node(x.node);
  if (x.exclusive && x.takesAffine && node) {
    join(c, node, affine);
    return [{ activation: x }];
  }
  const channels = x.shape[1];
  const hasShift = affine.some(({ shift }) => shift !== 0);
  const fields = { outChannels: channels, kernel: [1, 1], groups: channels, bias: hasShift, compress: false };
  const parameters = {
    weight: Float32Array.from(affine, ({ scale }) => scale),
    bias: hasShift ? Float32Array.from(affine, ({ shift }) => shift) : undefined,
  };
  if (elementsOf(x.shape.slice(2)) < 1) throw new Unsupported('positions');
  const name = c.build.add('conv2d', c.node.label, [x.node], fields, parameters);
  return [{ activation: { node: name, shape: x.shape, exclusive: true, takesAffine: true } }];
}
