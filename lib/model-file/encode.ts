import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import type { NetworkDescription } from '../binding.js';
import { isWeightNode } from '../network/description.js';
import type { State } from '../network/initial.js';
import { layerCodes } from '../training/metrics.js';
import { BitWriter } from './bits.js';
import { DEPTH_BITS, HEADER_BYTES, MAGIC, type ModelInfo, VERSION } from './format.js';

const floatBits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
const asBytes = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Codes of one compressing layer at each channel's own depth. */
async function encodeLayer(name: string, state: State): Promise<Uint8Array> {
  const { codes, codeBits } = await layerCodes(name, state);
  const exponent = floatBits(state[`${name}.exponent`]);
  const perChannel = codes.length / codeBits.length;
  const bits = new BitWriter();
  for (const depth of codeBits) bits.write(depth, DEPTH_BITS);
  for (let c = 0; c < codeBits.length; c++) if (codeBits[c]) bits.write(exponent[c], 32);
  for (let c = 0; c < codeBits.length; c++) {
    if (codeBits[c]) for (let i = c * perChannel; i < (c + 1) * perChannel; i++) bits.write(codes[i], codeBits[c]);
  }
  return bits.finish();
}

/** scale = w / √(var + ε), shift = b − mean · scale */
function foldNorm(name: string, state: State, epsilon: number): Float32Array[] {
  const [weight, bias, mean, variance] = ['weight', 'bias', 'runningMean', 'runningVar'].map((role) => state[`${name}.${role}`]);
  const scale = mean.map((_, i) => (weight?.[i] ?? 1) / Math.sqrt(variance[i] + epsilon));
  const shift = mean.map((m, i) => (bias?.[i] ?? 0) - m * scale[i]);
  return [scale, shift];
}

/** The bytes of the model file (format.ts). `state` may hold optimizer moments; they are left out. */
export async function encodeModel(
  network: NetworkDescription,
  state: State,
  { name, classes, classNames, mean, std }: ModelInfo,
): Promise<Uint8Array> {
  const structure = deflateRawSync(JSON.stringify({ network, info: { name, classes, classNames, mean, std } }), { level: 9 });
  const parts: Uint8Array[] = [structure];
  for (const node of network.nodes) {
    if (node.kind === 'batchNorm') parts.push(...foldNorm(node.name, state, node.epsilon ?? 1e-5).map(asBytes));
    if (!isWeightNode(node)) continue;
    parts.push(state[`${node.name}.bitDepth`] ? await encodeLayer(node.name, state) : asBytes(state[`${node.name}.weight`]));
    if (state[`${node.name}.bias`]) parts.push(asBytes(state[`${node.name}.bias`]));
  }
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt16LE(VERSION, 4);
  header.writeUInt32LE(structure.length, 8);
  createHash('sha256').update(body).digest().copy(header, 12, 0, 4);
  return new Uint8Array(Buffer.concat([header, body]));
}
