// Figures of the experiments as SVG.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

/** A plot as a file of its own. */
export function svgFile(options) {
  const svg = Plot.plot({ document, style: { fontFamily: 'system-ui, sans-serif', fontSize: '13px', background: 'white' }, ...options });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return `${svg.outerHTML}\n`;
}

/** Test accuracy against the share of bits that is left, with plain training as a line. */
export function sweepPlot(results) {
  const plain = results.filter((r) => r.gamma === 'plain');
  const points = results.filter((r) => r.gamma !== 'plain').map((r) => ({ ...r, bits: r.bitsFraction * 100, accuracy: r.testAccuracy * 100 }));
  const level = (100 * plain.reduce((sum, r) => sum + r.testAccuracy, 0)) / plain.length;
  const left = Math.min(...points.map((p) => p.bits));
  const gammas = [...new Set(points.map((p) => p.gamma))].sort((a, b) => a - b);
  const means = gammas.map((gamma) => {
    const group = points.filter((p) => p.gamma === gamma);
    const mean = (name) => group.reduce((sum, p) => sum + p[name], 0) / group.length;
    return { bits: mean('bits'), accuracy: mean('accuracy'), label: `γ = ${gamma}` };
  });
  const low = Math.min(...points.map((p) => p.accuracy));
  return svgFile({
    width: 760,
    height: 380,
    marginLeft: 56,
    marginBottom: 46,
    x: {
      type: 'log',
      label: 'bits left of 32 for each weight (%)',
      tickFormat: '~g',
      domain: [left / 1.3, 100],
      ticks: [0.5, 1, 2, 3, 5, 10, 20, 50, 100],
    },
    y: { label: 'test accuracy (%)', grid: true, domain: [Math.floor(low * 2) / 2 - 0.5, Math.ceil(level * 2) / 2 + 0.5] },
    marks: [
      Plot.ruleY([level], { stroke: '#d55e00', strokeWidth: 1.5 }),
      Plot.ruleY([level - 0.3], { stroke: '#d55e00', strokeDasharray: '4 4' }),
      Plot.text([{ x: 100, y: level }], {
        x: 'x',
        y: 'y',
        text: () => `plain training ${level.toFixed(2)} %`,
        fill: '#d55e00',
        textAnchor: 'end',
        dy: -8,
      }),
      Plot.text([{ x: 100, y: level - 0.3 }], { x: 'x', y: 'y', text: () => '0.3 points below', fill: '#d55e00', textAnchor: 'end', dy: 12 }),
      Plot.lineY(means, { x: 'bits', y: 'accuracy', stroke: '#0072b2', strokeOpacity: 0.4, strokeWidth: 2 }),
      Plot.text(means, {
        x: 'bits',
        y: 'accuracy',
        text: 'label',
        textAnchor: 'start',
        dx: 8,
        dy: 16,
        fill: '#0072b2',
        stroke: 'white',
        strokeWidth: 4,
      }),
      Plot.dot(points, { x: 'bits', y: 'accuracy', fill: '#0072b2', r: 4.5 }),
    ],
  });
}
