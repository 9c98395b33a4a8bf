import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { html } from 'hono/html';
import { RUN_ID_PATTERN } from '../../core/ids.js';
import type { Digest } from '../../core/types.js';
import { isArtifactLoss, type Store } from '../../engine/storage/index.js';

export interface WebServer {
  url: string;
  close(): Promise<void>;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** A file of a report, perhaps in a folder of its own: no name begins with a dot, so none leads upwards. */
const REPORT_FILE = /^\w[\w.-]*(\/\w[\w.-]*)*$/;
const HOST = '127.0.0.1';

/** Serves a store's reports and artifacts on the loopback interface: where links in the Temporal UI lead. */
export async function serveStore(store: Store, port: number): Promise<WebServer> {
  const app = new Hono();
  app.get('/', async (c) => {
    const runs = await store.listRuns();
    const rows = runs.map((run) => html`<li><a href="/runs/${run}/report/index.html">${run}</a></li>`);
    return c.html(
      html`<!doctype html><title>refineloop</title>
        <h1>Runs</h1>
        <ul>
          ${rows}
        </ul>`,
    );
  });
  // Which store this is: who finds an old address asks before he believes it.
  app.get('/server', (c) => c.json({ store: store.uri }));
  app.get('/runs/:run/report/:file{.+}', async (c) => {
    const { run, file } = c.req.param();
    if (!RUN_ID_PATTERN.test(run) || !REPORT_FILE.test(file)) return c.notFound();
    const bytes = await store.run(run).readReport(file);
    return bytes ? c.body(Buffer.from(bytes), 200, { 'content-type': mediaTypeOf(file) }) : c.notFound();
  });
  app.get('/artifacts/:digest', async (c) => {
    const { digest } = c.req.param();
    if (!DIGEST.test(digest)) return c.notFound();
    try {
      const bytes = await store.getArtifact(digest as Digest);
      // Content-addressed: what was served under this name once is what will always be.
      return c.body(Buffer.from(bytes), 200, {
        'content-type': sniff(bytes),
        'cache-control': 'public, max-age=31536000, immutable',
        'x-content-type-options': 'nosniff',
      });
    } catch (error) {
      if (isArtifactLoss(error)) return c.text(error.message, 404);
      throw error;
    }
  });
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: HOST, port }, ({ port: bound }) => {
      const close = () => new Promise<void>((done) => server.close(() => done()));
      resolve({ url: `http://${HOST}:${bound}`, close });
    });
    server.once('error', reject);
  });
}

function mediaTypeOf(file: string): string {
  const extension = file.split('.').at(-1)!;
  const pictures: Record<string, string> = { webp: 'image/webp', png: 'image/png' };
  const texts: Record<string, string> = {
    html: 'text/html',
    json: 'application/json',
    csv: 'text/csv',
    md: 'text/markdown',
    tex: 'text/x-tex',
  };
  return pictures[extension] ?? `${texts[extension] ?? 'application/octet-stream'}; charset=utf-8`;
}

/** Media type by the first bytes; texts as plain text, never as a page. */
function sniff(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  if (head.startsWith('\x89PNG')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'image/webp';
  if (head.startsWith('GIF8')) return 'image/gif';
  return 'text/plain; charset=utf-8';
}
