#!/usr/bin/env node
// Called by prebuildify in place of node-gyp; its arguments (target, headers) do not matter to a Node-API addon.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const install = fileURLToPath(new URL('install.mjs', import.meta.url));
process.exit(spawnSync(process.execPath, [install, '--force'], { stdio: 'inherit' }).status ?? 1);
