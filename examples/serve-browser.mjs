// A page that draws and reads digits in the browser: the model file and the engine as WebAssembly, no server behind it.
//   node serve-browser.mjs [digits.scnn] [port]
// Any server of files will do, and any bundler that knows `new URL(…, import.meta.url)`; this one is short.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const [model = 'digits.scnn', port = '8080'] = process.argv.slice(2);
const browser = dirname(fileURLToPath(import.meta.resolve('selfcompress/browser')));
const dist = dirname(browser); // modules of the engine lie beside its folder

const page = `<!doctype html>
<meta charset="utf-8">
<title>Digits</title>
<canvas width="28" height="28" style="width: 280px; height: 280px; background: black; touch-action: none"></canvas>
<p><output>Draw a digit.</output> <button>clear</button></p>
<script type="module">
import { loadModel } from '/selfcompress/browser/browser.js';
const model = await loadModel('/model.scnn');
const canvas = document.querySelector('canvas');
const context = canvas.getContext('2d', { willReadFrequently: true });
const clear = () => { context.fillStyle = 'black'; context.fillRect(0, 0, 28, 28); };
clear();
document.querySelector('button').onclick = clear;
canvas.onpointermove = async ({ buttons, offsetX, offsetY }) => {
  if (!buttons) return;
  context.fillStyle = 'white';
  context.beginPath();
  context.arc(offsetX / 10, offsetY / 10, 1.3, 0, 7);
  context.fill();
  const { label, probability } = await model.predict(context.getImageData(0, 0, 28, 28));
  document.querySelector('output').value = label + ' (' + Math.round(100 * probability) + ' %)';
};
document.documentElement.dataset.ready = '';
</script>`;

const types = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/') return response.setHeader('content-type', 'text/html').end(page);
  const path = pathname === '/model.scnn' ? resolve(model) : resolve(join(dist, pathname.replace(/^\/selfcompress\//, '')));
  const mayBe = pathname === '/model.scnn' || (pathname.startsWith('/selfcompress/') && path.startsWith(dist + sep));
  if (!mayBe || !existsSync(path)) return response.writeHead(404).end();
  response.setHeader('content-type', types[extname(path)] ?? 'application/octet-stream');
  return createReadStream(path).pipe(response);
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
