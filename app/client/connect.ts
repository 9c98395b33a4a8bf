import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { readServerFile } from './server-file.js';
import { ServiceUnreachable } from './service-unreachable.js';
import { tracing } from './tracing.js';

export interface ConnectOptions {
  /** `host:port`; goes before everything else. */
  address?: string;
  namespace?: string;
  /** Absolute URI of the store, whose embedded server is asked where no server is named. */
  storeUri: string;
}

/** Settings of a connection as the SDK takes them, and where they came from. */
export interface ConnectionSettings {
  connectionOptions: NonNullable<ReturnType<typeof loadClientConnectConfig>['connectionOptions']>;
  namespace: string;
  source: 'option' | 'environment' | 'embedded';
  ui: string | null;
  web: string | null;
}

/**
 * Which server to talk to: `--address`, else Temporal's own environment variables and profile file, else the
 * embedded server of the store; `null` where nothing names one.
 */
export async function findServer({ address, namespace, storeUri }: ConnectOptions): Promise<ConnectionSettings | null> {
  const profile = loadClientConnectConfig();
  const fromEnvironment = profile.connectionOptions?.address;
  if (address !== undefined || fromEnvironment) {
    return {
      connectionOptions: { ...profile.connectionOptions, ...(address === undefined ? {} : { address }) },
      namespace: namespace ?? profile.namespace ?? 'default',
      source: address === undefined ? 'environment' : 'option',
      ui: null,
      web: null,
    };
  }
  const server = await readServerFile(storeUri);
  if (!server) return null;
  return {
    connectionOptions: { address: server.address },
    namespace: server.namespace,
    source: 'embedded',
    ui: server.ui,
    web: server.web,
  };
}

/** A client and how to close it. */
export interface OpenClient {
  client: Client;
  settings: ConnectionSettings;
  close(): Promise<void>;
}

/**
 * Connects to a server that was found.
 * @throws ServiceUnreachable naming the address
 */
export async function connect(settings: ConnectionSettings): Promise<OpenClient> {
  const { connectionOptions, namespace } = settings;
  // Only workers stop where traces are set up wrongly.
  const traces = await tracing().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}; nothing is traced\n`);
    return null;
  });
  try {
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: '5 seconds' });
    const close = async () => {
      await connection.close();
      await traces?.flush();
    };
    const interceptors = traces ? { workflow: [traces.clientInterceptor] } : {};
    return { client: new Client({ connection, namespace, interceptors }), settings, close };
  } catch (error) {
    const where = connectionOptions.address ?? 'localhost:7233';
    throw new ServiceUnreachable(`no Temporal server answers on ${where}; start one, or leave the address out and one is started for you`, {
      cause: error,
    });
  }
}

/** The server that answers, or `null`; an embedded one that is gone is no error, a server that was named is. */
export async function connectIfAny(options: ConnectOptions): Promise<OpenClient | null> {
  const settings = await findServer(options);
  if (!settings) return null;
  try {
    return await connect(settings);
  } catch (error) {
    if (settings.source === 'embedded') return null;
    throw error;
  }
}
