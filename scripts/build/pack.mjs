// npm run pack [-- --out DIR]: the packages that are published, as tarballs: the main one, which has no binary and lists the platforms'
// as optional dependencies, and for every folder of prebuilds/ @selfcompress/<platform>-<arch>, with -musl for that C library's, and
// @selfcompress/cuda-<platform>-<arch> for the CUDA library, which users install by themselves. The list is written here and not in
// package.json: a lock file of a clone would name packages that are not published yet.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const npm = (args, cwd) =>
  execFileSync('npm', args, { cwd, encoding: 'utf8', shell: process.platform === 'win32', stdio: ['ignore', 'pipe', 'inherit'] });
const packed = (folder, out) => join(out, JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', out], folder))[0].filename);
const write = (folder, name, value) =>
  writeFileSync(join(folder, name), typeof value === 'string' ? value : `${JSON.stringify(value, undefined, 2)}\n`);

const kinds = [
  { suffix: '', libc: 'glibc', pattern: /^(?!.*\.musl\.).*\.node$/, what: 'Native binary of selfcompress for' },
  { suffix: '-musl', libc: 'musl', pattern: /\.musl\.node$/, what: 'Native binary of selfcompress for' },
  { prefix: 'cuda-', pattern: /^selfcompress-cuda\.(so|dll)$/, what: "The CUDA backend's library of selfcompress for" },
];

/** The packages that the folder of binaries has files for: { name, platform: linux-x64, files, kind }. */
function binaryPackages(folder) {
  const platforms = existsSync(folder) ? readdirSync(folder) : [];
  return platforms.flatMap((platform) => {
    const all = readdirSync(join(folder, platform));
    return kinds.flatMap((kind) => {
      const files = all.filter((file) => kind.pattern.test(file));
      return files.length > 0 ? [{ name: `${kind.prefix ?? ''}${platform}${kind.suffix ?? ''}`, platform, files, kind }] : [];
    });
  });
}

function binaryPackage({ name, platform, files, kind }, prebuilds, work, out) {
  const folder = join(work, name);
  const to = join(folder, 'prebuilds', platform);
  mkdirSync(to, { recursive: true });
  for (const file of files) cpSync(join(prebuilds, platform, file), join(to, file));
  const [os, cpu] = platform.split('-');
  const { version, license, repository, homepage, bugs } = manifest;
  const isCuda = kind.libc === undefined;
  write(folder, 'package.json', {
    name: `@selfcompress/${name}`,
    version,
    description: `${kind.what} ${platform}`,
    ...{ license, repository, homepage, bugs },
    ...{ os: [os], cpu: [cpu], ...(os === 'linux' && { libc: [kind.libc ?? 'glibc'] }) },
    ...(isCuda && { peerDependencies: { selfcompress: version } }), // whose addon takes the library of its own version alone
    files: ['prebuilds'],
    preferUnplugged: true,
  });
  const how = isCuda ? 'which is found where it is installed beside selfcompress' : 'which selfcompress installs as an optional dependency';
  write(folder, 'README.md', `${kind.what} ${platform}, ${how}: [selfcompress](${homepage}).\n`);
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  return packed(folder, out);
}

function mainPackage(names, work, out) {
  const folder = join(work, 'selfcompress');
  const [{ files }] = JSON.parse(npm(['pack', '--dry-run', '--json', '--ignore-scripts'], root));
  for (const { path } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
  // What `selfcompress build` compiles with is headers alone: as a dependency Yarn would install node-gyp with it, 20 packages more.
  const headers = join(folder, 'native/node-addon-api');
  mkdirSync(headers, { recursive: true });
  for (const name of ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md'])
    cpSync(join(root, 'node_modules/node-addon-api', name), join(headers, name));
  const { devDependencies, scripts, tap, ...published } = manifest;
  const optionalDependencies = Object.fromEntries(names.map((name) => [`@selfcompress/${name}`, manifest.version]));
  write(folder, 'package.json', { ...published, ...(names.length > 0 && { optionalDependencies }) });
  return packed(folder, out);
}

/** Makes the tarballs in `out`: { main, platforms: { 'linux-x64': path, … }, cuda: {…} }, with the binaries of the folder `prebuilds`. */
export function pack(out, prebuilds = join(root, 'prebuilds')) {
  const work = join(out, '.staging');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const all = binaryPackages(prebuilds);
    const made = (list) => Object.fromEntries(list.map((one) => [one.name, binaryPackage(one, prebuilds, work, out)]));
    const optional = all.filter(({ kind }) => kind.libc);
    return {
      main: mainPackage(
        optional.map(({ name }) => name),
        work,
        out,
      ),
      platforms: made(optional),
      cuda: made(all.filter(({ kind }) => !kind.libc)),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { out: { type: 'string' } } });
  const out = resolve(values.out ?? join(root, 'build/packages'));
  const { main, platforms: others, cuda } = pack(out);
  for (const path of [main, ...Object.values(others), ...Object.values(cuda)]) console.log(`${path}  ${(statSync(path).size / 1e6).toFixed(2)} MB`);
  if (Object.keys(others).length === 0) console.log('No binaries: npm run prebuild makes them');
}
