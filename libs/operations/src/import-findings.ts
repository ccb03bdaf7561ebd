import { FettleError, type Finding, type ImportAssetRow } from '@fettle/contracts';

/** Findings listed in one answer; all are counted. */
const MAX_LISTED = 1000;

/** All that is wrong with the rows of an import, so that it is said at once. */
export class ImportFindings {
  readonly #listed: Finding[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(finding: Finding): void {
    this.#count += 1;
    if (this.#listed.length < MAX_LISTED) this.#listed.push(finding);
  }

  addDuplicate(row: ImportAssetRow, earlier: ImportAssetRow): void {
    const where = `line ${earlier.line}${earlier.file !== undefined && earlier.file !== row.file ? ` of ${earlier.file}` : ''}`;
    this.add({
      code: 'duplicate-asset',
      message: `the asset "${row.name}" stands in ${where} already`,
      severity: 'error',
      path: 'name',
      position: { ...(row.file === undefined ? {} : { file: row.file }), line: row.line, column: 1 },
      text: row.name.slice(0, 120),
    });
  }

  /** @throws FettleError `invalid-import` with the findings and their number. */
  throwIfAny(): void {
    if (this.#count === 0) return;
    const first = this.#listed[0]!;
    const place = first.position === undefined ? '' : ` in line ${first.position.line}`;
    throw new FettleError({
      code: 'invalid-import',
      message: `The import has ${this.#count} error${this.#count === 1 ? '' : 's'}; the first${place}: ${first.message}. Nothing was imported.`,
      remedy: 'Mend the findings listed and import the file again.',
      detail: { findings: this.#listed, errors: this.#count, listed: this.#listed.length },
    });
  }
}
