import { CommanderError } from 'commander';
import { RefineError } from '../../core/errors.js';
import { RecipeError } from '../recipe/index.js';
import { ServiceUnreachable } from '../client/service-unreachable.js';
import type { RunState } from '../../core/types.js';
import type { RunStatus } from '../client/status.js';

export const EXIT = { done: 0, unexpected: 1, usage: 2, failedItems: 3, unreachable: 4, interrupted: 130 } as const;

/** Thrown by Ctrl-C; `message` says what became of the run and how to go on. */
export class Interrupted extends Error {}

/** Thrown by a command that did its work and found something wrong, such as `verify`. */
export class FoundWrong extends Error {}

/** The exit code of whatever a command threw. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return EXIT.interrupted;
  if (error instanceof RecipeError) return EXIT.usage;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error instanceof ServiceUnreachable) return EXIT.unreachable;
  if (RefineError.is(error)) {
    if (error.code === 'InvalidInput') return EXIT.usage;
    if (error.code === 'StorageUnavailable') return EXIT.unreachable;
  }
  return EXIT.unexpected;
}

/** The exit code of a run that has ended. Skipped items are no failure. */
export function exitCodeOfRun({ state, items }: RunStatus): number {
  const byState: Partial<Record<RunState, number>> = { failed: EXIT.unexpected, completed_with_failures: EXIT.failedItems };
  return byState[state] ?? (items.failed > 0 ? EXIT.failedItems : EXIT.done);
}
