// All that an auditor needs, without a database, a network or a clock.
export { leafHash, nodeHash, emptyRoot } from './audit/merkle-hash.js';
export { MerkleFrontier } from './audit/merkle-frontier.js';
export {
  verifyConsistency,
  verifyInclusion,
  type ConsistencyClaim,
  type InclusionClaim,
} from './audit/merkle-proof.js';
export { openCheckpoint, splitCheckpoints, type Checkpoint, type OpenedCheckpoint } from './audit/checkpoint.js';
export { createNoteVerifier, type NoteVerifier } from './audit/signed-note.js';
export { parseAuditRecord, type AuditRecord } from './audit/record.js';
export { canonicalBytes, canonicalJson, type JsonValue } from './audit/canonical.js';
export { maxCheckpoints, verifyLog, type LogReport, type VerifyLogInput } from './audit/verify-log.js';
export {
  exportedRecord,
  parseExportLine,
  verifyExport,
  type ExportReport,
  type VerifyExportInput,
} from './audit/verify-export.js';
export type { LogRecord } from './audit/log-record.js';
export type { LogFinding, LogFindingKind } from './audit/log-findings.js';
