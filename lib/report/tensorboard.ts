/**
 * Event files that TensorBoard reads: records of Event messages (tensorflow/core/util/event.proto, framework/summary.proto), each with
 * its length and masked CRC-32C checksums of length and content, as TFRecord files have them.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { appendSynced, makeFolder, writeFileAtomic } from '../files.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';

/** Castagnoli's polynomial, bits reversed. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] as number);
  return ~crc >>> 0;
}

/** Checksums are stored turned and moved, so that a checksum of bytes with checksums in them is none of these. */
const masked = (crc: number) => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function record(content: Uint8Array): Buffer {
  const result = Buffer.alloc(16 + content.length);
  result.writeBigUInt64LE(BigInt(content.length), 0);
  result.writeUInt32LE(masked(crc32c(result.subarray(0, 8))), 8);
  result.set(content, 12);
  result.writeUInt32LE(masked(crc32c(content)), 12 + content.length);
  return result;
}

/** HistogramProto of values: buckets of a whole number each, up to and with their limits. */
function histogram(writer: BinaryWriter, values: number[]): void {
  const most = Math.max(...values, 0);
  const limits = Array.from({ length: Math.ceil(most) + 1 }, (_, i) => i);
  const counts = limits.map((limit) => values.filter((value) => Math.ceil(value) === limit).length);
  const sum = (of: (value: number) => number) => values.reduce((total, value) => total + of(value), 0);
  [Math.min(...values), most, values.length, sum((v) => v), sum((v) => v * v)].forEach((value, i) => {
    writer.tag(i + 1, WireType.Bit64).double(value);
  });
  for (const [field, list] of [
    [6, limits],
    [7, counts],
  ] as const) {
    writer.tag(field, WireType.LengthDelimited).fork();
    for (const value of list) writer.double(value);
    writer.join();
  }
}

interface Summary {
  scalars?: Record<string, number>;
  histograms?: Record<string, number[]>;
}

function event(seconds: number, step: number, { scalars = {}, histograms = {} }: Summary): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.Bit64).double(seconds).tag(2, WireType.Varint).int64(step);
  writer.tag(5, WireType.LengthDelimited).fork();
  const value = (tag: string) => writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(tag);
  for (const [tag, number] of Object.entries(scalars)) value(tag).tag(2, WireType.Bit32).float(number).join();
  for (const [tag, numbers] of Object.entries(histograms)) {
    value(tag).tag(5, WireType.LengthDelimited).fork();
    histogram(writer, numbers);
    writer.join().join();
  }
  return writer.join().finish();
}

function summary(m: EpochMetrics): Summary {
  const scalars: Record<string, number | undefined> = {
    'loss/train': m.trainLoss,
    'loss/test': m.testLoss,
    'loss/validation': m.validationLoss,
    'accuracy/train': m.trainAccuracy,
    'accuracy/test': m.testAccuracy,
    'accuracy/validation': m.validationAccuracy,
    'size/bits_fraction': m.bitsFraction,
    'size/weights_fraction': m.weightsFraction,
    'size/channels': m.channels,
    'size/model_bytes': m.modelBytes,
    'rates/learning_rate': m.learningRate,
    'rates/gamma': m.gamma,
    'speed/epoch_seconds': m.epochSeconds,
    'speed/images_per_second': m.imagesPerSecond,
  };
  return {
    scalars: Object.fromEntries(Object.entries(scalars).filter((entry): entry is [string, number] => entry[1] !== undefined)),
    histograms: Object.fromEntries(m.layers.map(({ name, channelBits }) => [`bits/${name}`, channelBits])),
  };
}

/** An event file of its own in a folder, which TensorBoard reads together with the others there. */
export class EventFile {
  private constructor(readonly path: string) {}

  /** The file has a number that no other process has: a run that goes on writes a further file. */
  static async create(folder: string, now = Date.now()): Promise<EventFile> {
    await makeFolder(folder);
    const path = join(folder, `events.out.tfevents.${Math.floor(now / 1000)}.${hostname()}.${process.pid}.${process.hrtime.bigint() % 1_000_000n}`);
    const version = new BinaryWriter()
      .tag(1, WireType.Bit64)
      .double(now / 1000)
      .tag(3, WireType.LengthDelimited)
      .string('brain.Event:2')
      .finish();
    await writeFileAtomic(path, [record(version)]);
    return new EventFile(path);
  }

  /** An epoch's numbers at its last step, and a histogram of every layer's bit depths. */
  async add(metrics: EpochMetrics, now = Date.now()): Promise<void> {
    await appendSynced(this.path, record(event(now / 1000, metrics.step, summary(metrics))));
  }
}
