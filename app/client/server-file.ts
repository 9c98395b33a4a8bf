import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { homedir } from 'node:os';

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
  return join(process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'refineloop', encodeURIComponent(storeUri));
}

const fileOf = (storeUri: string): string => join(embeddedFolder(storeUri), 'server.json');

export async function writeServerFile(storeUri: string, server: ServerFile): Promise<void> {
  const file = fileOf(storeUri);
  await mkdir(embeddedFolder(storeUri), { recursive: true });
  await writeFile(`${file}.tmp`, `${JSON.stringify(server, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}

/** `undefined` where no embedded server has said that it is up. It may have been killed since: ask it. */
export async function readServerFile(storeUri: string): Promise<ServerFile | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(storeUri), 'utf8')) as ServerFile;
  } catch {
    return undefined;
  }
}

export async function removeServerFile(storeUri: string): Promise<void> {
  await rm(fileOf(storeUri), { force: true });
}
