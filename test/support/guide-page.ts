// A page of the documentation as something to carry out: its fenced blocks in their order, and what its outputs say.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface GuideBlock {
  readonly language: string;
  /** What stands behind the language: `file=NAME`, `on=host`, or a word by itself, whose value is empty. */
  readonly marks: Readonly<Record<string, string>>;
  readonly text: string;
  /** Of its first line in the page. */
  readonly line: number;
}

/** All fenced blocks of a page below docs/. Throws where a fence is not one of theirs, so that none is overlooked. */
export function guideBlocks(path: string): GuideBlock[] {
  const page = readFileSync(fileURLToPath(new URL(`../../docs/${path}`, import.meta.url)), 'utf8');
  const blocks = [...page.matchAll(/^```([a-z]+)([^\n`]*)\n([\s\S]*?)^```$/gm)].map(
    ({ index, 1: language = '', 2: words = '', 3: text = '' }) => ({
      language,
      marks: Object.fromEntries(
        words
          .split(' ')
          .filter(Boolean)
          .map((word) => [word.replace(/=.*/, ''), /=(.*)/.exec(word)?.[1] ?? '']),
      ),
      text,
      line: page.slice(0, index).split('\n').length + 1,
    }),
  );
  const fences = [...page.matchAll(/^\s*(```|~~~)/gm)].length;
  if (fences !== 2 * blocks.length)
    throw new Error(`${path}: ${fences} fences, and ${blocks.length} blocks of a known form`);
  return blocks;
}

/** Columns are as wide as what stands in them. */
const collapsed = (line: string): string => line.replace(/ +/g, ' ').trim();

/** What was said, as `saidPattern` compares it: without the progress that a terminal does not keep. */
export function saidText(output: string): string {
  const lines = output.split('\n').map(collapsed);
  return lines
    .filter((line) => line !== '' && !/^done \d+\/\d+ /.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

/** What a page shows of an output: `...` stands for any text in a line, and in a line of its own for any lines. */
export function saidPattern(shown: string): RegExp {
  const lines = shown.split('\n').map(collapsed).filter(Boolean);
  const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const parts = lines.map((line) =>
    line === '...' ? '(?:[^\\n]*\\n)*?' : `${line.split('...').map(escaped).join('[^\\n]*?')}\\n`,
  );
  return new RegExp(`^${parts.join('')}$`);
}
