/** The real command line as child processes. What a test file starts here is stopped and removed when the file ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kill, processesNaming, until } from './processes.js';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** A command that runs. */
export interface RunningCli {
  pid: number;
  /** All output so far. */
  output(): { stdout: string; stderr: string };
  /** Waits for a text on either stream. Fails, with all output, where the command ends without it. */
  saw(text: string | RegExp): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  ended: Promise<CliResult>;
}

const running = new Set<ChildProcess>();
const folders: string[] = [];

/** A folder that is removed when the test file ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'refineloop-test-'));
  folders.push(folder);
  return folder;
}

/** Neither a server that the caller's shell names nor one of his profile takes part. */
function environment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const theirs = /^(TEMPORAL_|REFINELOOP_|OTEL_|FORCE_COLOR$|NO_COLOR$|NODE_OPTIONS$|JEST_)/;
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !theirs.test(name)));
  return { ...kept, XDG_CONFIG_HOME: join(tmpdir(), 'refineloop-no-profile'), ...extra };
}

export function startNode(args: string[], { env, cwd = ROOT }: CliOptions = {}): RunningCli {
  const child = spawn(process.execPath, args, { cwd, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<CliResult>((resolve) => {
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
  const over = () => child.exitCode !== null || child.signalCode !== null;
  const said = (text: string | RegExp) => [stdout, stderr].some((s) => (typeof text === 'string' ? s.includes(text) : text.test(s)));
  return {
    pid: child.pid!,
    output: () => ({ stdout, stderr }),
    saw: async (text) => {
      await until(`a command says ${String(text)}`, () => said(text) || over());
      if (!said(text)) throw new Error(`${args.join(' ')} ended (${child.exitCode}) without saying ${String(text)}:\n${stdout}${stderr}`);
    },
    signal: (signal) => kill(child.pid!, signal),
    ended,
  };
}

export function startCli(args: string[], options: CliOptions = {}): RunningCli {
  return startNode([join(ROOT, 'bin', 'refineloop.js'), ...args], options);
}

/** Runs a command to its end. */
export function cli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).ended;
}

/** Runs a command with `--json` and reads its one document; fails, with all output, where the exit code is another. */
export async function cliJson<T>(args: string[], code = 0, options: CliOptions = {}): Promise<T> {
  const result = await cli([...args, '--json'], options);
  if (result.code !== code) throw new Error(`${args.join(' ')} ended with ${result.code}, not ${code}:\n${result.stdout}${result.stderr}`);
  return JSON.parse(result.stdout) as T;
}

async function stopAll(): Promise<void> {
  for (const child of running) child.kill('SIGTERM');
  await until('commands have ended on request', () => running.size === 0, 20_000).catch(() => undefined);
  for (const child of running) child.kill('SIGKILL');
  await until('killed commands are gone', () => running.size === 0, 10_000);
  for (const folder of folders) {
    // Servers end by themselves when their command is gone; should one not, it is named by the test's own folder.
    const left = () => processesNaming(folder);
    await until('servers are gone', () => left().length === 0, 10_000).catch(() => left().forEach(({ pid }) => kill(pid, 'SIGKILL')));
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

afterAll(stopAll, 60_000);
