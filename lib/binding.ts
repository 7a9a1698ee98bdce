/** The one file that loads the native addon; its contract is binding.d.ts. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type * as Contents from '../binding.js';
import { withCode } from './errors.js';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * What is thrown when the addon did not load. An environment variable that it refuses is the user's to correct: the error names
 * it, what it wants and what it got. Anything else is an addon that is missing, or built for something else.
 */
function loadError(cause: unknown): Error {
  const detail = cause instanceof Error ? cause.message : String(cause);
  if ((cause as { code?: unknown } | null)?.code === 'ERR_SELFCOMPRESS_ENVIRONMENT') {
    return withCode(new Error(detail, { cause }), 'ERR_SELFCOMPRESS_ENVIRONMENT');
  }
  const advice = 'The native addon of selfcompress could not be loaded. Build it with: npm rebuild selfcompress';
  return withCode(new Error(`${advice}\n${detail}`, { cause }), 'ERR_SELFCOMPRESS_ADDON');
}

type Contract = typeof Contents;
/** What the addon has: the functions and classes of binding.d.ts. */
export interface Binding extends Contract {}

function load(): Binding {
  const nodeGypBuild = require('node-gyp-build') as (directory: string) => unknown;
  try {
    return nodeGypBuild(root) as Binding;
  } catch (cause) {
    throw loadError(cause);
  }
}

export const binding: Binding = load();
export type * from '../binding.js';
