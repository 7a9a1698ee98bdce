// npm run bench:cuda: convolutions, quantizer and training steps on this machine's GPU, in turn with PyTorch (cuDNN) if python3 has
// a torch with CUDA. Ends in one table, which goes to docs/bench-cuda.md too. Without a GPU it says so, fails, and writes nothing.
//   --rounds 5         medians of so many rounds
//   --only conv        or quantize, step: prints, writes nothing
//   --precision bf16   of fp32, tf32 and bf16 (or two of them): prints, writes nothing
//   --unmeasured       needs no GPU: writes how many figures would be measured, and that none was
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { convLine, label, multiplyAdds, passes } from '../bench/convolutions.mjs';
import { median, nativeServer, torchServer } from '../bench/servers.mjs';
import { requireDevice } from './device.mjs';
import { notebook, resnet18 } from './networks.mjs';
import { root, run } from './plan.mjs';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    precision: { type: 'string' },
    unmeasured: { type: 'boolean' },
  },
});
const precisions = flags.precision?.split(',') ?? ['fp32', 'tf32', 'bf16'];
const writes = !flags.only && !flags.precision;
const shapes = [
  [3, 64, 32, 3, 1],
  [64, 64, 32, 3, 1],
  [128, 128, 16, 3, 1],
  [256, 256, 8, 3, 1],
  [512, 512, 4, 3, 1],
  [256, 256, 8, 1, 0],
  [32, 32, 24, 5, 0],
];

/** [{group, name, precision, ours, theirs}]: what to ask our server and PyTorch's; ours of a step: {network, batch}. */
function works() {
  const all = [];
  for (const precision of precisions) {
    for (const shape of shapes)
      for (const pass of passes) {
        const line = convLine(pass, shape);
        all.push({
          group: 'conv',
          name: `conv ${label(shape)} ${pass}, 128 images`,
          precision,
          ours: line,
          theirs: line,
          flops: 2 * multiplyAdds(shape),
        });
      }
    const half = `${convLine('forward', shapes[1])} 32 32`;
    all.push({
      group: 'conv',
      name: `conv ${label(shapes[1])} forward, half of the channels live`,
      precision,
      ours: half,
      flops: multiplyAdds(shapes[1]) / 2,
    });
    for (const [name, make, theirs] of [
      ['notebook net', notebook, 'step compress 512'],
      ['ResNet-18, 32×32', resnet18, 'step resnet18 512'],
    ]) {
      all.push({ group: 'step', name: `step of the ${name}, batch 512`, precision, ours: make(1), theirs });
      all.push({ group: 'step', name: `step of the ${name}, 0.42 of the channels left, against the dense one`, precision, ours: make(0.42), theirs });
    }
  }
  for (const pass of ['forward', 'backward']) {
    const line = `quantize ${pass} 512 32768`;
    const bytes = (pass === 'forward' ? 2 : 3) * 4 * 512 * 32768;
    all.push({ group: 'quantize', name: `quantize ${pass}, 16.8 M weights`, precision: 'fp32', ours: line, theirs: line, bytes });
  }
  return all.filter((work) => !flags.only || work.group === flags.only);
}

const microseconds = (seconds) => (seconds === undefined ? 'not measured' : (seconds * 1e6).toPrecision(3));
function rateOf({ flops, bytes, seconds }) {
  if (seconds === undefined) return '';
  if (flops) return `${(flops / seconds / 1e12).toPrecision(3)} TFLOP/s`;
  return bytes ? `${(bytes / seconds / 1e12).toPrecision(3)} TB/s` : '';
}
const ratioOf = ({ seconds, peerSeconds }) => (seconds && peerSeconds ? (peerSeconds / seconds).toFixed(2) : '');

function tableOf(results) {
  if (results.every(({ seconds }) => seconds === undefined)) return `${results.length} figures are to be measured, and none of them was.\n`;
  const rows = results.map(
    (r) =>
      `| ${r.name} | ${r.precision} | ${microseconds(r.seconds)} | ${rateOf(r)} | ${r.theirs ? microseconds(r.peerSeconds) : ''} | ${ratioOf(r)} |`,
  );
  return `| work | precision | µs | rate | PyTorch, µs | times as fast |\n| --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}
function writeTable(title, results) {
  const text = `# CUDA benches

${title}
PyTorch runs eagerly with cuDNN's own choice of algorithms, the better of its two memory formats; with bf16 its tensors are of
bfloat16 and its steps under autocast, while our tensors are float32 in every precision. Its times of steps are those of the dense network.

${tableOf(results)}`;
  writeFileSync(join(root, 'docs/bench-cuda.md'), text);
}

/** Medians of rounds in which both are measured, one after the other. */
async function measure(ours, theirs) {
  const [mine, peers] = [[], []];
  for (let round = 0; round < Number(flags.rounds); round++) {
    mine.push(await ours());
    if (theirs) peers.push(await theirs());
  }
  return { seconds: median(mine), peerSeconds: theirs ? median(peers) : undefined };
}

async function bench() {
  const device = requireDevice('bench:cuda');
  if (!process.env.SELFCOMPRESS_CUDA_LIBRARY) {
    const out = join(root, 'build/cuda-test');
    run(process.execPath, ['scripts/build/cuda.mjs', '--arch', String(device.computeCapability), '--out', out], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    process.env.SELFCOMPRESS_CUDA_LIBRARY = join(out, process.platform === 'win32' ? 'selfcompress-cuda.dll' : 'selfcompress-cuda.so');
  }
  const { stepTimer } = await import('../bench/step.mjs');
  const torch = torchServer('import torch; assert torch.cuda.is_available()');
  const peer = torch ? `${await torch.ask('version')} on ${await torch.ask('device cuda')}` : 'no PyTorch with CUDA was found';
  const results = [];
  const title = `Written by \`npm run bench:cuda\` on ${device.name}; ${peer}. Medians of ${flags.rounds} rounds.`;
  for (const precision of precisions) {
    if (precision !== 'fp32' && device.computeCapability < 80) continue;
    const server = nativeServer('cuda', precision);
    if (torch) await torch.ask(`precision ${precision}`);
    for (const work of works().filter((w) => w.precision === precision)) {
      const timer = work.group === 'step' ? await stepTimer(work.ours, { batch: 512, device: 'cuda', precision }) : undefined;
      const ours = timer ? timer.seconds : () => server.seconds(work.ours);
      const theirs = torch && work.theirs ? () => torch.seconds(work.theirs) : undefined;
      const result = { ...work, ...(await measure(ours, theirs)) };
      await timer?.dispose();
      results.push(result);
      // After each of them, so that an error later on loses nothing; what is not there yet says so.
      if (writes) writeTable(title, [...results, ...works().filter((w) => !results.some((r) => r.name === w.name && r.precision === w.precision))]);
      console.log(
        `${result.name}, ${precision}: ${microseconds(result.seconds)} µs ${rateOf(result)}, PyTorch ${microseconds(result.peerSeconds)} µs`,
      );
    }
    server.close();
  }
  torch?.close();
  console.log(`\n${title}\n\n${tableOf(results)}`);
  if (writes) writeTable(title, results);
}

if (flags.unmeasured) writeTable('Not measured: no GPU was there. `npm run bench:cuda` on a machine with one writes this file.', works());
else await bench();
