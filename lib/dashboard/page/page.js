// The dashboard in the browser: asks the server for new lines of the chosen runs and draws their figures anew.
import { bitsHeatMap, lineChart, sizeChart } from '../../report/figures.ts';

const EVERY_MS = 1000;
/** Run → its epochs so far. */
const histories = new Map();
const chosen = new Set();
let known = [];

const get = async (path) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
};

function drawRuns(names) {
  if (names.join('\n') === known.join('\n')) return;
  const form = document.getElementById('runs');
  for (const name of names.filter((run) => !known.includes(run))) {
    if (known.length === 0) chosen.add(name);
    const label = document.createElement('label');
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = chosen.has(name);
    box.addEventListener('change', () => {
      if (box.checked) chosen.add(name);
      else chosen.delete(name);
      refresh();
    });
    label.append(box, name);
    form.append(label);
  }
  known = names;
}

function section(title, figures, wide = false) {
  const element = document.createElement('section');
  if (wide) element.className = 'wide';
  const heading = document.createElement('h2');
  heading.textContent = title;
  const row = document.createElement('div');
  row.className = 'maps';
  row.append(...figures);
  element.append(heading, row);
  return element;
}

/** A curve for each run, or for each measure where there is one run. */
function curves(title, measures, options) {
  const runs = [...chosen].filter((run) => histories.get(run)?.length);
  const series = runs.flatMap((run) =>
    Object.entries(measures).map(([name, of]) => ({
      name: runs.length === 1 ? name : Object.keys(measures).length === 1 ? run : `${run} ${name}`,
      values: histories.get(run).map(of),
    })),
  );
  return section(title, [lineChart(document, series, { hover: true, ...options })]);
}

function draw() {
  const runs = [...chosen].filter((run) => histories.get(run)?.length);
  const main = document.getElementById('charts');
  if (runs.length === 0) return main.replaceChildren('No epoch of a chosen run is done yet.');
  const both = (train, test) => (runs.length > 1 ? { test } : { train, test });
  const outcomes = runs.flatMap((run) => histories.get(run).map((m) => ({ run, epoch: m.epoch, accuracy: m.testAccuracy, bytes: m.modelBytes })));
  const [first] = runs;
  return main.replaceChildren(
    curves(
      'Accuracy',
      both(
        (m) => m.trainAccuracy,
        (m) => m.testAccuracy,
      ),
      { label: 'accuracy', percent: true },
    ),
    curves(
      'Loss',
      both(
        (m) => m.trainLoss,
        (m) => m.testLoss,
      ),
      { label: 'loss', logarithmic: true },
    ),
    curves(
      'Size',
      runs.length > 1
        ? { bits: (m) => m.bitsFraction }
        : { bits: (m) => m.bitsFraction, weights: (m) => m.weightsFraction, channels: (m) => m.channelsFraction },
      { label: 'left of the original network', percent: true, from: 0 },
    ),
    curves('Model file', { 'model file': (m) => m.modelBytes / 1000 }, { label: 'kilobytes', from: 0 }),
    section('Accuracy against size', [sizeChart(document, outcomes, runs)]),
    curves('Speed', { 'images/s': (m) => m.imagesPerSecond }, { label: 'images per second', from: 0 }),
    curves('Learning rate', { 'learning rate': (m) => m.learningRate }, { label: 'at the end of the epoch', from: 0 }),
    curves('Factor of the size penalty', { γ: (m) => m.gamma }, { label: 'γ', from: 0 }),
    section(
      `Bits of every channel: ${first}`,
      histories
        .get(first)
        .at(-1)
        .layers.map(({ name }) => bitsHeatMap(document, histories.get(first), name)),
      true,
    ),
  );
}

function drawNow(live) {
  const step = live?.step;
  document.getElementById('now').textContent = step
    ? `${live.run}: epoch ${step.epoch}, step ${step.stepInEpoch} of ${step.stepsPerEpoch}, loss ${step.loss.toFixed(4)}, ${step.bitsPerWeight.toFixed(2)} bits per weight, ${step.imagesPerSecond.toFixed(0)} images/s`
    : '';
}

let drawn = '';
async function refresh() {
  const { runs, live } = await get('runs');
  drawRuns(runs);
  drawNow(live);
  for (const run of chosen) {
    const have = histories.get(run) ?? [];
    const more = await get(`metrics?run=${encodeURIComponent(run)}&from=${have.length}`);
    histories.set(run, [...have, ...more]);
  }
  const state = JSON.stringify([...chosen].map((run) => [run, histories.get(run)?.length]));
  if (state !== drawn) draw();
  drawn = state;
}

async function loop() {
  try {
    await refresh();
  } catch {
    document.getElementById('now').textContent = 'The server does not answer: the run may have ended.';
  }
  setTimeout(loop, EVERY_MS);
}
loop();
