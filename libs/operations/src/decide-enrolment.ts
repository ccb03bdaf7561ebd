import { createHash } from 'node:crypto';
import type { EnrolmentError } from '@fettle/database';

/** A host key as a host shows it. */
export interface ShownHostKey {
  /** Key type such as `ssh-ed25519`. */
  readonly type: string;
  /** Line to pin: type and key in base64. */
  readonly key: string;
  /** `SHA256:` and unpadded base64. */
  readonly fingerprint: string;
}

export interface EnrolmentQuestion {
  readonly asset: string;
  /** `user@host:port`, or without a user. */
  readonly host: string;
  /** Lines pinned so far; a comment may follow the key. */
  readonly pinned: readonly string[];
  readonly shown: readonly ShownHostKey[];
  readonly expect: string | null;
  readonly isReplacing: boolean;
}

export type EnrolmentDecision = { readonly pin: readonly string[] } | { readonly error: EnrolmentError };

/**
 * Which keys to pin. A fingerprint that a person expects vouches for that one key; without one, keys are trusted on first use
 * only, and later the host must show what was pinned, unless the person replaces it knowingly.
 */
export function decideEnrolment(question: EnrolmentQuestion): EnrolmentDecision {
  const { asset, host, shown, expect, isReplacing } = question;
  if (expect !== null) {
    const expected = shown.filter((key) => key.fingerprint === expect);
    if (expected.length > 0) return { pin: expected.map((key) => key.key) };
    return mismatch(question, `${asset} (${host}) shows no key with the fingerprint ${expect}`);
  }
  const pinned = question.pinned.map(withoutComment);
  if (pinned.length === 0 || isReplacing) return { pin: shown.map((key) => key.key) };
  // Of the types that are pinned, the host must show the pinned key: a connection asks for one of these types.
  const ofPinnedTypes = shown.filter((key) => pinned.some((line) => typeOf(line) === key.type));
  if (ofPinnedTypes.length > 0 && ofPinnedTypes.every((key) => pinned.includes(key.key))) return { pin: pinned };
  return mismatch(question, `${asset} (${host}) shows another key than the one pinned`);
}

function mismatch({ asset, pinned, shown }: EnrolmentQuestion, what: string): EnrolmentDecision {
  const list = (keys: readonly { type: string; fingerprint: string }[]): string =>
    keys.map((key) => `${key.type} ${key.fingerprint}`).join(', ') || 'none';
  const before = pinned.map((line) => ({ type: typeOf(line), fingerprint: hostKeyFingerprint(line) }));
  return {
    error: {
      code: 'host-key-mismatch',
      message: `${what}. It shows: ${list(shown)}. Pinned: ${list(before)}.`,
      remedy:
        `Compare with the host's own console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if the key is right: ` +
        `fettle asset enrol ${asset} --expect SHA256:... pins it; --replace --reason TEXT pins whatever the host shows.`,
      detail: {
        shown: shown.map(({ type, fingerprint }) => ({ type, fingerprint })),
        pinned: before,
      },
    },
  };
}

function withoutComment(line: string): string {
  return line.trim().split(/\s+/, 2).join(' ');
}

export function typeOf(line: string): string {
  return line.trim().split(/\s+/, 1)[0] ?? '';
}

/** Fingerprint of a pinned line, as OpenSSH prints it. */
export function hostKeyFingerprint(line: string): string {
  const blob = Buffer.from(line.trim().split(/\s+/)[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
