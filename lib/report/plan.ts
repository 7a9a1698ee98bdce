/** The program that a network was compiled to, as text. */
import type { PlanBuffer, StepPlan } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { alignTable } from './text.js';

const numberText = (value: number): string => `${value}`.replace(/\B(?=(\d{3})+$)/g, ' ');

/** Which operations a buffer is needed by: 3–17, or – for none. */
function lifetimeText({ first, last }: PlanBuffer, operations: number): string {
  if (first < 0) return '–';
  return `${first}–${last < operations ? last : 'end'}`;
}

/** Two tables, of the operations in their order by sections and of the buffers, and the sums. */
export function planText(plan: StepPlan): string {
  const { operations, buffers, arenaBytes, unsharedBytes, multiplyAdds } = plan;
  const rows = operations.map((o, i) => [
    `${o.section}`,
    `${i}`,
    [o.operation, ...o.epilogues.map((name) => `+ ${name}`)].join(' '),
    o.node ?? '',
    o.shape,
    o.multiplyAdds > 0 ? numberText(o.multiplyAdds) : '',
    [...o.buffers.map((buffer) => `b${buffer}`), ...o.batch.map((part) => `batch ${part}`)].join(', '),
  ]);
  const sizes = buffers.map((buffer, i) => [
    `b${i}`,
    numberText(buffer.bytes),
    `${buffer.offset}`,
    lifetimeText(buffer, operations.length),
    buffer.first < 0 ? '' : (operations[buffer.first]?.node ?? ''),
  ]);
  const left = new Set(['operation', 'node', 'shape', 'buffers', 'used first for']);
  return [
    alignTable([['section', '', 'operation', 'node', 'shape', 'multiply-adds', 'buffers'], ...rows], left),
    '',
    alignTable([['buffer', 'bytes', 'place', 'operations', 'used first for'], ...sizes], left),
    '',
    `${operations.length} operations, ${numberText(multiplyAdds)} multiply-adds in products of a whole batch with all channels`,
    `${bytesText(arenaBytes)} (${numberText(arenaBytes)}) of buffers by lifetime, ${bytesText(unsharedBytes)} (${numberText(unsharedBytes)}) one after the other`,
  ].join('\n');
}
