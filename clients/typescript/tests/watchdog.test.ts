import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DriverClock } from '../src/clock.js';
import { Watchdog } from '../src/running/watchdog.js';
import { eventually, pause } from './harness/eventually.js';
import { ScriptedDaemon, type DaemonSide } from './harness/scriptedDaemon.js';

const leaseUs = 600_000;
const killTimeoutUs = 500_000;

interface Play {
  daemon: ScriptedDaemon;
  side: DaemonSide;
  child: ChildProcess;
  said: () => string;
  errors: () => string;
  /** When the lease that was granted last ends, at the latest; on performance.now(). */
  leaseEnds: () => number;
  endedAt: () => number | undefined;
}

/** A real driver process that is master, and a daemon that renews its lease until it is told not to. */
async function play(t: { after(fn: () => Promise<void>): void }, what: string, stop: string, stderr: 'pipe' | number = 'pipe'): Promise<Play> {
  const daemon = await ScriptedDaemon.start();
  daemon.terms.killTimeoutUs = killTimeoutUs;
  let granted = 0;
  daemon.renew = ({ stamp }) => {
    granted = performance.now();
    return { stamp, leftUs: leaseUs };
  };
  const child = spawn(process.execPath, [join(__dirname, 'harness/stubbornChild.js'), daemon.url, daemon.client.secret, what, stop], { stdio: ['ignore', 'pipe', stderr] });
  let [said, errors] = ['', ''];
  let endedAt: number | undefined;
  child.stdout!.on('data', (data) => (said += data));
  child.stderr?.on('data', (data) => (errors += data));
  child.once('exit', () => (endedAt = performance.now()));
  t.after(async () => {
    child.kill('SIGKILL');
    await daemon.close();
  });
  const side = await daemon.nextDriver();
  assert.deepEqual(await side.trigger(true, 2), { result: {} });
  return { daemon, side, child, said: () => said, errors: () => errors, leaseEnds: () => granted + leaseUs / 1000, endedAt: () => endedAt };
}

async function endsInTime({ child, leaseEnds, endedAt }: Play): Promise<void> {
  await eventually(() => endedAt() !== undefined, 'the process lives on');
  assert.equal(child.signalCode, 'SIGKILL');
  const after = endedAt()! - leaseEnds();
  // Other machines may start what it ran 500 ms after the lease. Stamps are older than their answers, so it may seem to end early.
  assert.ok(after < killTimeoutUs / 1000, `it ended ${after} ms after its lease`);
  assert.ok(after > killTimeoutUs / 1000 - 250, `it ended ${after} ms after its lease, long before it had to`);
}

test('A process whose event loop is in an endless loop is gone before its limit is over', async (t) => {
  const scene = await play(t, 'loop', 'certain');
  // Wrong program: waits for a timer of the event loop that never comes.
  await endsInTime(scene);
  assert.equal(scene.said(), 'start\n');
  await eventually(() => scene.errors() !== '', 'it says nothing');
  assert.match(scene.errors(), /^clustd: What runs here has not stopped in time .+ or the event loop is blocked.+\n$/);
});

test('A process whose stop hangs is gone before its limit is over, and says why', async (t) => {
  const scene = await play(t, 'hang', 'certain');
  await eventually(() => scene.said().includes('behaves'), scene.said);
  scene.daemon.renew = () => undefined;
  await endsInTime(scene);
  assert.equal(scene.said(), 'start\nbehaves\nkill\n');
  await eventually(() => scene.errors().includes('has not stopped'), scene.errors);
  // On a busy machine the watchdog may be first, which knows no names.
  assert.match(scene.errors(), /clustd: ('default'|What runs here) has not stopped in time/);
});

test('A process that is blocked in a system call, with a stderr that nobody reads, is gone as well', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'clustd-watchdog-'));
  execFileSync('mkfifo', [join(directory, 'stderr')]);
  const stderr = openSync(join(directory, 'stderr'), 'r+'); // A pipe of the kind that blocks; Node's own do not.
  t.after(() => {
    closeSync(stderr);
    rmSync(directory, { recursive: true });
  });
  const scene = await play(t, 'write', 'certain', stderr);
  // Wrong program: waits until its last line is written.
  await endsInTime(scene);
  assert.equal(scene.said(), 'start\n');
});

test('A process that was frozen past its limit is gone as soon as it thaws', async (t) => {
  const scene = await play(t, 'nothing', 'certain');
  await eventually(() => scene.said().includes('behaves'), scene.said);
  scene.child.kill('SIGSTOP');
  await pause(1_300);
  assert.equal(scene.endedAt(), undefined);
  const thawed = performance.now();
  scene.child.kill('SIGCONT');
  await eventually(() => scene.endedAt() !== undefined, 'the process lives on');
  assert.equal(scene.child.signalCode, 'SIGKILL');
  assert.ok(scene.endedAt()! - thawed < 500);
  assert.equal(scene.said().includes('stop'), false);
});

test('A process that was blocked past its lease, but not past its limit, stops what runs and lives on', async (t) => {
  const scene = await play(t, 'block800', 'certain');
  await eventually(() => scene.said().includes('kill'), scene.said);
  assert.equal(scene.said(), 'start\nbehaves\nkill\n');
  await pause(700);
  assert.equal(scene.endedAt(), undefined);
  const side = scene.side.closed === undefined ? scene.side : await scene.daemon.nextDriver();
  assert.deepEqual(await side.trigger(true, 3), { result: {} });
});

test('A process that promised nothing is not ended', async (t) => {
  const scene = await play(t, 'loop', 'best-effort');
  await pause(1_500);
  assert.equal(scene.endedAt(), undefined);
});

test('A watchdog that cannot be made says so; one that is disarmed, or ended, ends nothing', async (t) => {
  const clock = new DriverClock();
  t.after(() => clock.close());
  let changes = 0;
  const watchdog = new Watchdog(clock, () => changes++, (text) => assert.fail(text));
  assert.equal(watchdog.watches, false);
  await eventually(() => watchdog.watches === true, 'it does not watch');
  assert.equal(changes, 1);
  watchdog.arm(clock.nowUs() + 100_000);
  watchdog.arm(clock.nowUs() + 200_000);
  watchdog.arm(undefined);
  await pause(250);
  watchdog.arm(clock.nowUs() + 50_000);
  watchdog.end();
  await pause(100);
});
