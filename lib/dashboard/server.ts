/** The dashboard: a page that shows runs while they are trained, for this machine alone unless another address is asked for. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';
import { findRuns, metricLines } from './runs.js';

export interface DashboardOptions {
  /** A run's folder, or a folder of runs. */
  folder: string;
  /** 0: any that is free. */
  port: number;
  host?: string;
  /** The run that this process trains, and where it is, as JSON. */
  live?: () => { run: string; step?: unknown } | undefined;
}

export interface Dashboard {
  url: string;
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>selfcompress</title>
<link rel="stylesheet" href="page.css"><link rel="icon" href="data:,"></head>
<body><h1>selfcompress</h1><form id="runs" aria-label="Runs"></form><p id="now" role="status"></p><main id="charts"></main>
<script type="module" src="page.js"></script></body></html>
`;

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
};

function send(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  response.writeHead(status, { ...HEADERS, 'Content-Type': `${type}; charset=utf-8` });
  response.end(body);
}

/** A page elsewhere that has its name point to this machine would name itself as host. */
const isLocalHost = (host: string | undefined) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host ?? '');

async function answer(request: IncomingMessage, response: ServerResponse, { folder, host = LOOPBACK, live }: DashboardOptions): Promise<void> {
  if (host === LOOPBACK && !isLocalHost(request.headers.host))
    return send(response, 403, 'text/plain', 'Expected a request for this machine by name\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'Expected GET\n');
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  if (pathname === '/') return send(response, 200, 'text/html', page);
  if (pathname === '/page.js' || pathname === '/page.css') {
    const type = pathname.endsWith('js') ? 'text/javascript' : 'text/css';
    return send(response, 200, type, await readFile(join(packageRoot, 'dist/dashboard', pathname)));
  }
  const runs = await findRuns(folder);
  if (pathname === '/runs') return send(response, 200, 'application/json', JSON.stringify({ runs: [...runs.keys()], live: live?.() }));
  const run = runs.get(searchParams.get('run') ?? '');
  const from = Number(searchParams.get('from') ?? 0);
  if (pathname === '/metrics' && run !== undefined && Number.isSafeInteger(from) && from >= 0)
    return send(response, 200, 'application/json', `[${(await metricLines(run, from)).join(',')}]`);
  return send(response, 404, 'text/plain', 'There is no such page\n');
}

/**
 * Starts the server; it does not keep the process alive by itself once `close` is called.
 * @throws Error when the port is taken
 */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { port, host = LOOPBACK } = options;
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: Error) => {
      if (response.headersSent) response.destroy();
      else send(response, 500, 'text/plain', `${error.message}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'it is taken' : error.message;
      reject(new Error(`The dashboard cannot be served at port ${port} of ${host}: ${why}`, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
