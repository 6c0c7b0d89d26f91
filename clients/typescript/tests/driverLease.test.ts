import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriverLease } from '../src/lease/driverLease.js';

test('The lease counts from the stamp, however late the answer is read', () => {
  const lease = new DriverLease();
  lease.sent(1_000);
  assert.equal(lease.answered(1_000, 500, 1_400), true);
  // Wrong program: counts from when the answer was read, to 1,900.
  assert.equal(lease.endsAt, 1_500);
  assert.equal(lease.isValid(1_499), true);
  assert.equal(lease.isValid(1_500), false);
});

test('There is no lease before the first answer', () => {
  assert.equal(new DriverLease().isValid(-1e15), false);
});

test('Answers to unknown stamps, and a second answer to one, are ignored', () => {
  const lease = new DriverLease();
  lease.sent(1_000);
  assert.equal(lease.answered(1_001, 500, 1_100), false);
  assert.equal(lease.answered(1_000, 500, 1_100), true);
  assert.equal(lease.answered(1_000, 900, 1_100), false);
  assert.equal(lease.endsAt, 1_500);
});

test('An answer that was overtaken cannot revive an ended lease', () => {
  const lease = new DriverLease();
  lease.sent(1_000);
  lease.sent(1_100);
  lease.answered(1_100, 500, 1_150);
  assert.equal(lease.answered(1_100, 0, 1_150), false);
  lease.sent(1_200);
  lease.answered(1_200, 0, 1_250);
  assert.equal(lease.isValid(1_250), false);
  // Wrong program: takes the answer to an older stamp, which the 0 has overtaken.
  assert.equal(lease.answered(1_000, 5_000, 1_260), false);
  assert.equal(lease.isValid(1_260), false);
});

test('A daemon that cannot tell yet leaves the lease as it was', () => {
  const lease = new DriverLease();
  lease.sent(1_000);
  lease.answered(1_000, 500, 1_000);
  lease.sent(1_100);
  assert.equal(lease.answered(1_100, undefined, 1_110), false);
  assert.equal(lease.endsAt, 1_500);
});

test('The end does not move back, but for 0 and for a lease that takes the place of a longer one', () => {
  const lease = new DriverLease();
  lease.sent(1_000);
  lease.answered(1_000, 5_000, 1_000);
  lease.sent(1_100);
  assert.equal(lease.answered(1_100, 500, 1_110), false);
  assert.equal(lease.endsAt, 6_000);
  lease.sent(1_200);
  assert.equal(lease.answered(1_200, 500, 1_210, true), true);
  assert.equal(lease.endsAt, 1_700);
  lease.sent(1_300);
  assert.equal(lease.answered(1_300, 0, 1_310), true);
  assert.equal(lease.isValid(1_310), false);
});

test('Absurd remainders do not overflow', () => {
  for (const left of [1e300, Infinity, Number.MAX_SAFE_INTEGER]) {
    const lease = new DriverLease();
    lease.sent(1_000);
    lease.answered(1_000, left, 1_000);
    assert.equal(lease.endsAt, Number.MAX_SAFE_INTEGER);
  }
  const lease = new DriverLease();
  lease.sent(1_000);
  lease.answered(1_000, -1e300, 1_000);
  assert.equal(lease.isValid(1_000), false);
});

test('After a lost connection its answers are unknown, and the lease is what it was', () => {
  const lease = new DriverLease();
  lease.sent(1_000);
  lease.answered(1_000, 500, 1_000);
  lease.sent(1_100);
  lease.connectionLost();
  assert.equal(lease.answered(1_100, 5_000, 1_110), false);
  assert.equal(lease.endsAt, 1_500);
  assert.equal(lease.oldestUnanswered, undefined);
});

test('A stamp that is not later than the one before must not be sent', () => {
  const lease = new DriverLease();
  assert.equal(lease.sent(1_000), true);
  assert.equal(lease.sent(1_000), false);
});
