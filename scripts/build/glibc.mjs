// Libraries to link against in place of this machine's C library, so that an addon which is built here runs on an older one too.
// They have no code: only the names and symbol versions that this machine's library still offers of the older one. What the older
// one lacks altogether is in glibc-shim.c, which is linked in.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const newer = (a, b) => {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number));
  for (let i = 0; i < 3; i++) if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  return false;
};

/** Symbols of a library that were there in glibc `newest`: name → { version, type, size }. */
function symbolsUpTo(library, newest, readelf) {
  const text = execFileSync(readelf, ['-W', '--dyn-syms', library], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const found = new Map();
  for (const line of text.split('\n')) {
    const [, size, type, name, version] =
      /^\s*\d+: [0-9a-f]+\s+(\d+) (\w+)\s+(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+ ([^@\s]+)@@?GLIBC_([\d.]+)$/.exec(line) ?? [];
    if (!name || newer(version, newest) || (found.has(name) && newer(found.get(name).version, version))) continue;
    found.set(name, { version, type, size: Number(size) });
  }
  if (found.size === 0) throw new Error(`Expected symbols with versions in ${library} but found none`);
  return found;
}

function assembly(symbols) {
  const lines = [];
  for (const [name, { type, size }] of symbols) {
    const data = type === 'OBJECT';
    lines.push(data ? '.data' : type === 'TLS' ? '.section .tbss,"awT",@nobits' : '.text', `.globl ${name}`);
    lines.push(
      `.type ${name}, ${data ? '@object' : type === 'TLS' ? '@tls_object' : '@function'}`,
      `.size ${name}, ${size}`,
      `${name}: .zero ${data ? size : 8}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function versionScript(symbols) {
  const names = new Map();
  for (const [name, { version }] of symbols) names.set(version, [...(names.get(version) ?? []), name]);
  return [...names].map(([version, list]) => `GLIBC_${version} { global: ${list.join('; ')}; };`).join('\n');
}

/**
 * Makes the libraries in `folder`. `libraries` are paths of this machine's, `alias` sonames of libraries that later became part
 * of libc.so.6: an addon names them, so that older systems load them.
 */
export function makeStubs({ folder, newest, libraries, alias, compiler, readelf }) {
  mkdirSync(folder, { recursive: true });
  const link = (soname, source, extra) => {
    const plain = join(folder, soname.replace(/\.so.*/, '.so'));
    execFileSync(compiler, ['-shared', '-nostdlib', `-Wl,-soname,${soname}`, ...extra, '-o', plain, source]);
  };
  for (const library of libraries) {
    const soname = library.slice(library.lastIndexOf('/') + 1);
    const symbols = symbolsUpTo(library, newest, readelf);
    const [source, script] = [join(folder, `${soname}.s`), join(folder, `${soname}.map`)];
    writeFileSync(source, assembly(symbols));
    writeFileSync(script, versionScript(symbols));
    link(soname, source, [`-Wl,--version-script=${script}`]);
  }
  const empty = join(folder, 'empty.s');
  writeFileSync(empty, '.text\n');
  for (const soname of alias) link(soname, empty, []);
}

/** @throws Error when an addon needs something that glibc `newest` and a system of its time do not have */
export function checkNeeds(addon, newest, readelf) {
  const versions = execFileSync(readelf, ['-W', '-V', addon], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const glibc = [...versions.matchAll(/Name: GLIBC_([\d.]+)/g)].map(([, version]) => version);
  const newestNeeded = glibc.reduce((a, b) => (newer(b, a) ? b : a), '0');
  if (newer(newestNeeded, newest)) throw new Error(`${addon} needs GLIBC_${newestNeeded}; expected ${newest} at most`);
  const dynamic = execFileSync(readelf, ['-W', '-d', addon], { encoding: 'utf8' });
  const needed = [...dynamic.matchAll(/NEEDED.*\[(.*)\]/g)].map(([, name]) => name);
  const allowed = /^(libc|libm|libpthread|libdl|libgcc_s|ld-linux-[\w-]+)\.so\.\d$/;
  const others = needed.filter((name) => !allowed.test(name));
  if (others.length > 0) throw new Error(`${addon} needs ${others.join(', ')}`);
  const symbols = execFileSync(readelf, ['-W', '--dyn-syms', addon], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const missing = [...symbols.matchAll(/GLOBAL\s+DEFAULT\s+UND (\S+)$/gm)]
    .map(([, name]) => name)
    .filter((name) => !/@|^(napi|node_api)_/.test(name));
  if (missing.length > 0) throw new Error(`${addon} has symbols that nobody defines: ${missing.join(', ')}`);
  return { glibc: newestNeeded, needed };
}
