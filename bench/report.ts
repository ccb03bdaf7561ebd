import { appendFile } from 'node:fs/promises';

export interface Sample {
  readonly wallMs: number;
  readonly cpuMs: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const rounded = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3);

const COLUMNS = ['what', 'rounds', 'wall ms', 'CPU-ms a unit', 'time of this / time of Fettle'];

/** A table of medians with the ratio to Fettle, pair by pair; written to standard error and to the file in FETTLE_BENCH_OUT. */
export class Report {
  readonly #lines: string[];

  constructor(title: string, what: string, columns: readonly string[] = COLUMNS) {
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    this.#lines = [`## ${title}`, '', `${what}.`, '', line(columns), line(columns.map(() => '---'))];
  }

  /** A line of a table with columns of its own. */
  row(cells: readonly (string | number)[]): void {
    this.#lines.push(`| ${cells.map((cell) => (typeof cell === 'number' ? rounded(cell) : cell)).join(' | ')} |`);
  }

  /** `units`: what one sample did (hosts, runs, assets). */
  add(name: string, samples: readonly Sample[], units: number, fettle: readonly Sample[]): void {
    if (samples.length === 0) return;
    const ratios = samples.map((sample, index) => sample.wallMs / fettle[index]!.wallMs);
    this.#lines.push(
      `| ${name} | ${samples.length} | ${rounded(median(samples.map((s) => s.wallMs)))} | ${rounded(
        median(samples.map((s) => s.cpuMs)) / units,
      )} | ${rounded(median(ratios))} |`,
    );
  }

  note(text: string): void {
    this.#lines.push('', text);
  }

  async write(): Promise<void> {
    const text = `${this.#lines.join('\n')}\n\n`;
    process.stderr.write(text);
    if (process.env.FETTLE_BENCH_OUT) await appendFile(process.env.FETTLE_BENCH_OUT, text);
  }
}
