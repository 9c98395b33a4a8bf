import { InvalidInput } from '../../core/index.js';

/** One thing that is wrong with a recipe, and where. */
export interface RecipeIssue {
  /** The file as it was named, or the option: `--set rounds=30`. */
  file: string;
  /** 1-based; `null` where there is no line: options, a file that cannot be read. */
  line: number | null;
  /** Dotted path in the names of the file; empty for the file as a whole. */
  field: string;
  /** What was expected, what came, what to do. */
  message: string;
}

/** `file:line: field: message`, as editors and terminals link it. */
export function formatIssue({ file, line, field, message }: RecipeIssue): string {
  return [line === null ? file : `${file}:${line}`, ...(field ? [field] : []), message].join(': ');
}

/** Thrown when a recipe cannot be used. Holds everything that is wrong with it, not only the first thing. */
export class RecipeError extends InvalidInput {
  constructor(readonly issues: RecipeIssue[]) {
    super(issues.map(formatIssue).join('\n'));
  }
}
