/** A collector of traces: OTLP over HTTP as JSON, on a free port of the loopback address. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Span {
  service: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: Record<string, unknown>;
}

type Value = { stringValue?: string; intValue?: number; doubleValue?: number };
type Attributes = Array<{ key: string; value: Value }>;
interface Request {
  resourceSpans: Array<{
    resource: { attributes: Attributes };
    scopeSpans: Array<{ spans: Array<Omit<Span, 'attributes'> & { attributes: Attributes }> }>;
  }>;
}

export async function startTraceReceiver(): Promise<{ url: string; spans: Span[]; close(): Promise<void> }> {
  const spans: Span[] = [];
  const server = createServer((request, reply) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces') spans.push(...read(JSON.parse(Buffer.concat(chunks).toString()) as Request));
      reply.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, spans, close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(() => resolve()))) };
}

const plain = (attributes: Attributes): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value.doubleValue]));

function read({ resourceSpans }: Request): Span[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({ ...span, attributes: plain(span.attributes), service: String(plain(resource.attributes)['service.name']) })),
    ),
  );
}
