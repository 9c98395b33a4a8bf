import type { ChildProcess, StdioOptions } from 'node:child_process';

/** Path of a Toxiproxy server, which is built where there is none. */
export function findOrInstallToxiproxy(): Promise<string>;

/** Starts a server on the loopback interface and waits until its API answers. */
export function startToxiproxy(options: { port: number; stdio?: StdioOptions }): Promise<{ server: ChildProcess; api: string }>;
