/** The one file that loads the native addon; its contract is binding.d.ts. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as Contents from '../binding.js';
import { withCode } from './errors.js';
import { packageRoot } from './package-root.js';

const require = createRequire(import.meta.url);
const platform = `${process.platform}-${process.arch}`;
/** By the C library, which node-gyp-build tells in the same way. */
const isMusl = process.platform === 'linux' && (process.env.LIBC ?? (existsSync('/etc/alpine-release') ? 'musl' : 'glibc')) === 'musl';
/** The package with the binary of this platform, an optional dependency of this one. */
const platformPackage = `@selfcompress/${platform}${isMusl ? '-musl' : ''}`;
/** The package with the CUDA backend's library, which is installed by itself: it is many times larger than everything else. */
const cudaPackage = `@selfcompress/cuda-${platform}`;

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

/** Folder of a package, where it is installed. */
function folderOf(name: string): string | undefined {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

const BUILD = 'Build it from source with: npx selfcompress build   (a C++20 compiler and cmake are needed)';

function missing(): string {
  const installed = folderOf(platformPackage);
  const why = installed
    ? `${platformPackage} is installed, but it has none for this C library.`
    : `The package ${platformPackage} is not installed: there is none for this platform, or the installation left out optional dependencies ` +
      `(--omit=optional, or a lock file that was made on another platform). Where there is one: npm install ${platformPackage}`;
  return `There is no native binary of selfcompress for ${platform}. ${why}\n${BUILD}`;
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

/** The addon looks for the CUDA library where this variable says, else beside itself. */
function useCudaPackage(): void {
  const folder = process.env.SELFCOMPRESS_CUDA_LIBRARY ? undefined : folderOf(cudaPackage);
  if (folder === undefined) return;
  const library = join(folder, 'prebuilds', platform, process.platform === 'win32' ? 'selfcompress-cuda.dll' : 'selfcompress-cuda.so');
  if (existsSync(library)) process.env.SELFCOMPRESS_CUDA_LIBRARY = library;
}

function load(): Binding {
  const installed = folderOf(platformPackage);
  const path = binaryIn(packageRoot) ?? (installed && binaryIn(installed));
  if (path === undefined) throw withCode(new Error(missing()), 'ERR_SELFCOMPRESS_ADDON');
  useCudaPackage();
  try {
    return require(path) as Binding;
  } catch (cause) {
    throw loadError(path, cause);
  }
}

export const binding: Binding = load();
export type * from '../binding.js';
