// docs/digits.html in Chromium (Debian: apt install chromium): a stroke is drawn, and the page says what it is and how long the file is.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import t from 'tap';
import { temporaryFolder } from './support.mjs';

const root = new URL('..', import.meta.url);
const browser = process.env.CHROMIUM ?? 'chromium';
const skip = !existsSync(new URL('dist/browser/engine.wasm', root))
  ? 'no dist/browser/engine.wasm: npm run build:wasm'
  : spawnSync(browser, ['--version']).status !== 0
    ? 'no chromium'
    : false;

/** Draws in the page, which is in a frame, and sends what it says. */
const harness = `<!doctype html><body><iframe src="/docs/digits.html" width="900" height="900"></iframe><script type="module">
const frame = document.querySelector('iframe');
const until = async (test) => { for (let i = 0; i < 400 && !test(); i++) await new Promise((done) => setTimeout(done, 50)); };
const strokes = { 1: [[140, 30], [140, 250]], 7: [[60, 50], [220, 50], [120, 250]], 0: Array.from({ length: 41 }, (_, i) => [140 + 70 * Math.sin(i / 40 * 2 * Math.PI), 140 - 100 * Math.cos(i / 40 * 2 * Math.PI)]) };
const send = (text) => fetch('/said', { method: 'POST', body: text });
addEventListener('unhandledrejection', ({ reason }) => send('failed: ' + reason));
const stateOf = () => frame.contentDocument?.getElementById('state')?.textContent ?? '';
await until(() => /bytes/.test(stateOf()));
const page = frame.contentDocument;
const lines = [stateOf()];
const paper = page.getElementById('paper');
for (const [digit, stroke] of Object.entries(strokes)) {
  page.getElementById('clear').click();
  const { left, top } = paper.getBoundingClientRect();
  stroke.forEach(([x, y], i) => paper.dispatchEvent(new frame.contentWindow.PointerEvent(i ? 'pointermove' : 'pointerdown', { clientX: left + x, clientY: top + y, buttons: 1, pointerId: 1 })));
  await until(() => page.getElementById('label').textContent !== '');
  await new Promise((done) => setTimeout(done, 100));
  lines.push(digit + ' is read as ' + page.getElementById('label').textContent + ', ' + page.querySelectorAll('.bar').length + ' bars');
}
await send(lines.join('\\n'));
</script></body>`;

const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
/** `heard` is called with what the harness sends. */
function serve(request, response, heard) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/harness.html') return response.writeHead(200, { 'content-type': 'text/html' }).end(harness);
  if (pathname === '/said')
    return request
      .setEncoding('utf8')
      .toArray()
      .then((parts) => response.end(heard(parts.join(''))));
  const file = new URL(`.${pathname}`, root);
  if (!/^\/(docs|dist)\//.test(pathname) || !existsSync(file)) return response.writeHead(404).end();
  return response.writeHead(200, { 'content-type': types[extname(pathname)] ?? 'application/octet-stream' }).end(readFileSync(file));
}

t.test('draw a digit', { skip, timeout: 150_000 }, async (t) => {
  let heard;
  const answer = new Promise((resolve) => {
    heard = resolve;
  });
  const server = createServer((request, response) => serve(request, response, heard)).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${temporaryFolder(t)}`];
  const child = spawn(browser, [...flags, `http://127.0.0.1:${server.address().port}/harness.html`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const late = setTimeout(() => heard('nothing in 100 seconds'), 100_000);
  const said = await Promise.race([answer, ended.then((status) => `chromium has ended with ${status}`)]);
  clearTimeout(late);
  child.kill();
  await ended;
  server.close();
  const size = statSync(new URL('docs/digits.scnn', root)).size.toLocaleString('en');
  t.match(said, `digits.scnn: ${size} bytes, input 1×28×28`);
  for (const digit of [0, 1, 7]) t.match(said, `${digit} is read as ${digit}, 10 bars`);
});
