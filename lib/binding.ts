/** The one file that loads the native addon; its contract is binding.d.ts. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type * as Contents from '../binding.js';
import { withCode } from './errors.js';
import { packageRoot } from './package-root.js';

const require = createRequire(import.meta.url);
/** The package with the binary of this platform, an optional dependency of this one. */
const platformPackage = `@selfcompress/${process.platform}-${process.arch}`;

type Contract = typeof Contents;
/** What the addon has: the functions and classes of binding.d.ts. */
export interface Binding extends Contract {}

const nodeGypBuild = require('node-gyp-build') as ((directory: string) => unknown) & { path(directory: string): string };

/** The binary in a package: built there, or prebuilt for this platform and its C library. */
function binaryIn(directory: string): string | undefined {
  try {
    return nodeGypBuild.path(directory);
  } catch {
    return undefined; // which it says by an error
  }
}

/** Folder of the platform's package, where it is installed. */
function platformFolder(): string | undefined {
  try {
    return dirname(require.resolve(`${platformPackage}/package.json`));
  } catch {
    return undefined;
  }
}

const BUILD = 'Build it from source with: npx selfcompress build   (a C++20 compiler and cmake are needed)';

function missing(): string {
  const installed = platformFolder();
  const why = installed
    ? `${platformPackage} is installed, but it has none for this C library (musl is built from source).`
    : `The package ${platformPackage} is not installed: there is none for this platform, or the installation left out optional dependencies ` +
      `(--omit=optional, or a lock file that was made on another platform). Where there is one: npm install ${platformPackage}`;
  return `There is no native binary of selfcompress for ${process.platform}-${process.arch}. ${why}\n${BUILD}`;
}

/**
 * What is thrown when the addon did not load. An environment variable that it refuses is the user's to correct: the error names
 * it, what it wants and what it got. Anything else is an addon that was built for something else.
 */
function loadError(path: string, cause: unknown): Error {
  const detail = cause instanceof Error ? cause.message : String(cause);
  if ((cause as { code?: unknown } | null)?.code === 'ERR_SELFCOMPRESS_ENVIRONMENT') {
    return withCode(new Error(detail, { cause }), 'ERR_SELFCOMPRESS_ENVIRONMENT');
  }
  return withCode(
    new Error(`The native binary of selfcompress, ${path}, could not be loaded: ${detail}\n${BUILD}`, { cause }),
    'ERR_SELFCOMPRESS_ADDON',
  );
}

function load(): Binding {
  const installed = platformFolder();
  const path = binaryIn(packageRoot) ?? (installed && binaryIn(installed));
  if (path === undefined) throw withCode(new Error(missing()), 'ERR_SELFCOMPRESS_ADDON');
  try {
    return require(path) as Binding;
  } catch (cause) {
    throw loadError(path, cause);
  }
}

export const binding: Binding = load();
export type * from '../binding.js';
