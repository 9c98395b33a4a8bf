/** What set-up, build and tests share: running a command as a step with one line, and saying what to do when it fails. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';

/** Thrown when a step failed. `message` says what failed and what to do. */
export class StepError extends Error {}

let printed = false;

/** Whether any step had something to do. */
export const didSomething = () => printed;

/** One line on stderr: stdout belongs to what comes after (`--json`). */
export function say(line) {
  printed = true;
  process.stderr.write(`${line}\n`);
}

/** Runs a step and prints one line with the seconds it took. */
export async function step(title, work) {
  const isTerminal = process.stderr.isTTY;
  const started = Date.now();
  printed = true;
  process.stderr.write(isTerminal ? `  ${title} ...` : `  ${title} ...\n`);
  try {
    const result = await work();
    process.stderr.write(`${isTerminal ? '\r' : ''}  ${title}: done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
    return result;
  } catch (error) {
    if (isTerminal) process.stderr.write('\n');
    throw error;
  }
}

/** Runs a command quietly; throws a {@link StepError} with the last lines of its output if it fails. */
export function run(command, args, options = {}) {
  const shown = [command, ...args].join(' ');
  return new Promise((resolve, reject) => {
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-20_000);
    };
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', (error) => reject(new StepError(failure(shown, error.message, options.hint))));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new StepError(failure(shown, `${output}\n${signal ? `ended by ${signal}` : `exit code ${code}`}`, options.hint)));
    });
  });
}

function failure(command, output, hint) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const advice = [...adviceFor(output), ...(hint ? [hint] : [])];
  return [`failed: ${command}`, ...lines.slice(-15).map((line) => `  | ${line}`), ...advice.map((line) => `  -> ${line}`)].join('\n');
}

const ADVICE = [
  [/ENOSPC|No space left|disk quota/i, 'The disk is full: free some space and run it again.'],
  [
    /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|Could not resolve|NewConnectionError|Temporary failure in name|Network is unreachable|timed out/i,
    'The package registry cannot be reached. Offline? Behind a proxy, set HTTPS_PROXY; behind a mirror, set npm_config_registry or PIP_INDEX_URL.',
  ],
  [
    /SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|CERTIFICATE_VERIFY_FAILED/i,
    'The certificate is not trusted: name your authority in NODE_EXTRA_CA_CERTS and PIP_CERT.',
  ],
  [/EACCES|EPERM|Permission denied/i, 'A file or folder may not be written: check who owns the checkout and the cache folder.'],
  [
    /package\.json and package-lock\.json.*not in sync|npm error.*in sync/i,
    'package.json changed without its lock: run npm install and commit both.',
  ],
  [/EBADENGINE/, 'This Node version is too old: install 20.19 or newer.'],
  [/spawn npm ENOENT/, 'npm is not on PATH: it comes with Node.'],
  [/No module named (pip|ensurepip)/, 'Python has no pip: install it (Debian: apt-get install python3-pip).'],
  [/No matching distribution/i, 'PyPI cannot be reached (offline? proxy?), or has no wheel for this machine or this Python.'],
];

function adviceFor(output) {
  return ADVICE.filter(([pattern]) => pattern.test(output)).map(([, advice]) => advice);
}

/** SHA-256 of some texts or buffers, in order. */
export function hashOf(parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}
