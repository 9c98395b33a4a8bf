/** Preloaded into a process (`--import`), gives it a wall clock that jumps: by so many milliseconds as the file says that CLOCK names. */
import { readFileSync } from 'node:fs';

const Real = Date;
let [offset, readAt] = [0, -Infinity];

function now() {
  if (performance.now() - readAt > 100) [offset, readAt] = [Number(readFileSync(process.env.CLOCK, 'utf8')), performance.now()];
  return Real.now() + offset;
}

globalThis.Date = class Date extends Real {
  constructor(...parts) {
    if (parts.length === 0) super(now());
    else super(...parts);
  }
  static now() {
    return now();
  }
};
