import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openStore } from '../../engine/storage/index.js';
import { serveStore, type WebServer } from './serve.js';

let folder: string;
let server: WebServer;
const get = (path: string) => fetch(new URL(path, server.url));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'refineloop-web-'));
  const store = await openStore(pathToFileURL(folder).href);
  await store.run('r').writeReport('index.html', '<p>page</p>');
  await store.run('r').writeReport('pictures/ab.webp', Buffer.from('picture'));
  await writeFile(join(folder, 'secret.html'), 'secret');
  server = await serveStore(store, 0);
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

test('serves a report and the files that it leads to, each as what it is', async () => {
  const page = await get('/runs/r/report/index.html');
  expect([page.headers.get('content-type'), await page.text()]).toEqual(['text/html; charset=utf-8', '<p>page</p>']);
  const picture = await get('/runs/r/report/pictures/ab.webp');
  expect([picture.headers.get('content-type'), await picture.text()]).toEqual(['image/webp', 'picture']);
});

test.each(['../../../secret.html', '..%2F..%2F..%2Fsecret.html', 'pictures/%2e%2e/%2e%2e/%2e%2e/secret.html', 'pictures/', 'none.html'])(
  'finds nothing at %s',
  async (path) => {
    const response = await get(`/runs/r/report/${path}`);
    expect(response.status).toBe(404);
  },
);
