// report.html: one page that needs nothing else.

import { parseHTML } from 'linkedom';
import t from 'tap';
import { renderReport } from '../dist/report/report.js';
import { Trainer, toyDataset, toyNetwork } from './support.mjs';

t.test('curves and the heat map of bits, in one self-contained page', async (t) => {
  const trainer = Trainer.create({
    network: toyNetwork(),
    data: toyDataset(),
    epochs: 3,
    batchSize: 64,
    learningRate: 0.01,
    gamma: 0.3,
    bits: { learningRate: 0.3 },
  });
  await trainer.run();
  const confusion = await trainer.confusion();
  const html = renderReport({
    ...{ title: 'toy <net> & more', config: { options: trainer.options }, history: trainer.history },
    ...{ network: trainer.description, freezeEpoch: 2, confusion, classNames: ['a', 'b', 'c', '<d>'] },
  });
  const { document } = parseHTML(html);
  t.equal(document.querySelector('h1').textContent, 'toy <net> & more', 'text is escaped');
  t.ok(document.querySelectorAll('svg').length >= 4);
  t.equal(document.querySelectorAll('[src], link[href], script[src]').length, 0, 'nothing is loaded');
  const rows = [...document.querySelectorAll('table:not(.confusion) tr')].map((row) => [...row.children].map((cell) => cell.textContent));
  const { layers, testAccuracy } = trainer.history.at(-1);
  t.same(
    rows.slice(1, -1).map(([name, channels]) => [name, channels]),
    layers.map(({ name, channels, originalChannels }) => [name, `${channels}/${originalChannels}`]),
  );
  t.match(document.querySelector('.fact').textContent, `${(100 * testAccuracy).toFixed(1)} %`);
  const { accuracy } = await trainer.evaluate();
  const { count, labels } = trainer.data.test;
  t.same(
    confusion.map((row) => row.reduce((a, b) => a + b)),
    confusion.map((_, k) => labels.filter((label) => label === k).length),
  );
  t.ok(Math.abs(confusion.reduce((sum, row, k) => sum + row[k], 0) / count - accuracy) < 1e-9, 'the diagonal is what is right');
  t.same(
    [...document.querySelectorAll('table.confusion tr')].slice(1).map((row) => [...row.children].slice(0, -1).map((cell) => cell.textContent)),
    confusion.map((row, k) => [['a', 'b', 'c', '<d>'][k], ...row.map(String)]),
  );
  const graph = document.querySelector('svg.network');
  t.equal(graph.querySelectorAll('rect').length, trainer.description.nodes.length + 1);
  t.equal(graph.querySelectorAll('path[marker-end]').length, trainer.description.nodes.flatMap(({ inputs }) => inputs).length);
  for (const { name, channels, originalChannels } of layers)
    t.match(graph.textContent, new RegExp(`${name}: .*${channels} of ${originalChannels} channels`));
  t.equal([...document.querySelectorAll('svg')].filter((svg) => svg.textContent.includes('depths frozen')).length, 2);
  // The chart of seconds, below its heading: a point for each epoch, and its axis says what it shows.
  const speed = [...document.querySelectorAll('h2')].find((h) => h.textContent.startsWith('Speed')).nextElementSibling;
  const charts = [...speed.querySelectorAll('svg')];
  t.equal(charts.length, 2);
  t.match(charts[0].textContent, 'seconds of training per epoch');
  t.match(charts[1].textContent, 'images per second');
  for (const chart of charts) {
    const lines = [...chart.querySelectorAll('path')].map((path) => path.getAttribute('d').split(/[ML]/).length - 1);
    t.ok(lines.includes(trainer.history.length), `a line of ${trainer.history.length} points among ${lines}`);
  }
});

t.test('a plain network and a single epoch have a report as well', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork({ compress: false }), data: toyDataset(), epochs: 1, batchSize: 64 });
  await trainer.run();
  const { document } = parseHTML(renderReport({ title: 'plain', config: {}, history: trainer.history }));
  t.ok(document.querySelectorAll('svg').length >= 2);
});

t.test('many classes: the most frequent mistakes', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), epochs: 1, batchSize: 64 });
  await trainer.run();
  const confusion = Array.from({ length: 30 }, (_, right) => Array.from({ length: 30 }, (_, k) => (k === right ? 90 : k === 7 ? right : 0)));
  const { document } = parseHTML(renderReport({ title: 'many', config: {}, history: trainer.history, confusion }));
  const rows = [...document.querySelectorAll('table.confusion tr')].map((row) => [...row.children].map((cell) => cell.textContent));
  t.same(rows.slice(1, 3), [
    ['29', '7', '29'],
    ['28', '7', '28'],
  ]);
  t.equal(rows.length, 21);
});
