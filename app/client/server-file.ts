import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { homedir } from 'node:os';
import { sha256Hex } from '../../core/content-hash.js';

/** `<store>/.refineloop/server.json`: where an embedded server listens. Gone once it has stopped. */
export interface ServerFile {
  address: string;
  namespace: string;
  ui: string;
  /** Base URL of the page that shows reports and artifacts. */
  web: string;
  pid: number;
}

/** Folder beside a store in which an embedded server keeps its database, its log and its address. */
export function embeddedFolder(storeUri: string): string {
  if (storeUri.startsWith('file:')) return join(fileURLToPath(storeUri), '.refineloop');
  // A name that every file system and database takes: readable as far as it goes, then the digest of the whole.
  const readable = storeUri.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 40);
  const state = process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state');
  return join(state, 'refineloop', `${readable}-${sha256Hex(storeUri).slice(0, 16)}`);
}

const ANSWER_TIMEOUT_MS = 2_000;

const fileOf = (storeUri: string): string => join(embeddedFolder(storeUri), 'server.json');

export async function writeServerFile(storeUri: string, server: ServerFile): Promise<void> {
  const file = fileOf(storeUri);
  await mkdir(embeddedFolder(storeUri), { recursive: true });
  await writeFile(`${file}.tmp`, `${JSON.stringify(server, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}

/**
 * The embedded server of a store, if it is up. One that was killed leaves its file behind, and its ports may be another
 * store's by now: so the page is asked which store it serves.
 */
export async function readServerFile(storeUri: string): Promise<ServerFile | undefined> {
  try {
    const server = JSON.parse(await readFile(fileOf(storeUri), 'utf8')) as ServerFile;
    const answer = await fetch(`${server.web}/server`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    const { store } = (await answer.json()) as { store: string };
    return store === storeUri ? server : undefined;
  } catch {
    return undefined;
  }
}

/** Takes this process's own word back; another's stays. */
export async function removeServerFile(storeUri: string): Promise<void> {
  const { pid } = (await readFile(fileOf(storeUri), 'utf8').then(JSON.parse, () => ({}))) as Partial<ServerFile>;
  if (pid === process.pid) await rm(fileOf(storeUri), { force: true });
}
