/** The one file that loads the native addon; its contract is binding.d.ts. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type * as Binding from '../binding.js';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));

function load(): typeof Binding {
  const nodeGypBuild = require('node-gyp-build') as (directory: string) => unknown;
  try {
    return nodeGypBuild(root) as typeof Binding;
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The native addon of selfcompress could not be loaded. Build it with: npm rebuild selfcompress\n${detail}`, { cause });
  }
}

export const binding = load();
export type * from '../binding.js';
