// Sizes of trained networks as files: node scripts/experiments/sizes.mjs [--data-dir DIR --dataset NAME] RUN|FILE...
// Prints Markdown: float32 weights, our file and its parts, ONNX in floats and integers, each through gzip -9 and xz -9e;
// codes beside their entropy of order 0. Parts are differences: of the file without exponents, without codes, without biases.
import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { examplesOf } from '../../dist/export/examples.js';
import { readLayers } from '../../dist/export/layers.js';
import { readTrained } from '../../dist/export/source.js';
import { encodeModel, exportModel, loadDataset } from '../../dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dataset: { type: 'string', default: 'mnist' }, 'data-dir': { type: 'string' } },
});
if (positionals.length === 0) throw new Error('Expected RUN or FILE but received none');

const xz = (bytes) => {
  const { stdout, status, error } = spawnSync('xz', ['-9e', '-c'], { input: bytes, maxBuffer: 1 << 30 });
  if (error || status !== 0) throw new Error(`xz: ${error?.message ?? status}`);
  return stdout.length;
};

/** Bits that independent codes of these frequencies need. */
function entropy(codes) {
  const counts = new Map();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / codes.length);
  return bits;
}

/** The parameters with every exponent 0, or with all codes 0 as well, or with biases and norms 0 too. */
function without(layers, state, what) {
  const result = { ...state };
  for (const { node, codes, parameters } of layers) {
    if (codes) {
      const none = what !== 'exponents';
      result[`${node.name}.weight`] = Float32Array.from(codes.codes, (code) => (none ? 0 : code));
      result[`${node.name}.exponent`] = new Float32Array(codes.scale.length);
      result[`${node.name}.bitDepth`] = Float32Array.from(codes.bits, (bits) => (none ? 0 : bits));
    }
    if (what !== 'biases') continue;
    for (const suffix of Object.keys(parameters)) {
      const name = `${node.name}.${suffix}`;
      if (!codes || suffix !== 'weight') result[name] = new Float32Array(state[name].length).fill(suffix === 'runningVar' ? 1 : 0);
    }
  }
  return result;
}

const rows = [];
const parts = [];
const data = await loadDataset(values.dataset, { dataDir: values['data-dir'] });
for (const source of positionals) {
  const { network, state, info } = await readTrained(source);
  const trained = await readLayers(network, state);
  const name = basename(source);
  const calibration = examplesOf(data.train, network.input, info, 512);
  const files = {
    '.scnn': await exportModel(source, { format: 'scnn' }),
    'ONNX, floats': await exportModel(source, { format: 'onnx', foldNorms: true }),
    'ONNX, integers': await exportModel(source, { format: 'onnx', arithmetic: 'integer', calibration }),
  };
  const weights = trained.layers.reduce((sum, { parameters }) => sum + Object.values(parameters).reduce((n, v) => n + v.length, 0), 0);
  for (const [form, bytes] of Object.entries(files)) rows.push([name, form, bytes.length, gzipSync(bytes, { level: 9 }).length, xz(bytes)]);
  const size = async (what) => (await encodeModel(trained.description, without(trained.layers, trained.state, what), info)).length;
  const whole = files['.scnn'].length;
  const [noExponents, noCodes, structure] = [await size('exponents'), await size('codes'), await size('biases')];
  const coded = trained.layers.filter(({ codes }) => codes);
  const order0 = coded.reduce((sum, { codes }) => sum + entropy(codes.codes), 0) / 8;
  const codes = coded.reduce((sum, layer) => sum + layer.codes.codes.length, 0);
  const codeBytes = noExponents - noCodes;
  parts.push([
    name,
    weights * 4,
    whole,
    codeBytes,
    Math.round(order0),
    (codeBytes / order0).toFixed(3),
    whole - noExponents,
    noCodes - structure,
    structure,
    codes,
  ]);
}
const table = (head, body) => [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const text = (cells) => cells.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell));
console.log(table(['network', 'file', 'bytes', 'gzip -9', 'xz -9e'], rows.map(text)));
console.log(
  `\n${table(['network', 'float32', '.scnn', 'codes, depths', 'entropy of order 0', 'ratio', 'exponents', 'biases, norms', 'structure', 'codes (number)'], parts.map(text))}`,
);
