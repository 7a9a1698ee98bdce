// Sound model files and checkpoints, damaged with their checksums put right again: what a hand could make, and how they are read.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { compileModel, loadModel } from '../../dist/cli/load-model.js';
import { measureSize } from '../../dist/training/metrics.js';
import { binding, inspectNetwork, NetworkBuilder, readCheckpoint, Trainer, toyDataset, toyNetwork, writeCheckpoint } from '../../test/support.mjs';
import { mutate } from './mutate.mjs';

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});
function crc32c(bytes) {
  let c = ~0;
  for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}

/** Version 2: the checksum at byte 6 is over everything but itself. */
function withChecksum2(bytes, random) {
  const result = Buffer.from(bytes);
  if (result.length >= 10 && random() < 0.9) result.writeUInt32LE(crc32c(Buffer.concat([result.subarray(0, 6), result.subarray(10)])), 6);
  return result;
}

/** Version 1: the structure is JSON, deflated. Here the file is its JSON, a line end, and the parameters. */
function version1(text, parameters) {
  const structure = deflateRawSync(text);
  const header = Buffer.alloc(16);
  header.write('SCNN');
  header.writeUInt16LE(1, 4);
  header.writeUInt32LE(structure.length, 8);
  createHash('sha256').update(structure).update(parameters).digest().copy(header, 12, 0, 4);
  return Buffer.concat([header, structure, parameters]);
}
const structure1 = (bytes) => inflateRawSync(bytes.subarray(16, 16 + bytes.readUInt32LE(8)));

const wild = [
  null, true, false, 0, -1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 31), 1e300, '', 'x', '__proto__', 'NaN', '\ud800', '\0', [], {}, [[]], [null], { length: 5 },
  [1e9, 1e9, 1e9], 'y'.repeat(5000), { kind: 'relu' },
]; // biome-ignore format: one list

/** The JSON with one to three of its values replaced, removed, doubled, or put under another name. */
function mutateJson(bytes, random) {
  const root = { value: JSON.parse(bytes.toString()) };
  const pick = (list) => list[Math.floor(random() * list.length)];
  for (let n = 1 + Math.floor(random() ** 2 * 3); n > 0; n--) {
    let [object, key] = [root, 'value'];
    while (typeof object[key] === 'object' && object[key] !== null && Object.keys(object[key]).length > 0 && random() < 0.8) {
      object = object[key];
      key = pick(Object.keys(object));
    }
    const how = random();
    if (how < 0.6) object[key] = structuredClone(pick(wild));
    else if (how < 0.75) delete object[key];
    else if (how < 0.9 && Array.isArray(object)) object.push(structuredClone(object[key]));
    else
      Object.defineProperty(object, pick(['__proto__', `${key}s`, 'toString', '']), {
        value: object[key],
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  return Buffer.from(JSON.stringify(root.value) ?? 'null');
}

/** A checkpoint from its header's JSON without the sum, and its data. */
function checkpointOf(info, tensors, data) {
  const sha256 = createHash('sha256').update(data).update(JSON.stringify(tensors)).update(info).digest('hex');
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'selfcompress-checkpoint', version: '2', info, sha256 }, ...tensors }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, data]);
}
function partsOf(file) {
  const end = 8 + Number(file.readBigUInt64LE());
  const { __metadata__: metadata, ...tensors } = JSON.parse(file.toString('utf8', 8, end));
  return { info: JSON.parse(metadata.info), tensors, data: file.subarray(end) };
}

async function makeCheckpoint() {
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-fuzz-made-'));
  const path = join(folder, 'checkpoint');
  try {
    const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset({ count: 64 }), epochs: 2, batchSize: 32, device: 'cpu' });
    trainer.on('step', ({ step }) => step === 3 && trainer.stop('step'));
    await trainer.run();
    const checkpoint = await trainer.checkpoint();
    await writeCheckpoint(path, checkpoint);
    await trainer.dispose();
    return { checkpoint, file: readFileSync(path) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const { checkpoint, file } = await makeCheckpoint();

const net = new NetworkBuilder([1, 2, 2]);
const flat = net.flatten('input');
const network1 = net.build(net.linear(net.relu(net.linear(flat, { outFeatures: 8, compress: true })), { outFeatures: 3, compress: false }));
const info1 = { name: 'toy', classes: 3, classNames: ['a', 'b', 'c'], mean: [0.5], std: [0.25] };
const parameters1 = Buffer.concat([Buffer.alloc(5), Buffer.alloc(4 * 8), Buffer.alloc(4 * 24), Buffer.alloc(4 * 3)]);
const version1File = version1(JSON.stringify({ network: network1, info: info1 }), parameters1);

const parameters = Object.fromEntries(Object.entries(checkpoint.state).filter(([name]) => !name.includes('/')));
const version2File = Buffer.from(
  await binding.encodeModelFile({
    network: checkpoint.description,
    state: parameters,
    metadata: { name: 'toy', classes: 4, mean: [0.5], std: [0.25] },
  }),
);

/** What `selfcompress inspect` does, where the network is small enough to be compiled for a batch. */
async function inspectFile(path) {
  const model = await loadModel(path);
  const { shapes, parameters: all } = inspectNetwork(model.network);
  const elements = (sizes) => sizes.reduce((a, b) => a * b, 1);
  const most = [...Object.values(shapes), ...all.map(({ shape }) => shape), model.network.input].reduce((sum, sizes) => sum + elements(sizes), 0);
  if (most > 20_000) return;
  const network = await compileModel(model, 'cpu');
  await measureSize(network, model.origin);
  await network.dispose();
}

const same = (bytes) => bytes;
const format = (name, contents, refusal, load, more = {}) => ({
  name,
  files: async () => ({ [more.file ?? 'file']: contents }),
  load: (folder) => load(join(folder, more.file ?? 'file')),
  refusal,
  mutate,
  unwrap: same,
  wrap: same,
  ...more,
});

export const savedFormats = [
  format('model 2', version2File, ['ModelFileError'], inspectFile, { file: 'a.scnn', wrap: withChecksum2 }),
  format('model 1', version1File, ['ModelFileError'], inspectFile, { file: 'a.scnn' }),
  format('model 1 json', version1File, ['ModelFileError'], inspectFile, {
    file: 'a.scnn',
    unwrap: structure1,
    mutate: mutateJson,
    wrap: (text) => version1(text, parameters1),
  }),
  format('checkpoint', file, ['CheckpointError'], readCheckpoint),
  format('checkpoint info', file, ['CheckpointError'], readCheckpoint, {
    unwrap: (bytes) => Buffer.from(JSON.stringify(partsOf(bytes).info)),
    mutate: mutateJson,
    wrap: (text) => checkpointOf(text.toString(), partsOf(file).tensors, partsOf(file).data),
  }),
  format('checkpoint tensors', file, ['CheckpointError'], readCheckpoint, {
    unwrap: (bytes) => Buffer.from(JSON.stringify(partsOf(bytes).tensors)),
    mutate: mutateJson,
    wrap: (text) => checkpointOf(JSON.stringify(partsOf(file).info), JSON.parse(text.toString()), partsOf(file).data),
  }),
  // As `selfcompress inspect` takes it: its tensors have to be those of its network.
  format('checkpoint inspect', file, ['CheckpointError', 'TypeError', 'RangeError'], inspectFile, {
    unwrap: (bytes) => Buffer.from(JSON.stringify(partsOf(bytes).info)),
    mutate: mutateJson,
    wrap: (text) => checkpointOf(text.toString(), partsOf(file).tensors, partsOf(file).data),
  }),
];
