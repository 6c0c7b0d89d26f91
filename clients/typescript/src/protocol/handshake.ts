import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

// The proofs by which daemon and driver show each other that they know the secret, without sending it. Both nonces are in both proofs, in opposite order and
// under another label, so that neither can be replayed, or sent back to its maker as the answer.

const nonceBytes = 32;

/** Base64 of 32 random bytes. */
export function newNonce(): string {
  return randomBytes(nonceBytes).toString('base64');
}

/** The key of a secret: HKDF-SHA256, no salt, info "clustd driver v1", 32 bytes. */
export function keyOf(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', Buffer.from(secret, 'utf8'), Buffer.alloc(0), 'clustd driver v1', 32));
}

export function daemonProof(key: Buffer, clientNonce: string, daemonNonce: string): string {
  return proof(key, `clustd.v1/daemon\n${clientNonce}\n${daemonNonce}`);
}

export function driverProof(key: Buffer, clientNonce: string, daemonNonce: string): string {
  return proof(key, `clustd.v1/driver\n${daemonNonce}\n${clientNonce}`);
}

/** Whether both proofs are the same, in a time that does not depend on where they differ. */
export function matches(given: unknown, expected: string): boolean {
  if (typeof given !== 'string') return false;
  const [left, right] = [Buffer.from(given, 'utf8'), Buffer.from(expected, 'utf8')];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Whether a nonce has the form and length that is asked for; a shorter one would weaken the other side's proof. */
export function isNonce(nonce: unknown): nonce is string {
  if (typeof nonce !== 'string' || nonce.length !== 44) return false;
  const bytes = Buffer.from(nonce, 'base64'); // Skips what is not base64, so it is compared with the text again.
  return bytes.length === nonceBytes && bytes.toString('base64') === nonce;
}

function proof(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text, 'utf8').digest('base64');
}
