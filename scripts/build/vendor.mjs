// Libraries that come inside dist/vendor/, so that users do not install them and what hangs on them: every module of dist/ that
// imports one imports its bundle. Their licences go to dist/vendor/LICENSES.txt.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { build } from 'esbuild';

/** What is imported → its file in dist/vendor/. */
const bundled = {
  '@observablehq/plot': 'plot.js',
  linkedom: 'linkedom.js',
  '@bufbuild/protobuf/wire': 'protobuf-wire.js',
};

/** Folder of the package that a file of node_modules belongs to. */
function packageFolder(file) {
  let folder = dirname(file);
  while (
    basename(dirname(folder)) !== 'node_modules' &&
    !(basename(dirname(dirname(folder))) === 'node_modules' && basename(dirname(folder)).startsWith('@'))
  )
    folder = dirname(folder);
  return folder;
}

function licence(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), 'utf8').trim() : 'The package has no text of its licence.'}\n`;
}

/** Licences of the packages whose files went into bundles, as esbuild's metafiles tell them. */
export function licences(metafiles, root) {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs)).filter((file) => file.includes('node_modules/'));
  const folders = [...new Set(inputs.map((file) => packageFolder(join(root, file))))].sort();
  return folders.map(licence).join(`\n${'-'.repeat(100)}\n\n`);
}

const specifiers = /(\bfrom\s*|\bimport\s*\(?\s*)(['"])([@a-z][\w./:@-]*)\2/g;

/** Every import of another package, in a module's or a declaration's text. */
const imports = (text) => [...text.matchAll(specifiers)].map(([, , , name]) => name);

/** Packages that users have: dependencies, and those they may install. */
function known(root) {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return new Set([
    ...Object.keys(dependencies),
    ...Object.keys(peerDependencies),
    ...builtinModules,
    ...builtinModules.map((name) => `node:${name}`),
  ]);
}

/** Bundles the libraries into dist/vendor/ and lets the modules of dist/ import them there. */
export async function vendor(root) {
  const dist = join(root, 'dist');
  const folder = join(dist, 'vendor');
  mkdirSync(folder, { recursive: true });
  const metafiles = [];
  for (const [name, file] of Object.entries(bundled)) {
    const { metafile } = await build({
      stdin: { contents: `export * from '${name}';`, resolveDir: root },
      outfile: join(folder, file),
      absWorkingDir: root,
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      external: ['canvas'], // which linkedom would draw with
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
      legalComments: 'none',
      logLevel: 'warning',
      metafile: true,
    });
    metafiles.push(metafile);
  }
  const users = known(root);
  for (const file of readdirSync(dist, { recursive: true })) {
    if (!/\.(js|d\.ts)$/.test(file) || file.startsWith('vendor')) continue;
    const path = join(dist, file);
    const text = readFileSync(path, 'utf8');
    const replaced = text.replace(specifiers, (all, before, quote, name) => {
      if (!bundled[name] || !file.endsWith('.js')) return all;
      const to = relative(dirname(path), join(folder, bundled[name])).replaceAll('\\', '/');
      return `${before}${quote}${to.startsWith('.') ? to : `./${to}`}${quote}`;
    });
    if (replaced !== text) writeFileSync(path, replaced);
    const unknown = imports(replaced).filter((name) => ![...users].some((user) => name === user || name.startsWith(`${user}/`)));
    if (unknown.length > 0)
      throw new Error(
        `dist/${file} imports ${unknown.join(', ')}: expected a dependency of package.json, or one of the libraries that scripts/build/vendor.mjs bundles`,
      );
  }
  return metafiles;
}
