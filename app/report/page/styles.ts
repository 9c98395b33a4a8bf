/** The report's style sheet: no font or picture from elsewhere; light and dark by the reader's setting; prints on paper. */
export const STYLES = `
:root {
  color-scheme: light dark;
  --paper: #faf9f5; --card: #ffffff; --line: #dedad1; --ink: #1d1c1a; --muted: #5f5b54;
  --gain: #0b6b4f; --gain-soft: #dff1e9; --loss: #a0360f; --loss-soft: #fae5dc; --oracle: #574696; --oracle-soft: #ebe7f8; --none-soft: #eeebe4;
  --arm-1: #1f5fa8; --arm-2: #a8560b; --arm-3: #0b6b4f; --arm-4: #8a2a6b; --arm-5: #6a6411; --arm-6: #574696;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "URW Palladio L", Georgia, serif;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #151513; --card: #1e1d1b; --line: #3a3834; --ink: #ecebe6; --muted: #a9a49b;
    --gain: #62cba4; --gain-soft: #17382c; --loss: #f1926d; --loss-soft: #41231a; --oracle: #baacf3; --oracle-soft: #2b2544; --none-soft: #2b2a27;
    --arm-1: #7fb2ee; --arm-2: #f0a45f; --arm-3: #62cba4; --arm-4: #e58fc6; --arm-5: #cfc65a; --arm-6: #baacf3;
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
.top { padding-top: clamp(20px, 3vw, 40px); }
.eyebrow { color: var(--muted); font-size: .86rem; overflow-wrap: anywhere; }
h1 { font: 500 clamp(1.2rem, 1rem + .7vw, 1.6rem)/1.35 var(--serif); letter-spacing: -.005em; max-width: 74ch; margin: 14px 0 18px; overflow-wrap: anywhere; text-wrap: pretty; }
.notes { padding: 0 0 0 14px; list-style: none; border-left: 3px solid var(--loss); color: var(--muted); margin-bottom: 18px; max-width: 75ch; }
.pages { display: flex; gap: 22px; margin: 14px 0; } main > .pages { margin-top: 28px; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; padding: 14px 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.facts div { display: flex; gap: 7px; align-items: baseline; }
.facts dt { color: var(--muted); order: 2; } .facts dd { margin: 0; font-weight: 650; }
main > section { margin-top: clamp(32px, 4vw, 56px); }
.lead { text-wrap: pretty; color: var(--muted); max-width: 75ch; margin: 6px 0 20px; }

.chart { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px clamp(12px, 2vw, 24px) 10px; max-width: 960px; color: var(--muted); }
.chart .narrow { display: none; } .chart svg { max-width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; padding: 6px 0 4px; color: var(--ink); font-size: .86rem; } .legend svg { vertical-align: 1px; }
.chart + .scroll, .scroll + .scroll { margin-top: 18px; }

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
dialog { width: min(1240px, 96vw); max-height: 94vh; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 18px clamp(14px, 2vw, 28px); } dialog::backdrop { background: rgb(0 0 0 / .55); }
dialog > header { display: flex; gap: 16px; justify-content: space-between; align-items: baseline; margin-bottom: 12px; } dialog h3 { font: 500 1.15rem/1.35 var(--serif); overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; align-items: start; } .pair.over { grid-template-columns: minmax(0, 62vh); justify-content: center; cursor: pointer; }
.pair img, .pair .missing { width: 100%; max-height: 62vh; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; background: #fff; border: 1px solid var(--line); border-radius: 6px; } .pair strong { display: block; }
button { font: inherit; font-size: .88rem; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 7px; padding: 4px 12px; cursor: pointer; } button:hover { border-color: var(--muted); }
.item .compare { margin-left: auto; font-size: .82rem; padding: 1px 10px; } .item figure[data-shot] img { cursor: zoom-in; } .item .whole { flex-basis: 100%; margin-top: 4px; overflow-wrap: anywhere; } .item:focus { outline: 2px solid var(--oracle); outline-offset: 2px; }
input[type=search] { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 7px; padding: 4px 8px; margin-left: 6px; width: 15em; max-width: 100%; } ::placeholder { color: var(--muted); opacity: 1; }
kbd { font: .82em var(--mono); border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 4px; padding: 0 5px; background: var(--card); color: var(--ink); } .keys { margin-left: auto; }
.tall { max-height: 85vh; overflow-y: auto; } .index thead th { position: sticky; top: 0; z-index: 1; background: var(--card); } .index td { vertical-align: middle; white-space: nowrap; } .index th[scope=row] { min-width: 12em; max-width: 34em; overflow-wrap: anywhere; } .index thead th:first-child { text-align: left; } .index thead th { white-space: nowrap; } .index tr { scroll-margin-top: 3em; } .index tr:focus { outline: 2px solid var(--oracle); outline-offset: -2px; }
.index img { display: block; width: 44px; height: 44px; object-fit: contain; image-rendering: pixelated; } .index .missing { font-size: 0; width: 44px; height: 44px; background: var(--none-soft); }
.paper td { min-width: 110px; max-width: 240px; } .paper img { display: block; width: 128px; image-rendering: pixelated; } .paper .commentary { min-width: 200px; background: var(--paper); }
@media (max-width: 720px) {
  .chart .wide { display: none; } .chart .narrow { display: block; } .keys { display: none; } .pair { gap: 10px; }
}
@page { size: landscape; margin: 10mm; }
@media print {
  :root { --paper: #fff; --card: #fff; --line: #ccc; --ink: #000; --muted: #444; --gain: #0b6b4f; --gain-soft: #eef7f3; --loss: #a0360f; --loss-soft: #fdf1ec; --oracle: #574696; --oracle-soft: #f3f0fb; --none-soft: #f2f2f2; }
  body { font-size: 10.5pt; } .tools, .skip, .compare, .pages { display: none !important; } .tall { max-height: none; } .item { break-inside: avoid; content-visibility: visible; } .scroll { overflow: visible; } table, .arms { font-size: 7pt; } .arms .minor { font-size: 6pt; } .arms th, .arms td { padding: 3pt; min-width: 0; } .chart .wide { display: block; } .chart .narrow { display: none; } .chart, tr { break-inside: avoid; } h2 { break-after: avoid; } .top, main { max-width: none; padding: 0; }
  .strip { grid-template-columns: repeat(6, 1fr); gap: 8px; } .shots { grid-template-columns: repeat(2, 1fr); gap: 5px; } figcaption, figcaption q { font-size: 6.5pt; } .lane h4, .chip { font-size: 7.5pt; } .item { padding: 8px 12px; } .item h3 { font-size: 11pt; } .items { gap: 8px; } .lead { break-after: avoid; break-inside: avoid; } .chart { max-width: 170mm; padding: 6px 12px; } main > section { margin-top: 16pt; } figcaption details { display: none; }
}
`;
