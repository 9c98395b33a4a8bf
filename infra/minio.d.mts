import type { ChildProcess, StdioOptions } from 'node:child_process';

/** Keys of the servers that are started here. */
export const USER: string;
export const PASSWORD: string;

/** Path of a MinIO server, which is fetched or built where there is none. */
export function findOrInstallMinio(): Promise<string>;

/** Starts a server on the loopback interface, on a folder whose folders are its buckets, and waits until it answers. */
export function startMinio(options: {
  data: string;
  port: number | string;
  stdio?: StdioOptions;
}): Promise<{ server: ChildProcess; endpoint: string }>;
