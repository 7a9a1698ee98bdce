// Processes that time one operation on request, one line in, one line out.
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export class Server {
  #child;
  #lines;
  constructor(command, args) {
    this.#child = spawn(command, args, { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }
  async ask(line) {
    this.#child.stdin.write(`${line}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnargs.join(' ')} ended at: ${line}`);
    return value;
  }
  seconds = async (line) => Number(await this.ask(line));
  close() {
    this.#child.stdin.end();
  }
}

/** Our kernels, built if need be ($SELFCOMPRESS_BENCH_SERVER: one that is built already); args: those of native/bench/bench_server.cpp. */
export function nativeServer(...args) {
  if (process.env.SELFCOMPRESS_BENCH_SERVER) return new Server(process.env.SELFCOMPRESS_BENCH_SERVER, args);
  for (const steps of [
    ['-S', '.', '-B', 'build/bench', '-DSELFCOMPRESS_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release'],
    ['--build', 'build/bench', '--target', 'bench_server', '--parallel', '2'],
  ]) {
    const { status, stdout } = spawnSync('cmake', steps, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    if (status !== 0) throw new Error(`cmake ${steps.join(' ')} failed\n${stdout}`);
  }
  return new Server('build/bench/bench_server', args);
}

/**
 * PyTorch in the first Python that passes the probe: $PYTHON alone if it is set, else the PATH's python3 and the system's, where
 * Debian's packages are (python3-torch libopenblas0-openmp). undefined: none.
 */
export function torchServer(probe = 'import torch') {
  for (const python of process.env.PYTHON ? [process.env.PYTHON] : ['python3', '/usr/bin/python3'])
    if (spawnSync(python, ['-c', probe], { stdio: 'ignore' }).status === 0) return new Server(python, ['scripts/bench/peer_torch.py']);
  return undefined;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length % 2 ? sorted[(sorted.length - 1) / 2] : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2;
}
export const geometricMean = (values) => Math.exp(values.reduce((sum, x) => sum + Math.log(x), 0) / values.length);

/** Median of b / a over rounds in which both are measured, one after the other. */
export async function pairedRatio(a, b, rounds) {
  const ratios = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % 2 ? await b() : await a();
    const second = round % 2 ? await a() : await b();
    ratios.push(round % 2 ? first / second : second / first);
  }
  return median(ratios);
}
