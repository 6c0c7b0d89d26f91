import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseWatch } from '../src/lease/leaseWatch.js';

const nothing = { over: false, renew: false, reconnect: false };

function connected(now = 0): LeaseWatch {
  const watch = new LeaseWatch();
  watch.connected(1_000_000, 160_000, 500_000, now);
  return watch;
}

test('It renews at once when connected, and then at the daemon\'s pace', () => {
  const watch = connected();
  assert.equal(watch.due(0).renew, true);
  watch.lease.answered(0, 900_000, 10);
  assert.deepEqual(watch.due(159_999), nothing);
  assert.equal(watch.due(160_000).renew, true);
});

test('A lease that is running out is renewed eight times as often', () => {
  const watch = connected();
  watch.due(0);
  watch.lease.answered(0, 319_999, 10); // Less than two intervals of 160 ms.
  assert.equal(watch.due(19_999).renew, false);
  assert.equal(watch.due(20_000).renew, true);
});

test('A lease that is not running out is renewed as often as the daemon says', () => {
  const watch = connected();
  watch.due(0);
  watch.lease.answered(0, 320_000, 10);
  assert.equal(watch.due(20_000).renew, false);
  assert.equal(watch.due(160_000).renew, true);
});

test('The end of the lease is said once, on time, and for every lease', () => {
  const watch = connected();
  watch.due(0);
  watch.lease.answered(0, 900_000, 10);
  assert.equal(watch.due(899_999).over, false);
  assert.equal(watch.due(900_000).over, true);
  assert.equal(watch.due(900_001).over, false);
  watch.due(1_000_000);
  watch.disconnected();
  watch.connected(1_000_000, 160_000, 500_000, 1_100_000);
  assert.equal(watch.due(1_100_000).renew, true);
  watch.lease.answered(1_100_000, 500_000, 1_100_010);
  assert.equal(watch.due(1_600_000).over, true);
});

test('A process that thaws after the end learns it before anything else', () => {
  const watch = connected();
  watch.due(0);
  watch.lease.answered(0, 900_000, 10);
  assert.equal(watch.due(3_600_000_000).over, true);
});

test('A daemon that does not answer is given up after half a lease', () => {
  const watch = connected();
  watch.due(0);
  assert.equal(watch.due(499_999).reconnect, false);
  assert.equal(watch.due(500_000).reconnect, true);
});

test('A lost connection ends no lease and renews nothing', () => {
  const watch = connected();
  watch.due(0);
  watch.lease.answered(0, 900_000, 10);
  watch.disconnected();
  assert.deepEqual(watch.due(899_999), nothing);
  assert.equal(watch.lease.isValid(899_999), true);
  assert.equal(watch.nextAt(), 900_000);
});

test('While a lease lasts, its kill timeout only gets shorter', () => {
  const watch = connected();
  watch.due(0);
  watch.lease.answered(0, 900_000, 10);
  // Wrong program: takes the longer one at once, and others count on the shorter.
  watch.connected(1_000_000, 160_000, 800_000, 100_000);
  assert.equal(watch.killTimeoutUs, 500_000);
  watch.connected(1_000_000, 160_000, 200_000, 200_000);
  assert.equal(watch.killTimeoutUs, 200_000);
  watch.due(900_000);
  watch.connected(1_000_000, 160_000, 800_000, 950_000);
  assert.equal(watch.killTimeoutUs, 800_000);
});
