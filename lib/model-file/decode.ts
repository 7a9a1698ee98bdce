import { createHash } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';
import type { NetworkDescription } from '../binding.js';
import { ModelFileError } from '../errors.js';
import { elements, inspectNetwork, isWeightNode } from '../network/description.js';
import type { State } from '../network/initial.js';
import { BitReader } from './bits.js';
import { DEPTH_BITS, HEADER_BYTES, MAGIC, type ModelInfo, type ModelStructure, VERSION } from './format.js';

export interface DecodedModel {
  network: NetworkDescription;
  info: ModelInfo;
  /** Parameters (no optimizer moments): quantizing the weights again gives the very codes of the file. */
  state: State;
}

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
    const bits = new BitReader(this.bytes.subarray(this.at));
    const bitDepth = new Float32Array(channels);
    const exponent = new Float32Array(channels);
    const raw = new Uint32Array(exponent.buffer);
    const weight = new Float32Array(channels * perChannel);
    for (let c = 0; c < channels; c++) bitDepth[c] = bits.readUnsigned(DEPTH_BITS);
    for (let c = 0; c < channels; c++) if (bitDepth[c]) raw[c] = bits.readUnsigned(32);
    for (let c = 0; c < channels; c++) {
      if (!bitDepth[c]) continue;
      const scale = Math.fround(2 ** exponent[c]);
      for (let i = 0; i < perChannel; i++) weight[c * perChannel + i] = scale * bits.readSigned(bitDepth[c]);
    }
    this.at += bits.bytesRead;
    return { weight, bitDepth, exponent };
  }
  get rest(): number {
    return this.bytes.length - this.at;
  }
}

function readParameters(network: NetworkDescription, reader: Reader): State {
  const { parameters } = inspectNetwork(network);
  const shapeOf = (name: string) => parameters.find((p) => p.name === name)?.shape;
  const state: State = {};
  for (const node of network.nodes) {
    const weightShape = shapeOf(`${node.name}.weight`);
    if (node.kind === 'batchNorm') {
      const [channels] = shapeOf(`${node.name}.runningMean`) as number[];
      const scale = reader.floats(channels);
      const shift = reader.floats(channels);
      // mean 0 and var + ε = 1 leave y = x · scale + shift.
      if (weightShape) Object.assign(state, { [`${node.name}.weight`]: scale, [`${node.name}.bias`]: shift });
      state[`${node.name}.runningMean`] = new Float32Array(channels);
      state[`${node.name}.runningVar`] = new Float32Array(channels).fill(1 - (node.epsilon ?? 1e-5));
    }
    if (!isWeightNode(node) || !weightShape) continue;
    if (node.compress !== false) {
      const layer = reader.layer(weightShape[0], elements(weightShape.slice(1)));
      for (const [role, values] of Object.entries(layer)) state[`${node.name}.${role}`] = values;
    } else state[`${node.name}.weight`] = reader.floats(elements(weightShape));
    if (node.bias !== false) state[`${node.name}.bias`] = reader.floats(weightShape[0]);
  }
  if (reader.rest) throw new RangeError(`${reader.rest} bytes are left over`);
  return state;
}

/**
 * The network of a model file. Norms come back with scale and shift, whether or not they had them.
 * @throws ModelFileError for anything that is not a whole, unchanged file of a known version
 */
export function decodeModel(bytes: Uint8Array): DecodedModel {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.length < HEADER_BYTES || data.toString('latin1', 0, 4) !== MAGIC)
    throw new ModelFileError('The file is not a model of selfcompress (.scnn)');
  const version = data.readUInt16LE(4);
  if (version !== VERSION) throw new ModelFileError(`The model file has version ${version}; this program reads version ${VERSION}`);
  const body = data.subarray(HEADER_BYTES);
  if (!createHash('sha256').update(body).digest().subarray(0, 4).equals(data.subarray(12, 16))) {
    throw new ModelFileError('The model file is damaged: its contents do not match their checksum');
  }
  const structureLength = data.readUInt32LE(8);
  try {
    const { network, info } = JSON.parse(
      inflateRawSync(body.subarray(0, structureLength), { maxOutputLength: 1 << 28 }).toString(),
    ) as ModelStructure;
    for (const node of network.nodes) if (node.kind === 'batchNorm') node.affine = true;
    return { network, info, state: readParameters(network, new Reader(new Uint8Array(body), structureLength)) };
  } catch (cause) {
    throw new ModelFileError(`The model file is damaged: ${(cause as Error).message}`, { cause });
  }
}
