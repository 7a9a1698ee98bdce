// A sound file of every format that the readers know, and how it is read.
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readPytorch } from '../../dist/data/pytorch.js';
import { elementsOf, idx, npy, npz, pickledTensor, pytorch, safetensors } from '../../test/data-support.mjs';
import {
  loadDataset,
  loadImageMasks,
  loadJsonLines,
  loadNpy,
  loadNpz,
  loadSafetensors,
  loadTable,
  loadText,
  loadTokenizer,
} from '../../test/support.mjs';

const range = (count) => Array.from({ length: count }, (_, i) => i);
const bytes = (count) => Buffer.from(range(count).map((i) => (i * 37) % 251));
const sharp = (await import('sharp').catch(() => undefined))?.default;

const mnist = {
  'train-images-idx3-ubyte': idx([6, 4, 4], bytes(96)),
  'train-labels-idx1-ubyte': idx([6], [0, 1, 2, 3, 4, 5]),
  't10k-images-idx3-ubyte': idx([2, 4, 4], bytes(32)),
  't10k-labels-idx1-ubyte': idx([2], [7, 8]),
};
const gzipped = Object.fromEntries(Object.entries(mnist).map(([name, contents]) => [name, gzipSync(contents)]));
const cifar = Object.fromEntries(
  [...range(5).map((i) => `data_batch_${i + 1}.bin`), 'test_batch.bin'].map((name, i) => [
    name,
    Buffer.concat([Buffer.from([i]), bytes(3072), Buffer.from([9]), bytes(3072)]),
  ]),
);
const arrays = (deflate) =>
  npz(
    {
      x_train: npy('<f4', [4, 3, 5], range(60)),
      y_train: npy('>i8', [4], [0, 1, 2, 0]),
      x_test: npy(
        '<f2',
        [2, 3, 5],
        bytes(60).map((v) => v & 0x3f),
        { fortran: true, version: 2 },
      ),
      y_test: npy('|u1', [2], [1, 2]),
    },
    { deflate },
  );
const tensors = safetensors({
  'train.images': { dtype: 'F16', shape: [4, 1, 2, 2], data: Buffer.alloc(32, 0x31) },
  'train.targets': { dtype: 'F64', shape: [4, 2], data: elementsOf('f8', range(8)) },
  'test.images': { dtype: 'F32', shape: [2, 1, 2, 2], data: elementsOf('f4', range(8)) },
  'test.targets': { dtype: 'F32', shape: [2, 2], data: elementsOf('f4', range(4)) },
});
const state = pytorch(
  {
    epoch: 3,
    state_dict: {
      'conv.weight': pickledTensor({ count: 24, shape: [2, 3, 2] }),
      'conv.bias': pickledTensor({ key: '1', type: 'torch.HalfStorage', count: 4, shape: [2, 2], strides: [1, 2] }),
      counter: pickledTensor({ key: '2', type: 'torch.LongStorage', count: 1, shape: [] }),
    },
  },
  { 0: elementsOf('f4', range(24)), 1: Buffer.alloc(8, 0x31), 2: elementsOf('i8', [5]) },
);
const table = (delimiter) =>
  Buffer.from(
    ['size', '"colour, name"', 'kind'].join(delimiter) +
      '\r\n' +
      range(40)
        .map((i) => [i % 7 === 3 ? 'NA' : (i * 1.5).toFixed(2), i % 3 ? '"red ""x"""' : 'blue', i % 2 ? 'cat' : 'dog'].join(delimiter))
        .join('\n'),
  );
const lines = Buffer.from(
  range(12)
    .map((i) =>
      JSON.stringify({
        input: [
          [i, i / 2],
          [1, -2.5e-3],
        ],
        target: i % 2 ? 'a' : 'b',
      }),
    )
    .join('\n'),
);
const texts = Buffer.from(
  range(12)
    .map((i) => JSON.stringify({ input: `text ${i} é😀`.repeat(1 + (i % 3)), target: i }))
    .join('\n'),
);
const prose = Buffer.from('To be, or not to be — that is the question: 😀\n'.repeat(30));
const numbers = Buffer.from(
  range(30)
    .map((i) => `${i},${i % 5 === 2 ? '' : i / 8},${i % 2 ? 'x' : 'y'}`)
    .join('\n'),
);
const tokenizer = Buffer.from(
  JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2, '<u>': 3 }, merges: ['a b'], unk_token: '<u>', fuse_unk: false, byte_fallback: false },
  }),
);

/** Images of all kinds, made once. */
let pictures;
async function images() {
  if (pictures) return pictures;
  const raw = (channels) => sharp(bytes(12 * 10 * channels), { raw: { width: 12, height: 10, channels } });
  pictures = {
    'train/a/0.png': await raw(3).png().toBuffer(),
    'train/a/1.jpg': await raw(3).withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    'train/b/0.webp': await raw(4).webp().toBuffer(),
    'train/b/1.gif': await raw(3).gif().toBuffer(),
    'test/a/0.tiff': await raw(1).toColourspace('b-w').tiff().toBuffer(),
    'test/b/0.png': await raw(3).png({ palette: true }).toBuffer(),
  };
  return pictures;
}
let masked;
async function masks() {
  if (masked) return masked;
  const { 'train/a/0.png': image } = await images();
  const mask = await sharp(Buffer.from(range(120).map((i) => i % 3)), { raw: { width: 12, height: 10, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
  masked = { 'train/images/0.png': image, 'train/masks/0.png': mask, 'test/images/0.png': image, 'test/masks/0.png': mask };
  return masked;
}

const same = (contents) => contents;
const format = (name, files, load, more = {}) => ({
  name,
  files: typeof files === 'function' ? files : async () => files,
  load,
  unwrap: same,
  wrap: same,
  ...more,
});
/** Damaged before it is compressed, or after. */
const zipped = { unwrap: gunzipSync, wrap: (contents) => gzipSync(contents) };
const isText = { isText: true };

export const formats = [
  format('idx', mnist, (dataDir) => loadDataset('mnist', { dataDir })),
  format('idx.gz', gzipped, (dataDir) => loadDataset('mnist', { dataDir })),
  format('idx in gz', gzipped, (dataDir) => loadDataset('mnist', { dataDir }), zipped),
  format('cifar', cifar, (dataDir) => loadDataset('cifar10', { dataDir })),
  format('npy', { 'images.npy': npy('<f4', [8, 2, 2], range(32)), 'labels.npy': npy('<i4', [8], range(8)) }, (folder) => loadNpy(folder), isText),
  format('npz', { 'a.npz': arrays(true) }, (folder) => loadNpz(join(folder, 'a.npz'))),
  format('npz stored', { 'a.npz': arrays(false) }, (folder) => loadNpz(join(folder, 'a.npz'))),
  format('safetensors', { 'a.safetensors': tensors }, (folder) => loadSafetensors(join(folder, 'a.safetensors')), isText),
  format('pytorch', { 'a.pth': state }, (folder) => readPytorch(join(folder, 'a.pth'))),
  format('csv', { 'a.csv': table(',') }, (folder) => loadTable(join(folder, 'a.csv'), { target: 'kind' }), isText),
  format('csv numbers', { 'a.csv': numbers }, (folder) => loadTable(join(folder, 'a.csv'), { target: 0, header: false }), isText),
  format('tsv in gz', { 'a.tsv.gz': gzipSync(table('\t')) }, (folder) => loadTable(join(folder, 'a.tsv.gz'), { target: 'kind' }), {
    ...isText,
    ...zipped,
  }),
  format('json lines', { 'a.jsonl': lines }, (folder) => loadJsonLines(join(folder, 'a.jsonl')), isText),
  format('json texts', { 'a.jsonl': texts }, (folder) => loadJsonLines(join(folder, 'a.jsonl')), isText),
  format('text', { 'a.txt': prose }, (folder) => loadText(join(folder, 'a.txt'), { length: 8 }), isText),
  format(
    'tokenizer',
    { 'tokenizer.json': tokenizer, 'a.txt': Buffer.from('abab ba\n'.repeat(40)) },
    (folder) => loadTokenizer(join(folder, 'tokenizer.json')).then((given) => loadText(join(folder, 'a.txt'), { length: 4, tokenizer: given })),
    isText,
  ),
  ...(sharp
    ? [
        format('images', images, (dataDir) => loadDataset('images', { dataDir })),
        format('masks', masks, (folder) => loadImageMasks(folder, { classes: 3 })),
      ]
    : []),
];
