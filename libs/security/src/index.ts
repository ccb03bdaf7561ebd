export * from './sealing.js';
export { generateSealingKeyLine } from './sealing-keys.js';
export * from './tokens.js';
export * from './effect-token.js';
export * from './key-file.js';
export * from './policy.js';
export * from './redaction.js';
export {
  maxPatternBytes,
  maxSecretBytes,
  minSecretBytes,
  type DeclaredSecret,
  type UnprotectedSecret,
} from './redaction-patterns.js';
export * from './audit/canonical.js';
export * from './audit/record.js';
export * from './audit/merkle-hash.js';
export * from './audit/merkle-frontier.js';
export * from './audit/merkle-proof.js';
export * from './audit/signed-note.js';
export * from './audit/checkpoint.js';
export type * from './audit/log-findings.js';
export type * from './audit/log-record.js';
export * from './audit/verify-log.js';
export * from './audit/verify-export.js';
export * from './approvers.js';
