/** The report's style sheet: no font or picture from elsewhere; light and dark by the reader's setting; prints on paper. */
export const STYLES = `
:root {
  color-scheme: light dark;
  --paper: #faf9f5; --card: #ffffff; --line: #dedad1; --ink: #1d1c1a; --muted: #5f5b54;
  --gain: #0b6b4f; --gain-soft: #dff1e9; --loss: #a0360f; --loss-soft: #fae5dc; --oracle: #574696; --oracle-soft: #ebe7f8; --none-soft: #eeebe4;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "URW Palladio L", Georgia, serif;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #151513; --card: #1e1d1b; --line: #3a3834; --ink: #ecebe6; --muted: #a9a49b;
    --gain: #62cba4; --gain-soft: #17382c; --loss: #f1926d; --loss-soft: #41231a; --oracle: #baacf3; --oracle-soft: #2b2544; --none-soft: #2b2a27;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 var(--sans); font-variant-numeric: tabular-nums; }
main, .top, footer { max-width: 1360px; margin: 0 auto; padding: 0 clamp(16px, 3vw, 40px); }
a { color: inherit; text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--oracle); outline-offset: 2px; }
code, pre { font-family: var(--mono); font-size: .86em; overflow-wrap: anywhere; }
h1, h2, h3, h4, p, ul, ol, dl, figure { margin: 0; }
h2 { font: 600 1.6rem/1.25 var(--serif); letter-spacing: -.005em; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 12px; top: 12px; background: var(--card); padding: 6px 12px; }
.top { padding-top: clamp(28px, 5vw, 64px); }
.eyebrow { color: var(--muted); font-size: .86rem; overflow-wrap: anywhere; }
h1 { font: 500 clamp(1.4rem, 1rem + 1.4vw, 2.1rem)/1.3 var(--serif); letter-spacing: -.01em; max-width: 52ch; margin: 14px 0 18px; overflow-wrap: anywhere; text-wrap: pretty; }
.notes { padding: 0 0 0 14px; list-style: none; border-left: 3px solid var(--loss); color: var(--muted); margin-bottom: 18px; max-width: 75ch; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; padding: 14px 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.facts div { display: flex; gap: 7px; align-items: baseline; }
.facts dt { color: var(--muted); order: 2; } .facts dd { margin: 0; font-weight: 650; }
main > section { margin-top: clamp(40px, 5vw, 72px); }
.lead { text-wrap: pretty; color: var(--muted); max-width: 75ch; margin: 6px 0 20px; }

.forest { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px clamp(14px, 2vw, 28px) 10px; max-width: 980px; }
.forest-arm { display: grid; grid-template-columns: 150px 1fr 220px; column-gap: 18px; align-items: center; padding: 10px 0; border-top: 1px solid var(--line); }
.forest-arm:first-child { border-top: 0; }
.forest-arm h3 { grid-column: 1 / -1; font: 600 1rem/1.4 var(--sans); }
.forest .what { color: var(--muted); font-size: .9rem; } .forest .value { font-size: .9rem; text-align: right; white-space: nowrap; }
.forest svg { display: block; width: 100%; height: 24px; overflow: visible; }
.forest .axis { display: grid; grid-template-columns: 150px 1fr 220px; column-gap: 18px; border-top: 1px solid var(--line); padding-top: 4px; }
.axis svg { grid-column: 2; } .axis text { fill: var(--muted); font-size: 12px; text-anchor: middle; } .axis-title { grid-column: 2; color: var(--muted); font-size: .82rem; text-align: center; }
.grid-line { stroke: var(--line); } .zero { stroke: var(--muted); stroke-dasharray: 3 3; }
.whisker { stroke-width: 3; stroke-linecap: round; } .whisker.gain, .dot.gain { stroke: var(--gain); } .whisker.loss, .dot.loss { stroke: var(--loss); } .whisker.none, .dot.none { stroke: var(--muted); }
.dot { stroke-width: 2; fill: var(--muted); } .dot.gain { fill: var(--gain); } .dot.loss { fill: var(--loss); }

.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .88rem; line-height: 1.35; }
caption { text-align: left; padding: 12px 14px; color: var(--muted); }
th, td { padding: 9px 10px; text-align: right; vertical-align: top; border-top: 1px solid var(--line); }
th { font-weight: 600; } thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; } thead tr:first-child th { color: var(--ink); font-weight: 600; }
th[scope=row], .text td, .text th { text-align: left; }
.arms th[scope=row] { position: sticky; left: 0; background: var(--card); min-width: 96px; }
.text th[scope=row] { min-width: 9.5em; } .arms thead .minor { white-space: nowrap; }
.arms .group { border-left: 1px solid var(--line); } .arms thead .group[colspan] { text-align: left; }
.arms { font-size: .84rem; } .arms th, .arms td { padding: 9px 6px; } .arms caption { padding-left: 8px; } .arms td { white-space: nowrap; } .arms .minor { font-size: .72rem; letter-spacing: -.015em; } .arms thead tr:last-child th:first-child { text-align: left; } .text td { overflow-wrap: anywhere; }
.minor { display: block; color: var(--muted); font-size: .8rem; font-weight: 400; }
.gain { color: var(--gain); } .loss { color: var(--loss); } td.gain strong, td.loss strong { font-weight: 700; } td strong { font-weight: 500; }
.tag { display: inline-block; font-size: .78rem; font-weight: 550; line-height: 1.5; padding: 0 8px; border-radius: 99px; background: var(--none-soft); color: var(--ink); vertical-align: 1px; }
.tag.improved { background: var(--gain-soft); color: var(--gain); } .tag.failed, .tag.worse, .tag.uncurable, .tag.cut { background: var(--loss-soft); color: var(--loss); } .tag.oracle { background: var(--oracle-soft); color: var(--oracle); }
details { margin-top: 14px; } summary { cursor: pointer; color: var(--muted); } details[open] > summary { margin-bottom: 10px; }

.tools { display: flex; flex-wrap: wrap; gap: 10px 22px; align-items: center; margin-bottom: 18px; }
.tools label { color: var(--muted); font-size: .9rem; } select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 7px; padding: 5px 8px; margin-left: 6px; max-width: 100%; }
.items { display: grid; gap: 18px; }
.item { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px clamp(14px, 1.6vw, 24px) 20px; content-visibility: auto; contain-intrinsic-size: auto 440px; scroll-margin-top: 12px; min-width: 0; }
.item > header { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline; margin-bottom: 14px; }
.item h3 { font: 500 1.2rem/1.35 var(--serif); overflow-wrap: anywhere; flex-basis: 100%; }
.item .id { color: var(--muted); font-size: .86rem; } .item .why { flex-basis: 100%; color: var(--muted); font-size: .9rem; overflow-wrap: anywhere; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 264px), 1fr)); gap: 22px 26px; }
.lane { min-width: 0; } .lane h4 { display: flex; flex-wrap: wrap; gap: 2px 8px; align-items: center; font: 600 .93rem/1.5 var(--sans); min-height: 1.9em; margin-bottom: 6px; padding-top: 6px; border-top: 2px solid var(--line); }
.lane.is-oracle h4 { border-color: var(--oracle); } .lane .chip { margin-left: auto; }
.chip { font-size: .84rem; font-weight: 650; padding: 0 8px; border-radius: 6px; background: var(--none-soft); white-space: nowrap; } .chip.gain { background: var(--gain-soft); } .chip.loss { background: var(--loss-soft); }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(116px, 1fr)); gap: 12px; }
.shots figure { min-width: 0; }
.shots img, .missing { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; border-radius: 6px; border: 1px solid var(--line); background: #fff; }
.missing { display: grid; place-content: center; background: var(--none-soft); color: var(--muted); font-size: .8rem; padding: 10px; text-align: center; overflow-wrap: anywhere; overflow: hidden; }
figcaption { font-size: .86rem; line-height: 1.4; margin-top: 7px; overflow-wrap: anywhere; }
figcaption .score { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 8px; } figcaption q { display: block; margin-top: 3px; quotes: "\\201C" "\\201D"; font-family: var(--serif); font-size: .95rem; }
figcaption details { margin-top: 3px; } figcaption summary { font-size: .8rem; } figcaption dl { font-size: .8rem; display: grid; grid-template-columns: auto 1fr; gap: 1px 8px; } figcaption dt { color: var(--muted); } figcaption dd { margin: 0; }
.empty { color: var(--muted); font-size: .9rem; }
.read { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 18px 36px; margin-top: 16px; } .read dt { font-weight: 650; } .read dd { margin: 2px 0 0; color: var(--muted); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; overflow-x: auto; white-space: pre-wrap; }
footer { color: var(--muted); font-size: .86rem; padding-top: 48px; padding-bottom: 48px; }
[hidden] { display: none !important; }
@media (max-width: 720px) {
  .forest-arm { grid-template-columns: 1fr auto; row-gap: 2px; } .forest-arm svg { grid-column: 1 / -1; grid-row: auto; order: 0; }
  .forest-arm .track { grid-column: 1 / -1; order: 1; } .forest-row { display: contents; } .forest .axis { grid-template-columns: 1fr; } .axis svg, .axis-title { grid-column: 1; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --line: #ccc; --ink: #000; --muted: #444; --gain: #0b6b4f; --gain-soft: #eef7f3; --loss: #a0360f; --loss-soft: #fdf1ec; --oracle: #574696; --oracle-soft: #f3f0fb; --none-soft: #f2f2f2; }
  body { font-size: 10.5pt; } .tools, .skip { display: none; } .item { break-inside: avoid; content-visibility: visible; } .scroll { overflow: visible; } table { font-size: 7.5pt; } .arms td { white-space: normal; }
  .strip { grid-template-columns: repeat(4, 1fr); gap: 12px; } .shots { grid-template-columns: repeat(2, 1fr); gap: 6px; } main > section { margin-top: 24pt; } figcaption details { display: none; }
}
`;
