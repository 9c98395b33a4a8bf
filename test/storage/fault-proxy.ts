/** A small HTTP proxy in front of a real server, which fails some requests before they reach it or after. */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What becomes of a request: `slow down`: answered 503 SlowDown; `refuse`: answered 400; `cut`: the connection ends without an answer; `cut after`: it
 * does its work, and the connection ends without an answer; `cut body`: the connection ends in the middle of the answer.
 */
export type Fault = 'slow down' | 'refuse' | 'cut' | 'cut after' | 'cut body';

export interface FaultProxy {
  endpoint: string;
  /** Asked for each request, in order of coming; `undefined` lets it through. */
  fault: (request: IncomingMessage) => Fault | undefined;
  /** Methods and paths of all requests. */
  seen: string[];
  close(): void;
}

/** Starts a proxy on the loopback interface. The host's name goes through, since requests are signed for it. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const server = createServer((incoming, reply) => {
    const { method, url } = incoming;
    proxy.seen.push(`${method} ${url}`);
    const fault = proxy.fault(incoming);
    if (fault === 'cut') return void incoming.socket.destroy();
    if (fault === 'slow down' || fault === 'refuse') {
      const [status, code] = fault === 'slow down' ? [503, 'SlowDown'] : [400, 'InvalidRequest'];
      const answer = () => reply.writeHead(status).end(`<Error><Code>${code}</Code><Message>as the test wants</Message></Error>`);
      return void incoming.resume().on('end', answer);
    }
    const passed = request(target, { method, path: url, headers: incoming.headers }, (answer) => pass(answer, reply, fault));
    passed.on('error', () => incoming.socket.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: () => undefined,
    seen: [],
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  return proxy;
}

function pass(answer: IncomingMessage, reply: ServerResponse, fault: Fault | undefined): void {
  if (fault === 'cut after') return void answer.resume().on('end', () => reply.destroy());
  reply.writeHead(answer.statusCode!, answer.headers);
  if (fault !== 'cut body') return void answer.pipe(reply);
  answer.once('data', (part: Buffer) => {
    reply.write(part.subarray(0, Math.ceil(part.byteLength / 2)), () => reply.destroy());
    answer.destroy();
  });
}
