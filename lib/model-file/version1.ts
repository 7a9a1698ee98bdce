/**
 * Reads model files of version 1, which this version no longer writes. Little-endian.
 *
 *     bytes 0..3    "SCNN"
 *     bytes 4..5    version (1)
 *     bytes 8..11   length S of the structure
 *     bytes 12..15  first 4 bytes of the SHA-256 of everything after byte 16
 *     S bytes       structure: JSON of { network, info }, deflated
 *     the rest      parameters, node by node
 *
 * Parameters of a node: with bit depths 5 bits per output channel (depth d of its codes, 0: dead), a float32 exponent of every
 * channel with d > 0, every weight's code in d bits, two's complement, as one bit stream that ends on a whole byte; else float32
 * weights. Then float32 biases. A norm: float32 scale and shift per channel. A weight is code · 2^exponent.
 */
import { createHash } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';
import type { NetworkDescription, ParameterInfo, ParameterRole } from '../binding.js';
import { ModelFileError } from '../errors.js';
import { elements, inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';
import type { DecodedModel, DecodeLimits, ModelInfo } from './model-file.js';

const HEADER_BYTES = 16;
const DEPTH_BITS = 5;
/** Deflated JSON of a structure: what a network of 2^16 nodes takes. */
const MOST_STRUCTURE_BYTES = 1 << 24;
const MOST_NODES = 1 << 16;
const MOST_WEIGHTS = 2 ** 28;

/** Reads parameters one after another. */
class Reader {
  constructor(
    readonly bytes: Uint8Array,
    private at = 0,
  ) {}

  floats(count: number): Float32Array {
    const end = this.at + 4 * count;
    if (end > this.bytes.length) throw new RangeError('the data end too early');
    const copy = this.bytes.slice(this.at, end);
    this.at = end;
    return new Float32Array(copy.buffer);
  }

  layer(channels: number, perChannel: number) {
    if (channels * DEPTH_BITS > 8 * this.rest) throw new RangeError('the data end too early');
    let bit = 8 * this.at;
    const end = 8 * this.bytes.length;
    const unsigned = (count: number) => {
      if (bit + count > end) throw new RangeError('the data end too early');
      let value = 0;
      for (let i = 0; i < count; i++, bit++) value += (((this.bytes[bit >> 3] as number) >> (bit & 7)) & 1) * 2 ** i;
      return value;
    };
    const depths = Float32Array.from({ length: channels }, () => unsigned(DEPTH_BITS));
    const bits = depths.reduce((sum, depth) => sum + depth * perChannel + (depth ? 32 : 0), 0);
    if (bits > end - bit) throw new RangeError('the data end too early'); // before the weights are allocated
    const exponent = new Float32Array(channels);
    const raw = new Uint32Array(exponent.buffer);
    const weight = new Float32Array(channels * perChannel);
    depths.forEach((depth, c) => {
      if (depth) raw[c] = unsigned(32);
    });
    depths.forEach((depth, c) => {
      const scale = Math.fround(2 ** (exponent[c] as number));
      for (let i = 0; depth && i < perChannel; i++) {
        const code = unsigned(depth);
        weight[c * perChannel + i] = scale * (code >= 2 ** (depth - 1) ? code - 2 ** depth : code);
      }
    });
    this.at = (bit + 7) >> 3;
    return { weight, bitDepth: depths, exponent };
  }

  get rest(): number {
    return this.bytes.length - this.at;
  }
}

function readNode(parameters: Partial<Record<ParameterRole, ParameterInfo>>, epsilon: number, reader: Reader, state: State): void {
  const { weight, bias, bitDepth, exponent, normWeight, normBias, runningMean, runningVar } = parameters;
  if (runningMean && runningVar) {
    const channels = elements(runningMean.shape);
    const scale = reader.floats(channels);
    const shift = reader.floats(channels);
    // mean 0 and var + ε = 1 leave y = x · scale + shift.
    if (normWeight && normBias) Object.assign(state, { [normWeight.name]: scale, [normBias.name]: shift });
    state[runningMean.name] = new Float32Array(channels);
    state[runningVar.name] = new Float32Array(channels).fill(1 - epsilon);
  }
  if (!weight) return;
  if (bitDepth && exponent) {
    const layer = reader.layer(weight.shape[0] as number, elements(weight.shape.slice(1)));
    Object.assign(state, { [weight.name]: layer.weight, [bitDepth.name]: layer.bitDepth, [exponent.name]: layer.exponent });
  } else state[weight.name] = reader.floats(elements(weight.shape));
  if (bias) state[bias.name] = reader.floats(elements(bias.shape));
}

function readParameters(network: NetworkDescription, reader: Reader): State {
  const ofNode = new Map<string, Partial<Record<ParameterRole, ParameterInfo>>>();
  for (const parameter of inspectNetwork(network).parameters) {
    ofNode.set(parameter.node, { ...ofNode.get(parameter.node), [parameter.role]: parameter });
  }
  const state: State = {};
  for (const node of network.nodes) {
    const parameters = ofNode.get(node.name);
    if (parameters) readNode(parameters, 'epsilon' in node ? (node.epsilon ?? 1e-5) : 1e-5, reader, state);
  }
  if (reader.rest) throw new RangeError(`${reader.rest} bytes are left over`);
  return state;
}

/** Every norm has scale and shift in a file. */
function withAffineNorms(network: NetworkDescription): NetworkDescription {
  const { parameters } = inspectNetwork(network);
  const norms = new Set(parameters.filter((p) => p.role === 'runningMean').map((p) => p.node));
  return { ...network, nodes: network.nodes.map((node) => (norms.has(node.name) ? { ...node, affine: true } : node)) };
}

/** @throws ModelFileError for anything that is not a whole, unchanged file */
export function decodeVersion1(data: Buffer, { maxWeights = MOST_WEIGHTS, maxNodes = MOST_NODES }: DecodeLimits = {}): DecodedModel {
  if (data.length < HEADER_BYTES) throw new ModelFileError(`The model file is damaged: it has ${data.length} bytes`);
  const body = data.subarray(HEADER_BYTES);
  if (!createHash('sha256').update(body).digest().subarray(0, 4).equals(data.subarray(12, 16))) {
    throw new ModelFileError('The model file is damaged: its contents do not match their checksum');
  }
  const structureLength = data.readUInt32LE(8);
  try {
    const text = inflateRawSync(body.subarray(0, structureLength), { maxOutputLength: MOST_STRUCTURE_BYTES }).toString();
    const { network, info } = JSON.parse(text) as { network: NetworkDescription; info: ModelInfo };
    if (!(network?.nodes?.length <= maxNodes)) throw new RangeError(`it does not have 1 to ${maxNodes} nodes`);
    const affine = withAffineNorms(network);
    const { weights } = inspectNetwork(affine);
    if (weights > maxWeights) throw new RangeError(`it asks for ${weights} weights, more than ${maxWeights}`);
    return { network: affine, info, state: readParameters(affine, new Reader(new Uint8Array(body), structureLength)) };
  } catch (cause) {
    throw new ModelFileError(`The model file is damaged: ${(cause as Error).message}`, { cause });
  }
}
