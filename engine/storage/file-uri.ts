import { InvalidInput } from '../../core/errors.js';

/**
 * The path, absolute or relative, that a `file:` text or a plain path means; `%20` and the like count after `file:` only.
 * Throws InvalidInput on another machine's file and on nothing.
 */
export function pathOfFileUri(text: string): string {
  if (!/^file:/i.test(text)) return text;
  const rest = text.slice('file:'.length);
  const host = /^\/\/([^/]*)/.exec(rest);
  if (host && host[1] !== '' && host[1] !== 'localhost') {
    throw new InvalidInput(
      `"${text}" names another machine (${host[1]}); write file:///path for a folder of this one, file:./path for a relative one`,
    );
  }
  const path = host ? rest.slice(host[0].length) : rest;
  if (path === '') throw new InvalidInput(`"${text}" names no folder; write for example file:./runs`);
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
