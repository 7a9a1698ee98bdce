/** A trained network's parameters as a safetensors file: every one with its shape, weights as predictions use them. */
import type { ExportNetwork } from './layers.js';

/** Tensors begin at a multiple of eight bytes of the file. */
const ALIGNMENT = 8;

/** Little-endian float32; names are `<node>.<parameter>`. The description is JSON in the file's metadata. */
export function encodeSafetensors({ layers, description }: ExportNetwork): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'selfcompress', network: JSON.stringify(description) } };
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const { node, parameters, shapes } of layers) {
    for (const [suffix, values] of Object.entries(parameters)) {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      header[`${node.name}.${suffix}`] = { dtype: 'F32', shape: shapes[suffix], data_offsets: [offset, offset + bytes.length] };
      offset += bytes.length;
      data.push(bytes);
    }
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(text.length / ALIGNMENT) * ALIGNMENT, ' ');
  text.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...data]);
}
