import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, pause } from './harness/eventually.js';
import { Gate, stage } from './harness/recordingDriver.js';
import type { Call, Renewal } from './harness/scriptedDaemon.js';

const short = ({ stamp }: Renewal): object => ({ stamp, leftUs: 200_000 });
const cannotTell = ({ stamp }: Renewal): object => ({ stamp });

test('A master stops by itself when the lease is over, and proves it', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  const { lease } = driver;
  daemon.renew = cannotTell;
  await driver.happens('stopped 2 kill');
  const stop = driver.contexts[1]!;
  assert.equal(stop.kill, true);
  assert.equal(stop.lease, lease);
  assert.equal(lease.isValid, false);
  assert.equal(lease.signal.aborted, true);
  assert.equal(driver.contexts[0]!.signal.aborted, true);
  await eventually(() => daemon.told('stopped').length === 1, 'the stop was not proven');
  assert.equal(daemon.told('stopped')[0]!['token'], 2);
});

test('The lease is over on time by the clock, with or without a connection', async (t) => {
  let now = 1_000_000;
  const { daemon, driver, side } = await stage(t, { clock: () => now, endProcess: () => {} });
  await side.trigger(true, 2);
  daemon.renew = () => undefined;
  const end = now + 900_000;
  side.cut();
  now = end - 1_000;
  await pause(60);
  // Wrong program: takes the lost connection for a stop.
  assert.equal(driver.story.includes('stop 2 kill'), false);
  assert.equal(driver.lease.isValid, true);
  now = end;
  assert.equal(driver.lease.isValid, false);
  await driver.happens('stopped 2 kill');
});

test('However late the answer is read, the lease counts from when it was asked for', async (t) => {
  let now = 1_000_000;
  const { daemon, driver, side } = await stage(t, { clock: () => now, endProcess: () => {} });
  await side.trigger(true, 2);
  daemon.renew = () => undefined;
  const before = daemon.calls.length;
  now += 100_000;
  const asked = now;
  const renewal = (): Call | undefined => daemon.calls.slice(before).find((call) => call.method === 'renew' && call.params['stamp'] === asked);
  await eventually(() => renewal() !== undefined, 'it does not renew');
  now += 300_000;
  const { id, params } = renewal()!;
  side.send({ jsonrpc: '2.0', id, result: { stamp: params['stamp'], leftUs: 900_000 } });
  await eventually(() => driver.lease.remainingMs > 500, 'the answer was not taken');
  // Wrong program: 900 ms from when the answer was read.
  assert.equal(driver.lease.remainingMs, 600);
});

test('Being told that there is no lease is its end, however long it was', async (t) => {
  let now = 1_000_000;
  const { daemon, driver, side } = await stage(t, { clock: () => now, endProcess: () => {} }, (prepared) => (prepared.renew = ({ stamp }) => ({ stamp, leftUs: 15_000_000 })));
  await side.trigger(true, 2);
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 0 });
  now += 100_000;
  await driver.happens('stopped 2 kill');
  assert.equal(now, 1_100_000);
});

test('A daemon that cannot tell yet stops nothing while the lease lasts', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: null });
  await pause(300);
  assert.equal(driver.lease.isValid, true);
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
});

test('A long lease is given up for an ordinary one when the daemon says so, and only then', async (t) => {
  const { daemon, driver, side } = await stage(t, {}, (prepared) => (prepared.renew = ({ stamp }) => ({ stamp, leftUs: 15_000_000 })));
  await side.trigger(true, 2);
  const renewed = (): number => daemon.told('renew').length;
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 900_000 });
  const before = renewed();
  await eventually(() => renewed() > before + 2, 'it does not renew');
  assert.ok(driver.lease.remainingMs > 10_000);
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 900_000, shortens: true });
  const asked = performance.now();
  await eventually(() => driver.lease.remainingMs <= 900, 'the lease stays long');
  assert.equal(driver.lease.isValid, true);
  // Wrong program: lets time end the long one.
  assert.ok(performance.now() - asked < 5_000);
});

test('After the lease ended the daemon says start again, and it starts again with another lease', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  const first = driver.lease;
  daemon.renew = cannotTell;
  await driver.happens('stopped 2 kill');
  daemon.renew = short;
  assert.deepEqual(await side.trigger(true, 2), { result: {} });
  assert.notEqual(driver.lease, first);
  assert.equal(first.isValid, false);
  assert.equal(driver.lease.isValid, true);
});

test('A start in flight is cancelled when the lease ends, and the stop follows', async (t) => {
  const { daemon, driver, side } = await stage(t);
  driver.onStart = ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
  const start = side.trigger(true, 2);
  await driver.happens('start 2');
  daemon.renew = cannotTell;
  assert.equal((await start).error?.code, -32002);
  await driver.happens('stopped 2 kill');
});

test('A planned stop aborts the signal, and leaves the lease valid until it is done', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 2);
  const { lease } = driver;
  const gate = new Gate();
  driver.onStop = () => gate.opened;
  const stop = side.trigger(false, 2);
  await driver.happens('stop 2');
  assert.equal(lease.signal.aborted, true);
  assert.equal(lease.isValid, true);
  gate.open();
  await stop;
  assert.equal(lease.isValid, false);
  assert.equal(driver.leaseOf(), undefined);
});

test('A planned stop in flight becomes one that cannot wait', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 2);
  const { lease } = driver;
  driver.onStop = ({ kill, signal }) => (kill ? undefined : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))));
  const planned = side.trigger(false, 2);
  await driver.happens('stop 2');
  const urgent = side.trigger(false, 2, { kill: true, limitUs: 5_000_000 });
  assert.equal((await planned).error?.code, -32002);
  assert.deepEqual(await urgent, { result: {} });
  assert.equal(lease.isValid, false);
  assert.deepEqual(driver.story.slice(2), ['stop 2', 'stop 2 kill', 'stopped 2 kill']);
});

test('A stop that cannot wait ends the lease before user code hears of it', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 2);
  const { lease } = driver;
  let wasValid: boolean | undefined;
  driver.onStop = () => void (wasValid = lease.isValid);
  await side.trigger(false, 2, { kill: true });
  assert.equal(wasValid, false);
});

test('A stop that does not return ends the process just before the deadline, and a new lease does not call it off', async (t) => {
  let now = 1_000_000;
  const ends: { at: number; message: string }[] = [];
  const { daemon, driver, side } = await stage(t, { clock: () => now, endProcess: (message) => ends.push({ at: now, message }) });
  await side.trigger(true, 2);
  driver.onStop = driver.hang;
  daemon.renew = () => undefined;
  side.cut();
  const over = (now += 900_000);
  await driver.happens('stop 2 kill');
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 900_000 });
  const next = await daemon.nextDriver();
  assert.deepEqual(next.registration.states, [{ service: 'default', isMaster: true, token: 2, unsettled: true }]);
  const renewals = daemon.told('renew').length;
  const holdsAgain = (): boolean => daemon.told('renew').slice(renewals).some((renewal) => Number(renewal['leftUs']) > 0);
  await eventually(() => (now += 1_000) < over + 400_000 && holdsAgain(), 'there is no new lease');
  now = over + 449_000;
  await pause(60);
  assert.equal(ends.length, 0);
  now = over + 450_000; // kill_timeout 500 ms, less 50 ms for the end itself.
  await eventually(() => ends.length > 0, 'the process lives on');
  assert.match(ends[0]!.message, /'default' has not stopped in time: .+ This process ends itself, as it promised \(stop: certain\)\./);
  await pause(60);
  assert.equal(ends.length, 1);
});

test('A kill of the daemon has a deadline too', async (t) => {
  let now = 1_000_000;
  let ended = false;
  const { driver, side } = await stage(t, { clock: () => now, endProcess: () => (ended = true) });
  await side.trigger(true, 2);
  driver.onStop = driver.hang;
  void side.trigger(false, 2, { kill: true, limitUs: 300_000 }).catch(() => {});
  await driver.happens('stop 2 kill');
  now += 269_000;
  await pause(60);
  assert.equal(ended, false);
  now += 1_000;
  await eventually(() => ended, 'the process lives on');
});

for (const [stop, registeredAs] of [['best-effort', 'best-effort'], ['certain-by-guard', 'certain']] as const)
  test(`A process that is not to end itself is not ended: ${stop}`, async (t) => {
    let now = 1_000_000;
    let ended = false;
    const said: string[] = [];
    const { daemon, driver, side } = await stage(t, { stop, clock: () => now, endProcess: () => (ended = true), log: (level, text) => said.push(`${level} ${text}`) });
    assert.equal(side.registration.stop, registeredAs);
    await side.trigger(true, 2);
    driver.onStop = driver.hang;
    daemon.renew = () => undefined;
    now += 5_000_000;
    await eventually(() => said.some((line) => line.startsWith("error 'default' has not stopped in time")), () => said.join('\n'));
    assert.equal(ended, false);
  });

test('A standby does nothing when the lease ends', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(false, 1);
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 0 });
  await pause(60);
  assert.deepEqual(driver.story, ['stop 1', 'stopped 1']);
});

test('A daemon that is silent is left, and another connection made', async (t) => {
  const { daemon, driver, side } = await stage(t, {}, (prepared) => (prepared.terms.leaseUs = 200_000));
  await side.trigger(true, 2);
  daemon.renew = () => undefined;
  await eventually(() => side.closed !== undefined, 'it stays');
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 900_000 });
  await daemon.nextDriver();
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
});

test('Closing with a stop that fails leaves the lease and the deadline in force', async (t) => {
  let now = 1_000_000;
  let ended = false;
  const { driver, side } = await stage(t, { clock: () => now, endProcess: () => (ended = true) });
  await side.trigger(true, 2);
  driver.onStop = () => Promise.reject(new Error('no'));
  await driver.close();
  const before = driver.story.filter((line) => line.startsWith('stop')).length;
  now += 900_000;
  await driver.happens('stop 2 kill');
  assert.ok(driver.story.length > before);
  now += 450_000;
  await eventually(() => ended, 'the deadline was forgotten');
});
