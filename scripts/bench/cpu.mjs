// CPU kernels and the training step against PyTorch, in turn, on this machine: `npm run bench:cpu`
//   node scripts/bench/cpu.mjs [--json FILE] [--markdown FILE] [--rounds 5] [--only conv|depthwise|live|quantize|step|networks|peak]
//     [--networks vit-tiny,char-lm]
// Writes an array of {name, ratio, atLeast, aim, peer}; a ratio above 1 means that we are faster (or nearer to the ideal). With --only, what
// the files have of the other work stays, and the page says of each run what it measured.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { binding, inspectNetwork } from '../../dist/index.js';
import { scriptOptions } from '../experiments/runs.mjs';
import { bytesOf, convLine, label, leastMultiplyAdds, multiplyAdds, passes } from './convolutions.mjs';
import { geometricMean, median, nativeServer, pairedRatio, torchServer } from './servers.mjs';
import { networkByName, notebookOfWidth, stepTimer } from './step.mjs';

const options = scriptOptions({ json: '', markdown: '', rounds: '5', only: '', networks: '' });
const rounds = Number(options.rounds);
const ours = nativeServer();
const torch = torchServer();
if (!torch)
  throw new Error(
    'Expected PyTorch for python3 or /usr/bin/python3 (Debian: apt install python3-torch libopenblas0-openmp); PYTHON names another one',
  );
const peer = await torch.ask('version');
const results = [];
const add = (name, ratio, atLeast, aim, against = peer) => {
  results.push({ name, ratio: Number(ratio.toFixed(3)), atLeast, aim, peer: against });
  const mark = ratio >= aim ? 'aim' : ratio >= atLeast ? 'ok' : 'BELOW';
  console.log(
    `${name.padEnd(64)} ${ratio.toFixed(2).padStart(8)}   at least ${atLeast.toFixed(2).padStart(5)}   aim ${aim.toFixed(2).padStart(5)}   ${mark}`,
  );
};
const wanted = (group) => !options.only || options.only === group;
const threadCounts = [1, 2];
async function useThreads(count) {
  await ours.ask(`threads ${count}`);
  await torch.ask(`threads ${count}`);
  binding.setThreads(count);
}

const same = [
  [64, 64, 32, 3, 1],
  [64, 128, 32, 3, 1],
  [128, 128, 16, 3, 1],
  [256, 256, 8, 3, 1],
  [512, 512, 4, 3, 1],
  [256, 256, 8, 1, 0],
  [32, 32, 24, 5, 0],
  [64, 64, 8, 3, 1],
];
const weak = [
  [3, 64, 32, 3, 1],
  [1, 32, 28, 5, 0],
  [64, 64, 32, 1, 0],
];

async function benchConvolutions() {
  for (const [title, shapes, atLeast, aim, none] of [
    ['convolutions', same, 1, 1.3, 0.8],
    ['first layers and 1×1', weak, 1.5, 3, undefined],
  ]) {
    for (const threads of threadCounts) {
      await useThreads(threads);
      const ratios = [];
      for (const shape of shapes) {
        for (const pass of passes) {
          const line = convLine(pass, shape);
          ratios.push(
            await pairedRatio(
              () => ours.seconds(line),
              () => torch.seconds(line),
              rounds,
            ),
          );
          add(`conv ${label(shape)} ${pass}, ${threads} threads`, ratios.at(-1), none ?? atLeast, aim);
        }
      }
      add(`${title}: geometric mean, ${threads} threads`, geometricMean(ratios), atLeast, aim);
    }
  }
}

async function benchDepthwise() {
  await useThreads(2);
  const ratios = [];
  for (const [channels, size, kernel, padding] of [
    [64, 32, 3, 1],
    [128, 16, 5, 2],
    [256, 8, 3, 1],
  ]) {
    for (const pass of passes) {
      const line = `depthwise ${pass} ${channels} ${size} ${kernel} ${padding} 128`;
      const sides = [() => ours.seconds(line), () => torch.seconds(line)];
      ratios.push(await pairedRatio(...sides, rounds));
      add(`depthwise ${channels}, ${size}², ${kernel}×${kernel} ${pass}, 2 threads`, ratios.at(-1), 0, 1);
    }
  }
  add('depthwise: geometric mean, 2 threads', geometricMean(ratios), 1, 1.3);
}

/** Share of the FMA peak (direct-convolution operations), and quantizer against copying. */
async function benchPeak() {
  for (const threads of threadCounts) {
    await useThreads(threads);
    for (const shape of same.filter(([ins, , , kernel]) => ins >= 64 && kernel === 3)) {
      for (const pass of passes) {
        const share = await pairedRatio(
          () => ours.seconds(convLine(pass, shape)),
          async () => ((await ours.seconds('peak')) * multiplyAdds(shape)) / (1e9 * threads),
          rounds,
        );
        add(`share of FMA peak: ${label(shape)} ${pass}, ${threads} threads`, share, 0.75, 1, 'register tile in first-level cache');
      }
    }
  }
}

/**
 * Layers with dead channels, before their removal, against four ideals: the multiply-adds of the live channels by the direct
 * algorithm at the machine's peak; their share of what the whole layer costs us (Winograd's form, where it is taken, has transforms that
 * do not shrink with the product of the channels); the multiply-adds of the form with the fewest at the machine's peak, and then the
 * live planes at the speed of a copy; and the layer after removal. All are measured in each round.
 */
async function benchLive() {
  await useThreads(2);
  const percents = [75, 50, 25, 10];
  const lists = () => ({ peak: [], dense: [], floor: [], removed: [] });
  const ratios = percents.map(lists);
  for (const shape of same)
    for (const pass of passes) {
      const measured = percents.map(lists);
      for (let round = 0; round < rounds; round++) {
        const peakSeconds = (await ours.seconds('peak')) / 2e9; // of a multiply-add
        const copySeconds = (await ours.seconds('copy 16777216')) / (8 * 16777216); // of a byte
        const dense = await ours.seconds(convLine(pass, shape));
        for (const [i, percent] of percents.entries()) {
          const live = shape.slice(0, 2).map((n) => Math.round((n * percent) / 100));
          const removed = [...live, ...shape.slice(2)];
          const cost = await ours.seconds(`${convLine(pass, shape)} ${live.join(' ')}`);
          measured[i].peak.push((peakSeconds * multiplyAdds(removed)) / cost);
          measured[i].floor.push((peakSeconds * leastMultiplyAdds(pass, removed) + copySeconds * bytesOf(removed)) / cost);
          measured[i].dense.push((dense * live[0] * live[1]) / (shape[0] * shape[1]) / cost);
          measured[i].removed.push((await ours.seconds(convLine(pass, removed))) / cost);
        }
      }
      for (const [i, of] of measured.entries()) for (const key of Object.keys(of)) ratios[i][key].push(median(of[key]));
    }
  const row = (percent, what, values, against) => add(`${percent} % of channels live: ${what}`, geometricMean(values), 1 / 1.25, 1 / 1.1, against);
  for (const [i, percent] of percents.entries()) {
    row(percent, 'their multiply-adds at peak / cost', ratios[i].peak, 'register tile in first-level cache');
    row(percent, 'after removal / before', ratios[i].removed, 'the layer without its dead channels');
    row(percent, 'share of the whole layer / cost', ratios[i].dense, 'the same layer, all channels live');
    row(percent, 'fewest multiply-adds at peak, then planes at copy speed / cost', ratios[i].floor, 'register tile, streaming copy');
  }
}

async function benchQuantize() {
  await useThreads(2);
  for (const [pass, moved, atLeast, aim] of [
    ['forward', 2, 40, 100],
    ['backward', 3, 100, 150],
  ]) {
    const line = `quantize ${pass} 256 65536`;
    const copy = await pairedRatio(
      () => ours.seconds(line),
      async () => ((await ours.seconds('copy 16777216')) * moved) / 2,
      rounds,
    );
    add(`quantize ${pass}, 16.8 M weights: bytes moved / copy bandwidth`, copy, 0.8, 0.95, 'streaming copy by the same threads');
    add(
      `quantize ${pass}, 16.8 M weights`,
      await pairedRatio(
        () => ours.seconds(line),
        () => torch.seconds(line),
        rounds,
      ),
      atLeast,
      aim,
    );
  }
}

async function benchStep() {
  await useThreads(2);
  const timers = {
    plain: await stepTimer(notebookOfWidth(1, false)),
    dense: await stepTimer(notebookOfWidth(1)),
    bf16: await stepTimer(notebookOfWidth(1), { precision: 'bf16' }),
    small: await stepTimer(notebookOfWidth(0.42)),
  };
  const share = timers.small.weights / timers.dense.weights;
  const dense = () => torch.seconds('step compress 512');
  add('training step, notebook net, batch 512', await pairedRatio(timers.dense.seconds, dense, rounds), 1.6, 2.5);
  add('training step, notebook net, batch 512, bf16 against float32', await pairedRatio(timers.bf16.seconds, dense, rounds), 2, 3.5);
  add('training step, plain weights', await pairedRatio(timers.plain.seconds, () => torch.seconds('step plain 512'), rounds), 1.6, 2.5);
  add(
    `training step, ${(100 * share).toFixed(0)} % of the weights left, against the dense one`,
    await pairedRatio(timers.small.seconds, dense, rounds),
    6,
    10,
  );
  const quantizing = [];
  for (let i = 0; i < rounds; i++) quantizing.push(1 - (await timers.plain.seconds()) / (await timers.dense.seconds()));
  add('training step: plain weights / compressing', 1 - median(quantizing), 0.97, 0.99, 'our own step with plain weights');
  for (const timer of Object.values(timers)) await timer.dispose();
}

/** Steps of networks by name, compressing, against the same networks in PyTorch. */
async function benchNetworks() {
  await useThreads(2);
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-bench-'));
  const ratios = [];
  const all = [
    ['resnet20', [128]],
    ['mobilenetv2', [128]],
    ['vit-tiny', [64]],
    ['char-lm', [12, 64]],
  ];
  const chosen = all.filter(([name]) => !options.networks || options.networks.split(',').includes(name));
  for (const [name, batches] of chosen) {
    const description = networkByName(name);
    const file = join(folder, `${name}.json`);
    writeFileSync(file, JSON.stringify({ description, parameters: inspectNetwork(description).parameters }));
    const against = async (batch, precision) => {
      const timer = await stepTimer(description, { batch, least: 1, precision });
      const ratio = await pairedRatio(timer.seconds, () => torch.seconds(`network ${file} ${batch}`), rounds);
      await timer.dispose();
      return ratio;
    };
    for (const batch of batches) {
      ratios.push(await against(batch, 'fp32'));
      add(`training step, ${name}, batch ${batch}, 2 threads`, ratios.at(-1), 1.5, 3);
    }
    // Products are most of its step: what there is to gain is in their arithmetic.
    if (name === 'vit-tiny')
      add(`training step, ${name}, batch ${batches[0]}, 2 threads, bf16 against float32`, await against(batches[0], 'bf16'), 1.5, 3);
  }
  rmSync(folder, { recursive: true });
  if (chosen.length === all.length) add('training steps of networks by name: geometric mean', geometricMean(ratios), 1.5, 3);
}

const title = `selfcompress ${binding.info().version} (${binding.info().isa}) and ${peer} on ${cpus()[0].model} with ${cpus().length} cores; medians of ${rounds} interleaved rounds`;
console.log(title);
if (wanted('conv')) await benchConvolutions();
if (wanted('depthwise')) await benchDepthwise();
if (wanted('peak')) await benchPeak();
if (wanted('live')) await benchLive();
if (wanted('quantize')) await benchQuantize();
if (wanted('step')) await benchStep();
if (wanted('networks')) await benchNetworks();
/** What a file keeps, where only a part of the work was measured: its entries of other names. */
function kept(file, entries, nameOf) {
  if (!options.only || !existsSync(file)) return [];
  const measured = new Set(results.map(({ name }) => name));
  return entries(readFileSync(file, 'utf8')).filter((entry) => !measured.has(nameOf(entry)));
}

function markdownPage() {
  const row = (r) =>
    `| ${r.name} | ${r.ratio.toFixed(2)} | ${r.atLeast.toFixed(2)} | ${r.aim.toFixed(2)} | ${r.ratio >= r.aim ? '' : r.ratio >= r.atLeast ? 'below the aim' : '**below**'} | ${r.peer} |`;
  const lines = (pattern) => (text) => text.split('\n').filter((line) => pattern.test(line));
  const cell = (line) => line.split('|')[1].trim();
  const rows = [...kept(options.markdown, lines(/^\| (?!work |---)/), cell), ...results.map(row)];
  const own = `npm run bench:cpu --${options.only ? ` --only ${options.only}` : ''}${options.networks ? ` --networks ${options.networks}` : ''} --markdown docs/bench-cpu.md`;
  const runs = kept(options.markdown, lines(/^Written by /), () => '').filter((line) => !line.includes(own));
  const head = [
    ...runs,
    `Written by \`${own}\`: ${title}.`,
    'A ratio above 1 means that we are faster than the peer, or nearer to the ideal than asked for.',
  ];
  return `# CPU benches\n\n${head.join('\n')}\n\n| work | ratio | at least | aim | | against |\n| --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

if (options.json) {
  const all = [...kept(options.json, JSON.parse, ({ name }) => name), ...results];
  writeFileSync(options.json, `${JSON.stringify(all, undefined, 2)}\n`);
}
if (options.markdown) writeFileSync(options.markdown, markdownPage());
ours.close();
torch.close();
