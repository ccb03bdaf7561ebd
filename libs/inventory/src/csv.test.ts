import { describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { canonicalImport } from './canonical.js';
import { scanCsv } from './csv-scan.js';
import { parseCsvInventory } from './csv.js';
import { IMPORT_LIMITS } from './import-row.js';

/** Findings as `code line:column`. */
function places(text: string): string[] {
  return parseCsvInventory(text, { file: 'hosts.csv' }).findings.map(
    (finding) => `${finding.code} ${finding.position?.line}:${finding.position?.column}`,
  );
}

describe('parseCsvInventory', () => {
  it('reads every column in any order and leaves out what is empty', () => {
    const text = [
      'label.env,hostKey,user,credential,port,address,lifecycle,criticality,owner,site,kind,name,label.app.kubernetes.io/name',
      `prod,ssh-ed25519 ${'A'.repeat(68)} root@web,ops,ops-key,2222,10.0.0.1,active,high,"Team ""A"", west",ber,server,web-01,shop`,
      ',,,,,,,,,,,web-02,',
    ].join('\n');
    const { rows, findings, counts } = parseCsvInventory(text, { file: 'hosts.csv' });
    expect(findings).toEqual([]);
    expect(counts).toEqual({ errors: 0, warnings: 0 });
    expect(rows).toEqual([
      {
        file: 'hosts.csv',
        line: 2,
        name: 'web-01',
        kind: 'server',
        site: 'ber',
        owner: 'Team "A", west',
        criticality: 'high',
        lifecycle: 'active',
        address: '10.0.0.1',
        port: 2222,
        user: 'ops',
        credential: 'ops-key',
        hostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
        labels: { 'app.kubernetes.io/name': 'shop', env: 'prod' },
      },
      { file: 'hosts.csv', line: 3, name: 'web-02', labels: {} },
    ]);
  });

  it('takes a byte order mark, CRLF, blanks, quoted line ends, empty lines and empty rows', () => {
    const text = '\ufeffname,owner,label.note\r\n a , "x" ,"one\r\n"\r\n\r\n,,\r\nb,y,\r\n   \r\n\r\n';
    const result = parseCsvInventory(text);
    // The blank before a quote makes the cell an unquoted one: RFC 4180 says blanks belong to the cell.
    expect(result.findings.map((finding) => [finding.code, finding.position])).toEqual([
      ['csv-syntax', { file: undefined, line: 2, column: 6 }],
    ]);
    const mended = parseCsvInventory(text.replace(' "x" ', '"x" '));
    expect(mended.findings).toEqual([]);
    expect(mended.rows.map((row) => [row.line, row.name, row.owner, row.labels])).toEqual([
      [2, 'a', 'x', { note: 'one' }],
      [6, 'b', 'y', {}],
    ]);
  });

  it('reports all errors of all rows at once, each with its line and column', () => {
    const text = [
      'name,kind,criticality,port,address,label.env',
      'ok,server,low,22,10.0.0.1,prod',
      'bad name,sever,loww,70000,ssh://x,',
      'ok,server,,,,',
      ',server,,,,',
      'short,server',
      'long,server,,,,,extra',
      '"multi\nline",server,,x,,',
    ].join('\n');
    expect(places(text)).toEqual([
      'invalid-value 3:1',
      'invalid-value 3:10',
      'invalid-value 3:16',
      'invalid-value 3:21',
      'invalid-value 3:27',
      'duplicate-name 4:1',
      'missing-name 5:1',
      'wrong-cell-count 6:7',
      'wrong-cell-count 7:17',
      'invalid-value 8:1',
      'invalid-value 9:15',
    ]);
    const [kind] = parseCsvInventory(text).findings.filter((finding) => finding.text === 'sever');
    expect(kind?.suggestion).toBe('server');
  });

  it('refuses unknown, nameless and duplicate columns with their column', () => {
    expect(places('name,knd,,name,label.,label.env,label.env\na,,,,,,\n')).toEqual([
      'unknown-column 1:6',
      'unknown-column 1:10',
      'duplicate-column 1:11',
      'invalid-label 1:16',
      'duplicate-column 1:33',
    ]);
    expect(places('kind,site\nserver,ber\n')).toEqual(['missing-column 1:1']);
    expect(parseCsvInventory('name;kind\n').findings[0]?.suggestion).toContain('";"');
    expect(places('')).toEqual(['csv-empty 1:1']);
  });

  it('answers 10,000 columns with one error, in the header as in a row', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => `c${index}`).join(',');
    expect(parseCsvInventory(`${many}\n${many}\n`).findings.map((finding) => finding.code)).toEqual([
      'too-many-columns',
    ]);
    expect(parseCsvInventory(`name\n${many}\n`).findings.map((finding) => finding.code)).toEqual(['wrong-cell-count']);
  });

  it('bounds cells and the findings listed, and counts them all', () => {
    expect(places(`name,owner\na,${'x'.repeat(IMPORT_LIMITS.maxFieldChars + 1)}\n`)).toEqual(['field-too-long 2:3']);
    const result = parseCsvInventory(`name,kind\n${'a,b\n'.repeat(5000)}`);
    expect(result.findings).toHaveLength(IMPORT_LIMITS.maxFindings);
    expect(result.counts.errors).toBe(9999);
  });

  it('goes on after a misplaced quote and says where one was never closed', () => {
    expect(places('name,owner\na,b"c\nd,"e"f\ng,"h\ni,j\n')).toEqual([
      'csv-syntax 2:4',
      'csv-syntax 3:6',
      'csv-syntax 4:3',
      'invalid-value 4:3',
    ]);
  });

  it('never repeats what stands in a credential cell', () => {
    const { findings } = parseCsvInventory('name,credential\na,Hunter2!\n');
    expect(findings.map((finding) => finding.code)).toEqual(['invalid-value']);
    expect(JSON.stringify(findings)).not.toContain('Hunter2');
  });

  it('keeps labels with the names of object members as plain labels', () => {
    const { rows, findings } = parseCsvInventory('name,label.constructor,label.toString\na,x,y\n');
    expect(findings).toEqual([]);
    expect(Object.entries(rows[0]?.labels ?? {})).toEqual([
      ['constructor', 'x'],
      ['toString', 'y'],
    ]);
    expect(places('name,label.__proto__\na,x\n')).toEqual(['invalid-label 1:6']);
  });

  it('gives equal rows for the same assets in another order of rows and columns', () => {
    const one = parseCsvInventory('name,label.b,label.a,site\nx,1,2,ber\nw,,3,\n').rows;
    const other = parseCsvInventory('site,label.a,name,label.b\n,3,w, \nber, 2,x ,1\n').rows;
    const bare = (rows: typeof one): string =>
      JSON.stringify(canonicalImport(rows).map((row) => ({ ...row, line: 0 })));
    expect(bare(one)).toBe(bare(other));
  });
});

describe('scanCsv', () => {
  it('reads what csv-parse reads, for any cells', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'é', '😀', ' ', ',', '"', '\n', '\r\n', ';'), maxLength: 8 });
    const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), fc.boolean(), (rows, lineEnd, endsWithLineEnd) => {
        const text = rows.map((row) => row.map(quoteCell).join(',')).join(lineEnd) + (endsWithLineEnd ? lineEnd : '');
        const scanned: (readonly string[])[] = [];
        scanCsv(text, {
          maxCells: 200,
          onRecord: (record) => scanned.push(record.cells) > 0,
          onSyntaxError: (message) => {
            throw new Error(message);
          },
        });
        expect(scanned).toEqual(parse(text, { relax_column_count: true, record_delimiter: lineEnd }));
        expect(scanned).toEqual(rows);
      }),
      { numRuns: 500, seed: 3, verbose: 1 },
    );
  });
});

function quoteCell(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
