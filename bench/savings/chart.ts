/**
 * The chart of the savings bench: one SVG file without scripts or other files. A group of bars for
 * each set, a bar for each program, as long as its repository is large, the smallest peer's being 1.
 * The same colours are readable on light and on dark pages; text and lines follow the reader's choice.
 */
import { megabytes } from '../sizes.ts';

export interface BarGroup {
  name: string;
  /** Bytes that are 1 on the axis. */
  unit: number;
  /** Bytes. */
  sizes: readonly { program: string; size: number }[];
}

const width = 760;
const left = 90;
const right = 90;
const top = 58;
const barHeight = 13;
const groupGap = 14;
const plotWidth = width - left - right;
/** By name, so that a program looks the same in every chart. */
const colours: Readonly<Record<string, string>> = {
  varve: '#1a8f7a',
  'varve-off': '#7cc4b5',
  restic: '#d9772b',
  borg: '#7a6fd0',
  kopia: '#c2506e',
  rustic: '#a08420',
};
const otherColour = '#8a8f98';

export function drawChart(groups: readonly BarGroup[]): string {
  const shares = groups.flatMap(({ unit, sizes }) => sizes.map(({ size }) => size / unit));
  const scaleMax = Math.max(1, ...shares);
  const programs = [...new Set(groups.flatMap(({ sizes }) => sizes.map((one) => one.program)))];
  const parts: string[] = [];
  let y = top;
  for (const group of groups) {
    parts.push(drawGroup(group, { y, scaleMax }));
    y += group.sizes.length * barHeight + groupGap;
  }
  const height = y + 6;
  const one = left + plotWidth / scaleMax;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">
<title id="title">Size of whole repositories, relative to the smallest peer</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.head { font-weight: 600; font-size: 13px; }
.size { font-size: 10.5px; fill: #57606a; }
line { stroke: #8c959f; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .size { fill: #9da7b1; }
}
</style>
<text class="head" x="${left}" y="18">Stored after the last version, relative to the smallest peer (less is better; MB)</text>
${drawLegend(programs)}
<line x1="${fixed(one)}" y1="${top - 6}" x2="${fixed(one)}" y2="${height - 8}"/>
${parts.join('\n')}
</svg>
`;
}

function drawLegend(programs: readonly string[]): string {
  return programs
    .map((program, i) => {
      const x = left + i * 100;
      const swatch = `<rect x="${x}" y="30" width="10" height="10" fill="${colourOf(program)}"/>`;
      return `${swatch}<text x="${x + 15}" y="39">${escaped(program)}</text>`;
    })
    .join('\n');
}

function drawGroup({ name, unit, sizes }: BarGroup, at: { y: number; scaleMax: number }): string {
  const middle = at.y + (sizes.length * barHeight) / 2 + 4;
  const bars = sizes.map(({ program, size }, i) => {
    const y = at.y + i * barHeight;
    const length = (size / unit / at.scaleMax) * plotWidth;
    const bar = `<rect x="${left}" y="${y}" width="${fixed(length)}" height="${barHeight - 2}" fill="${colourOf(program)}"/>`;
    return `${bar}<text class="size" x="${fixed(left + length + 5)}" y="${y + 9}">${megabytes(size)}</text>`;
  });
  const label = `<text x="${left - 8}" y="${fixed(middle)}" text-anchor="end">${escaped(name)}</text>`;
  return [label, ...bars].join('\n');
}

function colourOf(program: string): string {
  return (Object.hasOwn(colours, program) ? colours[program] : undefined) ?? otherColour;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
