// What rate-aware rounding gains: node scripts/experiments/squeeze.mjs [--data-dir DIR --dataset NAME --points 0,0.1,0.5] RUN|FILE...
// Prints Markdown: bytes of the model file before and after, accuracy on the training images that it was judged by and on the test images,
// which it never saw. Every file is read again, and its codes have to be those that were written.
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { examplesOf, labelsOf } from '../../dist/export/examples.js';
import { readTrained } from '../../dist/export/source.js';
import { binding, decodeModel, encodeModel, exportModel, loadDataset } from '../../dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dataset: { type: 'string', default: 'mnist' },
    'data-dir': { type: 'string' },
    points: { type: 'string', default: '0,0.1,0.5' },
    images: { type: 'string', default: '10000' },
  },
});
if (positionals.length === 0) throw new Error('Expected RUN or FILE but received none');
const count = Number(values.images);

async function rightOf(bytes, images, labels) {
  const model = await binding.loadModelFile({ bytes });
  const scores = await model.predict(images, labels.length);
  const classes = model.output[0];
  model.dispose();
  let right = 0;
  for (let i = 0; i < labels.length; i++) {
    const own = scores.subarray(i * classes, (i + 1) * classes);
    if (own.indexOf(Math.max(...own)) === labels[i]) right++;
  }
  return right;
}

const percent = (share) => `${(100 * share).toFixed(2)} %`;
const data = await loadDataset(values.dataset, { dataDir: values['data-dir'] });
console.log('| network | points | bytes | | codes changed | training images right | test images right | seconds |');
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const source of positionals) {
  const { network, info } = await readTrained(source);
  const [examples, tests] = [data.train, data.test].map((split) => examplesOf(split, network.input, info, Math.min(count, split.count)));
  const [labels, answers] = [data.train, data.test].map((split) => labelsOf(split, Math.min(count, split.count)));
  const row = (name, points, bytes, before, result, right, seconds) =>
    console.log(
      `| ${name} | ${points} | ${bytes} | ${before ? `${((100 * (bytes - before)) / before).toFixed(1)} %` : ''} | ${result.changed} | ${percent(result.accuracy)} | ${percent(right / answers.length)} | ${seconds} |`,
    );
  const whole = await exportModel(source, { format: 'scnn' });
  const accuracy = (await rightOf(whole, examples, labels)) / labels.length;
  row(basename(source), 'none', whole.length, 0, { changed: 0, accuracy }, await rightOf(whole, tests, answers), '');
  for (const points of values.points.split(',').map(Number)) {
    let result;
    const begin = performance.now();
    const squeeze = {
      points,
      examples,
      labels,
      report: (r) => {
        result = r;
      },
    };
    const bytes = await exportModel(source, { format: 'scnn', squeeze });
    const seconds = ((performance.now() - begin) / 1000).toFixed(0);
    const back = await decodeModel(bytes);
    const again = await encodeModel(back.network, back.state, back.info);
    if (Buffer.compare(bytes, again)) throw new Error(`${source}: encode(decode(file)) is another file`);
    row('', points, bytes.length, whole.length, result, await rightOf(bytes, tests, answers), seconds);
  }
}
