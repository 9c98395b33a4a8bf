import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '../../core/recipe.js';

/** A device that a gpu worker can be started for, or could be if its provider's libraries were there. */
export interface Device {
  /** As the ledger names it. */
  id: string;
  provider: ExecutionProvider;
  what: string;
  /** Whether the provider's libraries lie beside ONNX Runtime. */
  ready: boolean;
}

const run = promisify(execFile);

/** Asks ONNX Runtime in a process of its own: native code that does not load must not end this one. */
const ASK = `
const { listSupportedBackends } = require('onnxruntime-node');
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');
const bin = join(dirname(require.resolve('onnxruntime-node/package.json')), 'bin', 'napi-v6', process.platform, process.arch);
const hasLibrary = (name) => [\`libonnxruntime_providers_\${name}.so\`, \`onnxruntime_providers_\${name}.dll\`].some((file) => existsSync(join(bin, file)));
console.log(JSON.stringify(listSupportedBackends().map(({ name, bundled }) => ({ name, ready: bundled || hasLibrary(name) }))));
`;

/** Devices of this machine by execution provider: its processors, and its NVIDIA cards as their driver lists them. */
export async function findDevices(): Promise<Device[]> {
  const backends = await findBackends();
  const cards = await nvidiaCards();
  return EXECUTION_PROVIDERS.flatMap((provider): Device[] => {
    const backend = backends.find(({ name }) => name === provider);
    if (!backend) return [];
    const found = provider === 'cpu' ? [`${availableParallelism()} cores`] : cards;
    return found.map((what, n) => ({ id: `${provider}:${n}`, provider, what, ready: backend.ready }));
  });
}

/** Whether the provider's libraries are there; a card and its driver are another matter. */
export async function hasProvider(provider: string): Promise<boolean> {
  return provider === 'cpu' || (await findBackends()).some(({ name, ready }) => name === provider && ready);
}

async function findBackends(): Promise<Array<{ name: string; ready: boolean }>> {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  const { stdout } = await run(process.execPath, ['-e', ASK], { cwd });
  return JSON.parse(stdout) as Array<{ name: string; ready: boolean }>;
}

/** Names in the order of their numbers; none where there is no driver. */
async function nvidiaCards(): Promise<string[]> {
  const { stdout } = await run('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader']).catch(() => ({ stdout: '' }));
  return stdout.split('\n').filter((line) => line.trim() !== '');
}
