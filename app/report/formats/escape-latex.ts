const COMMANDS: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '{': '\\{',
  '}': '\\}',
  $: '\\$',
  '&': '\\&',
  '#': '\\#',
  '%': '\\%',
  _: '\\_',
  '^': '\\textasciicircum{}',
  '~': '\\textasciitilde{}',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '|': '\\textbar{}',
  '"': '\\textquotedbl{}',
  '[': '{[}',
  ']': '{]}',
  '−': '$-$',
  '–': '--',
  '\u00a0': '~',
};

/** Text as text: nothing in it is a command, a comment, a cell or an optional argument of the line before. */
export function escapeLatex(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replace(/[\\{}$&#%_^~<>|"[\]−–\u00a0]/g, (c) => COMMANDS[c]!);
}

export interface LatexTable {
  caption: string;
  label: string;
  /** As in `tabular`: one letter a column. */
  columns: string;
  head: readonly string[];
  /** Cells are LaTeX already. */
  rows: ReadonlyArray<readonly string[]>;
  /** A note under the table. */
  note?: string;
}

/** A floating table over the whole width; needs the packages `booktabs` and `graphicx`. Caption, head and note are text; rows are LaTeX. */
export function latexTable({ caption, label, columns, head, rows, note }: LatexTable): string {
  const line = (cells: readonly string[]) => `    ${cells.join(' & ')} \\\\`;
  return [
    '\\begin{table*}[t]',
    '  \\centering\\small',
    `  \\caption{${escapeLatex(caption)}}`,
    `  \\label{${label}}`,
    // No wider than the page, and never blown up.
    '  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%',
    `  \\begin{tabular}{@{}${columns}@{}}`,
    '    \\toprule',
    line(head.map(escapeLatex)),
    '    \\midrule',
    ...rows.map(line),
    '    \\bottomrule',
    '  \\end{tabular}}',
    ...(note === undefined ? [] : [`  \\par\\smallskip\\footnotesize ${escapeLatex(note)}`]),
    '\\end{table*}',
  ].join('\n');
}
