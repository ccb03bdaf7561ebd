import type { ImportAssetRow, ImportResult } from '@fettle/contracts';
import { importAssetRows } from '@fettle/database';
import type { OperationContext } from './context.js';
import { ImportFindings } from './import-findings.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

export interface ImportRequest {
  readonly space: string;
  readonly format: 'csv' | 'ansible';
  readonly dryRun: boolean;
  /** SHA-256 of what was sent, for the audit record. */
  readonly digest: string;
  readonly rows: readonly ImportAssetRow[];
}

/** Thrown to undo a dry run; carries its result. */
class DryRunEnded extends Error {
  readonly result: ImportResult;
  constructor(result: ImportResult) {
    super('the dry run is undone');
    this.result = result;
  }
}

/**
 * Imports assets: all rows or none. Name and space identify; nothing is retired; importing the same rows again changes nothing.
 * A dry run does everything and takes it back.
 */
export async function importAssets(context: OperationContext, request: ImportRequest): Promise<ImportResult> {
  requireUnnarrowed(context, 'asset:import', request.space);
  checkUnique(request.rows);
  if (!request.dryRun) return importNow(context, request);
  try {
    return await context.transaction.transaction(async (nested) => {
      throw new DryRunEnded(await importNow({ ...context, transaction: nested }, request));
    });
  } catch (error) {
    if (error instanceof DryRunEnded) return error.result;
    throw error;
  }
}

/** Whoever reads a request checks this already, line by line; the set-based statements depend on it. */
function checkUnique(rows: readonly ImportAssetRow[]): void {
  const findings = new ImportFindings();
  const earlier = new Map<string, ImportAssetRow>();
  for (const row of rows) {
    const same = earlier.get(row.name);
    if (same !== undefined) findings.addDuplicate(row, same);
    else earlier.set(row.name, row);
  }
  findings.throwIfAny();
}

async function importNow(context: OperationContext, request: ImportRequest): Promise<ImportResult> {
  const { space, format, rows, dryRun } = request;
  const counts = await importAssetRows(context.transaction, space, `import:${format}`, rows);
  const { created, changed } = counts;
  const result = { dryRun, created, changed, unchanged: rows.length - created - changed, warnings: warningsOf(counts) };
  if (created + changed > 0 && !dryRun) {
    await recordAudit(context, {
      action: 'asset.import',
      space,
      object: { kind: 'asset', name: `import:${format}` },
      detail: { format, digest: request.digest, rows: rows.length, created, changed },
    });
  }
  return result;
}

function warningsOf(counts: {
  readonly kept: number;
  readonly missingCredentials: readonly string[];
}): ImportResult['warnings'] {
  const warnings: Record<string, unknown>[] = [];
  if (counts.kept > 0) {
    const message = `${counts.kept === 1 ? '1 asset keeps' : `${counts.kept} assets keep`} values that a person set by hand.`;
    warnings.push({ code: 'kept-by-hand', severity: 'warning', message, count: counts.kept });
  }
  for (const name of counts.missingCredentials) {
    const message = `There is no credential "${name}" yet; set it with: fettle credential set ${name}`;
    warnings.push({ code: 'credential-missing', severity: 'warning', message });
  }
  return warnings;
}
