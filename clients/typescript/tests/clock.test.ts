import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DriverClock } from '../src/clock.js';

const hrtimeUs = (): number => Number(process.hrtime.bigint() / 1000n);

/** A clock whose uptime the test writes. */
function staged(t: { after(fn: () => void): void }, uptimeSeconds: number): { clock: DriverClock; uptime: (seconds: number) => void } {
  const directory = mkdtempSync(join(tmpdir(), 'clustd-clock-'));
  const path = join(directory, 'uptime');
  const uptime = (seconds: number): void => writeFileSync(path, `${seconds.toFixed(2)} 2025.15\n`);
  uptime(uptimeSeconds);
  const clock = new DriverClock(path);
  t.after(() => {
    clock.close();
    rmSync(directory, { recursive: true });
  });
  return { clock, uptime };
}

test('The clock counts microseconds and never goes back', (t) => {
  const clock = new DriverClock();
  t.after(() => clock.close());
  const start = clock.nowUs();
  const before = hrtimeUs();
  for (let last = start, i = 0; i < 20_000; i++) {
    const now = clock.nowUs();
    assert.ok(now >= last);
    last = now;
  }
  assert.ok(Math.abs(clock.nowUs() - start - (hrtimeUs() - before)) < 20_000);
});

test('A sleep of the machine is counted at the next look', (t) => {
  const { clock, uptime } = staged(t, 1_000);
  const before = clock.nowUs();
  const real = hrtimeUs();
  // A suspended machine: hrtime stands still meanwhile, the uptime does not.
  uptime(1_000 + 3_600);
  const slept = clock.nowUs() - before - (hrtimeUs() - real);
  // Wrong program: hrtime alone, which knows nothing of the hour.
  assert.ok(slept > 3_599_980_000 && slept < 3_600_020_000, `${slept}`);
  const again = clock.nowUs();
  assert.ok(again - before - slept < 1_000_000);
});

test('An uptime of its own, as a container may have, is as good', (t) => {
  const { clock, uptime } = staged(t, 3);
  const before = clock.nowUs();
  uptime(3 + 60);
  assert.ok(clock.nowUs() - before > 59_900_000);
});

test('What was slept is known to the other thread that reads the clock', (t) => {
  const { clock, uptime } = staged(t, 1_000);
  const before = Number(clock.offset[0]);
  uptime(1_100);
  clock.nowUs();
  assert.ok(Number(clock.offset[0]) - before > 90_000_000);
});

test('Without an uptime it says that it does not count sleep, and goes on', (t) => {
  const missing = new DriverClock('/nowhere/uptime');
  assert.equal(missing.countsSleep, false);
  assert.ok(missing.nowUs() <= missing.nowUs());
  const { clock, uptime } = staged(t, 1_000);
  assert.equal(clock.countsSleep, true);
  const before = clock.nowUs();
  uptime(NaN);
  assert.ok(clock.nowUs() >= before);
  assert.equal(clock.countsSleep, false);
});
