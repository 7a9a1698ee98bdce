// Kernels compiled for one architecture at a time: what ptxas says of each, and its PTX.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findNvcc } from '../build/nvcc.mjs';
import { kernelName, root, run } from './plan.mjs';

export const nvcc = findNvcc();
const kernelFolder = 'native/backends/cuda/kernels';

/** Runs a command without blocking; returns what it wrote to both streams. */
function output(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root });
    let text = '';
    const keep = (part) => {
      text += part;
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${command} ${args.join(' ')}\n${text}`))));
  });
}

/** ptxas -v → [{symbol, registers, staticShared, spillBytes}] */
export function parsePtxas(text) {
  return text
    .split("Compiling entry function '")
    .slice(1)
    .map((part) => {
      const number = (pattern) => Number(pattern.exec(part)?.[1] ?? Number.NaN);
      const kernel = {
        symbol: part.slice(0, part.indexOf("'")),
        registers: number(/Used (\d+) registers/),
        staticShared: Number(/(\d+) bytes smem/.exec(part)?.[1] ?? 0), // not said where there is none
        spillBytes: number(/(\d+) bytes spill stores/) + number(/(\d+) bytes spill loads/),
      };
      if (!Number.isFinite(kernel.registers + kernel.spillBytes)) throw new Error(`ptxas did not say what a kernel takes:\n${part}`);
      return kernel;
    });
}

/** PTX → symbol → {bound, body}: threads of its launch bounds (0: none), instructions. */
export function parsePtx(text) {
  const entries = new Map();
  for (const [, symbol, head, body] of text.matchAll(/^(?:\.weak )?(?:\.visible )?\.entry (\w+)\(([^{]*)\{(.*?)^\}/gms))
    entries.set(symbol, { bound: Number(/\.maxntid (\d+)/.exec(head)?.[1] ?? 0), body });
  return entries;
}

async function compileFile(name, arch, folder) {
  const ptxFile = join(folder, `${basename(name, '.cu')}-${arch}.ptx`);
  const source = join(kernelFolder, name);
  await output(nvcc.path, [
    '-std=c++20',
    '-O3',
    '-Inative',
    '-Inative/backends',
    '-Inative/include',
    `-arch=compute_${arch}`,
    '-ptx',
    source,
    '-o',
    ptxFile,
  ]);
  const ptxas = nvcc.path.includes('/') ? join(dirname(nvcc.path), 'ptxas') : 'ptxas';
  const said = await output(ptxas, ['-v', '-O3', `-arch=sm_${arch}`, ptxFile, '-o', `${ptxFile}.cubin`]);
  const entries = parsePtx(readFileSync(ptxFile, 'utf8'));
  return parsePtxas(said).map((kernel) => ({ ...kernel, ...entries.get(kernel.symbol), arch, source: name }));
}

/** Every kernel of the files whose name begins with `prefix`: [{kernel, arch, source, registers, staticShared, spillBytes, bound, body}]. */
export async function compileKernels(architectures, prefix = '') {
  if (!nvcc.path) throw new Error(`Expected nvcc (looked for ${nvcc.tried.join(', ')})`);
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-resources-'));
  const waiting = readdirSync(join(root, kernelFolder))
    .filter((name) => name.endsWith('.cu') && name.startsWith(prefix))
    .flatMap((name) => architectures.map((arch) => [name, arch]));
  const kernels = [];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) kernels.push(...(await compileFile(...next, folder)));
  };
  try {
    await Promise.all(Array.from({ length: Number(process.env.SELFCOMPRESS_BUILD_JOBS ?? 2) }, worker));
  } finally {
    rmSync(folder, { recursive: true });
  }
  const names = run('c++filt', [], { input: kernels.map((k) => k.symbol).join('\n') }).split('\n');
  return kernels
    .map((kernel, i) => ({ ...kernel, kernel: kernelName(names[i]) }))
    .sort((a, b) => a.source.localeCompare(b.source) || a.kernel.localeCompare(b.kernel) || a.arch - b.arch);
}
