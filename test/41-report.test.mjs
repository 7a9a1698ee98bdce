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
  const html = renderReport({ title: 'toy <net> & more', config: { options: trainer.options }, history: trainer.history });
  const { document } = parseHTML(html);
  t.equal(document.querySelector('h1').textContent, 'toy <net> & more', 'text is escaped');
  t.ok(document.querySelectorAll('svg').length >= 4);
  t.equal(document.querySelectorAll('[src], link[href], script[src]').length, 0, 'nothing is loaded');
  for (const layer of ['conv1', 'conv2', 'conv3', 'linear']) t.match(html, layer);
  t.match(html, /Seconds per epoch|seconds/i);
});

t.test('a plain network and a single epoch have a report as well', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork({ compress: false }), data: toyDataset(), epochs: 1, batchSize: 64 });
  await trainer.run();
  const { document } = parseHTML(renderReport({ title: 'plain', config: {}, history: trainer.history }));
  t.ok(document.querySelectorAll('svg').length >= 2);
});
