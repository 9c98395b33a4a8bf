/** A network between two processes that is slow, or resets connections, while it is asked to: a real Toxiproxy, by its HTTP API. */
import { once } from 'node:events';
import getPort from 'get-port';
import { startToxiproxy } from '../../infra/toxiproxy.mjs';

/** `latency`: {latency, jitter} in ms; `reset_peer`: {timeout} in ms, after which each connection is reset; others: github.com/Shopify/toxiproxy. */
export interface Toxic {
  type: 'latency' | 'reset_peer' | 'bandwidth' | 'timeout';
  attributes: Record<string, number>;
}

export interface Proxy {
  /** `host:port` that leads to the target. */
  address: string;
  /** Until {@link heal}. */
  poison(toxic: Toxic): Promise<void>;
  heal(): Promise<void>;
}

export interface Toxiproxy {
  /** @param target `host:port` */
  proxy(name: string, target: string): Promise<Proxy>;
  close(): Promise<void>;
}

export async function startProxies(): Promise<Toxiproxy> {
  const { server, api } = await startToxiproxy({ port: await getPort() });
  const call = async (method: string, path: string, body?: unknown) => {
    const reply = await fetch(`${api}${path}`, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    if (!reply.ok && reply.status !== 404) throw new Error(`Toxiproxy, ${method} ${path}: ${reply.status} ${await reply.text()}`);
  };
  return {
    proxy: async (name, target) => {
      const address = `127.0.0.1:${await getPort()}`;
      await call('POST', '/proxies', { name, listen: address, upstream: target, enabled: true });
      return {
        address,
        poison: ({ type, attributes }) =>
          call('POST', `/proxies/${name}/toxics`, { name: 'fault', type, stream: 'downstream', attributes }),
        heal: () => call('DELETE', `/proxies/${name}/toxics/fault`),
      };
    },
    close: async () => {
      const ended = once(server, 'exit');
      server.kill('SIGKILL');
      await ended;
    },
  };
}
