/**
 * The compact model file `.scnn`, version 1. Little-endian.
 *
 *     bytes 0..3    "SCNN"
 *     bytes 4..5    version (1)
 *     bytes 6..7    0
 *     bytes 8..11   length S of the structure
 *     bytes 12..15  first 4 bytes of the SHA-256 of everything after byte 16
 *     S bytes       structure: JSON of a ModelStructure, deflated
 *     the rest      parameters, node by node
 *
 * Parameters of a node:
 *     compressing layer   5 bits per output channel: depth d of its codes (0: the channel is dead); float32 exponent of
 *                         every channel with d > 0; then every weight's code in d bits, two's complement, output channel
 *                         by output channel. These three as one bit stream that ends on a whole byte. Then float32 biases.
 *     plain layer         float32 weights, float32 biases
 *     batch norm          float32 scale and float32 shift per channel; the running statistics are folded into them
 *
 * A weight is code · 2^exponent.
 */
import type { NetworkDescription } from '../binding.js';

export const MAGIC = 'SCNN';
export const VERSION = 1;
export const HEADER_BYTES = 16;
export const DEPTH_BITS = 5;

/** What the file says of the model besides its parameters. */
export interface ModelInfo {
  /** Name of the data set it was trained on. */
  name: string;
  classes: number;
  classNames?: string[];
  /** Normalisation of images, per channel. */
  mean: number[];
  std: number[];
}

export interface ModelStructure {
  network: NetworkDescription;
  info: ModelInfo;
}
