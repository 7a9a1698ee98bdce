// npm run pack [-- --out DIR]: the packages that are published, as tarballs: the main one, which has no binary and lists the platforms'
// as optional dependencies, and @selfcompress/<platform>-<arch> for every folder of prebuilds/. The list is written here and not in
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

/** Platforms that there are binaries for: linux-x64, … */
function platforms(folder) {
  const binaries = (name) => readdirSync(join(folder, name)).filter((file) => file.endsWith('.node'));
  return existsSync(folder) ? readdirSync(folder).filter((name) => binaries(name).length > 0) : [];
}

function platformPackage(name, prebuilds, work, out) {
  const folder = join(work, name);
  const to = join(folder, 'prebuilds', name);
  mkdirSync(to, { recursive: true });
  const files = readdirSync(join(prebuilds, name)).filter((file) => file.endsWith('.node'));
  for (const file of files) cpSync(join(prebuilds, name, file), join(to, file));
  const [os, cpu] = name.split('-');
  const { version, license, repository, homepage, bugs } = manifest;
  const libc = ['glibc', 'musl'].filter((kind) => files.some((file) => file.includes(`.${kind}.`)));
  write(folder, 'package.json', {
    name: `@selfcompress/${name}`,
    version,
    description: `Native binary of selfcompress for ${name}`,
    ...{ license, repository, homepage, bugs },
    ...{ os: [os], cpu: [cpu], ...(libc.length && { libc }) },
    files: ['prebuilds'],
    preferUnplugged: true,
  });
  write(
    folder,
    'README.md',
    `The native binary of [selfcompress](${homepage}) for ${name}, which selfcompress installs as an optional dependency.\n`,
  );
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
  const { devDependencies, scripts, tap, ...published } = manifest;
  const optionalDependencies = Object.fromEntries(names.map((name) => [`@selfcompress/${name}`, manifest.version]));
  write(folder, 'package.json', { ...published, ...(names.length > 0 && { optionalDependencies }) });
  return packed(folder, out);
}

/** Makes the tarballs in `out`: { main, platforms: { 'linux-x64': path, … } }, with the binaries of the folder `prebuilds`. */
export function pack(out, prebuilds = join(root, 'prebuilds')) {
  const work = join(out, '.staging');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const names = platforms(prebuilds);
    return {
      main: mainPackage(names, work, out),
      platforms: Object.fromEntries(names.map((name) => [name, platformPackage(name, prebuilds, work, out)])),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { out: { type: 'string' } } });
  const out = resolve(values.out ?? join(root, 'build/packages'));
  const { main, platforms: others } = pack(out);
  for (const path of [main, ...Object.values(others)]) console.log(`${path}  ${(statSync(path).size / 1e6).toFixed(2)} MB`);
  if (Object.keys(others).length === 0) console.log('No binaries: npm run prebuild makes them');
}
