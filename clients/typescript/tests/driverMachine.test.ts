import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, pause } from './harness/eventually.js';
import { Gate, RecordingDriver, stage } from './harness/recordingDriver.js';

test('It registers with all that the daemon must know', async (t) => {
  const { side, driver } = await stage(t, { name: 'web', services: ['web', 'mail'], order: 3, stopTimeoutMs: 3_000, killTimeoutMs: 200, required: true, fences: ['cm-2'] });
  const { instance, ...rest } = side.registration;
  assert.match(instance, /^[0-9a-f]{32}$/);
  assert.equal(instance, driver.instance);
  assert.deepEqual(rest, {
    name: 'web',
    id: 'test-driver',
    services: ['web', 'mail'],
    order: 3,
    required: true,
    stop: 'certain',
    stopTimeoutUs: 3_000_000,
    killTimeoutUs: 200_000,
    fences: ['cm-2'],
    processId: process.pid,
    states: [],
  });
});

test('It renews at once and says what it counts to hold', async (t) => {
  const { daemon } = await stage(t);
  await eventually(() => daemon.told('renew').length >= 3, 'it does not renew');
  const renewals = daemon.told('renew') as { stamp: number; leftUs: number }[];
  assert.equal(renewals[0]!.leftUs, 0);
  const late = renewals[2]!;
  assert.ok(late.leftUs > 500_000 && late.leftUs <= 900_000, `${late.leftUs}`);
  assert.ok(renewals.every((renewal) => Number.isInteger(renewal.stamp) && Number.isInteger(renewal.leftUs)));
});

test('Triggers reach user code one at a time, in order, and are answered after it', async (t) => {
  const { driver, side } = await stage(t);
  const gate = new Gate();
  driver.onStop = () => gate.opened;
  let answered = 0;
  const stop = side.trigger(false, 1).then(() => answered++);
  const start = side.trigger(true, 2).then(() => answered++);
  await driver.happens('stop 1');
  await pause(60);
  // Wrong program: begins the start while the stop is in flight, or answers a stop that has not returned.
  assert.deepEqual(driver.story, ['stop 1']);
  assert.equal(answered, 0);
  gate.open();
  await Promise.all([stop, start]);
  assert.deepEqual(driver.story, ['stop 1', 'stopped 1', 'start 2', 'started 2']);
});

test('A start is told all about itself', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 7, { reason: 'cm-2 was lost', limitUs: 30_000_000 });
  const { signal, lease, ...rest } = driver.contexts[0]!;
  assert.deepEqual(rest, { service: 'default', isMaster: true, token: 7, reason: 'cm-2 was lost', limitMs: 30_000, kill: false, takesOverFrom: [] });
  assert.equal(signal.aborted, false);
  assert.equal(lease, driver.lease);
  assert.equal(lease!.token, 7);
  assert.ok(lease!.remainingMs > 500 && lease!.remainingMs <= 900);
});

test('A trigger that was acknowledged is acknowledged again, and not carried out again', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 2);
  assert.deepEqual(await side.trigger(true, 2), { result: {} });
  await side.trigger(false, 2);
  assert.deepEqual(await side.trigger(false, 2), { result: {} });
  assert.deepEqual(driver.story, ['start 2', 'started 2', 'stop 2', 'stopped 2']);
});

test('The same start said again while it is in flight is one call with two answers', async (t) => {
  const { driver, side } = await stage(t);
  const gate = new Gate();
  driver.onStart = () => gate.opened;
  const first = side.trigger(true, 2);
  await driver.happens('start 2');
  const second = side.trigger(true, 2);
  await pause(20);
  gate.open();
  assert.deepEqual(await Promise.all([first, second]), [{ result: {} }, { result: {} }]);
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
});

test('A start in flight is cancelled by the stop, which follows when it has returned', async (t) => {
  const { driver, side } = await stage(t);
  const gate = new Gate();
  let aborted = false;
  driver.onStart = async ({ signal }) => {
    signal.addEventListener('abort', () => (aborted = true));
    await gate.opened;
  };
  const start = side.trigger(true, 2);
  await driver.happens('start 2');
  const stop = side.trigger(false, 2);
  await eventually(() => aborted, 'the start was not cancelled');
  await pause(20);
  assert.deepEqual(driver.story, ['start 2']);
  gate.open();
  assert.equal((await start).error?.code, -32002);
  assert.deepEqual(await stop, { result: {} });
  assert.deepEqual(driver.story, ['start 2', 'started 2', 'stop 2', 'stopped 2']);
});

test('A cancelled start may end as what is aborted ends in JavaScript', async (t) => {
  const { driver, side } = await stage(t);
  driver.onStart = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  const start = side.trigger(true, 2);
  await driver.happens('start 2');
  side.cancel();
  assert.equal((await start).error?.code, -32002);
});

test('Cancel ends the start that it names and no other', async (t) => {
  const { driver, side } = await stage(t);
  const gate = new Gate();
  driver.onStart = () => gate.opened;
  const start = side.trigger(true, 2);
  await driver.happens('start 2');
  side.cancel(side.lastSequence + 1);
  side.cancel(side.lastSequence, 'another');
  await pause(30);
  assert.equal(driver.contexts[0]!.signal.aborted, false);
  side.cancel();
  await eventually(() => driver.contexts[0]!.signal.aborted, 'it was not cancelled');
  gate.open();
  assert.equal((await start).error?.code, -32002);
});

test('An exception of user code is the answer, and nothing worse', async (t) => {
  const { driver, side } = await stage(t);
  driver.onStart = () => {
    throw new Error('the port is taken');
  };
  assert.deepEqual((await side.trigger(true, 2)).error, { code: -32001, message: 'the port is taken' });
  // Wrong program: does it again on top of what the failed one left half done.
  assert.deepEqual((await side.trigger(true, 2)).error, { code: -32001, message: 'the port is taken' });
  assert.deepEqual(driver.story, ['start 2']);
  driver.onStop = () => Promise.reject('a text');
  assert.deepEqual((await side.trigger(false, 2)).error, { code: -32001, message: 'a text' });
  driver.onStop = () => {};
  await side.trigger(false, 2);
  driver.onStart = () => {};
  assert.deepEqual(await side.trigger(true, 2), { result: {} });
});

test('What cannot be made a text may be thrown as well', async (t) => {
  const { driver, side } = await stage(t);
  driver.onStart = () => Promise.reject(Object.create(null));
  assert.equal((await side.trigger(true, 2)).error?.code, -32001);
});

test('A start with an older token is refused', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 5);
  await side.trigger(false, 5);
  assert.equal((await side.trigger(true, 4)).error?.code, -32602);
  assert.equal(driver.story.includes('start 4'), false);
});

test('A start waits for a lease, and fails without one', async (t) => {
  const { daemon, driver, side } = await stage(t, {}, (prepared) => (prepared.renew = ({ stamp }) => ({ stamp })));
  assert.equal((await side.trigger(true, 2, { limitUs: 150_000 })).error?.code, -32004);
  assert.deepEqual(driver.story, []);
  const start = side.trigger(true, 3);
  await pause(50);
  assert.deepEqual(driver.story, []);
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 900_000 });
  assert.deepEqual(await start, { result: {} });
});

test('A start that waits for its lease is forgotten with its connection', async (t) => {
  const { daemon, driver, side } = await stage(t, {}, (prepared) => (prepared.renew = ({ stamp }) => ({ stamp })));
  void side.trigger(true, 2).catch(() => {});
  await pause(50);
  side.cut();
  const next = await daemon.nextDriver();
  assert.deepEqual(next.registration.states, []);
  daemon.renew = ({ stamp }) => ({ stamp, leftUs: 900_000 });
  await eventually(() => driver.leaseOf() === undefined && daemon.told('renew').some((renewal) => Number(renewal['leftUs']) > 0), 'there is no lease');
  // Wrong program: starts behind the back of a daemon that was told that nothing runs.
  assert.deepEqual(driver.story, []);
});

test('A lost connection stops nothing, and the next register says what runs', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  side.cut();
  const next = await daemon.nextDriver();
  assert.deepEqual(next.registration.states, [{ service: 'default', isMaster: true, token: 2, unsettled: false }]);
  assert.equal(next.registration.instance, side.registration.instance);
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
  assert.equal(driver.lease.isValid, true);
  assert.deepEqual(await next.trigger(true, 2), { result: {} });
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
});

test('A start in flight counts as running, and is unsettled, when the connection is lost', async (t) => {
  const { daemon, driver, side } = await stage(t);
  const gate = new Gate();
  driver.onStart = () => gate.opened;
  void side.trigger(true, 2).catch(() => {});
  await driver.happens('start 2');
  side.cut();
  const next = await daemon.nextDriver();
  assert.deepEqual(next.registration.states, [{ service: 'default', isMaster: true, token: 2, unsettled: true }]);
  const told = next.trigger(true, 2);
  gate.open();
  assert.deepEqual(await told, { result: {} });
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
});

test('A stop in flight, and one that has failed, are unsettled as well', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  const gate = new Gate();
  driver.onStop = () => gate.opened;
  void side.trigger(false, 2).catch(() => {});
  await driver.happens('stop 2');
  side.cut();
  const second = await daemon.nextDriver();
  assert.deepEqual(second.registration.states, [{ service: 'default', isMaster: true, token: 2, unsettled: true }]);
  gate.open();
  await driver.happens('stopped 2');
  await second.trigger(true, 3);
  driver.onStop = () => Promise.reject(new Error('it hangs'));
  assert.equal((await second.trigger(false, 3)).error?.code, -32001);
  second.cut();
  assert.deepEqual((await daemon.nextDriver()).registration.states, [{ service: 'default', isMaster: true, token: 3, unsettled: true }]);
});

test('What has stopped is told as stopped', async (t) => {
  const { daemon, side } = await stage(t);
  await side.trigger(true, 2);
  await side.trigger(false, 2);
  side.cut();
  assert.deepEqual((await daemon.nextDriver()).registration.states, [{ service: 'default', isMaster: false, token: 2, unsettled: false }]);
});

test('Reports reach the daemon, over as many connections as that needs', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await driver.reportHealth('default', false, 'slow');
  await driver.reportEvent('warning', 'x'.repeat(10_000));
  await driver.reportFailed('default', 'nothing runs, so there is nothing to tell');
  await side.trigger(true, 2);
  side.cut();
  await driver.reportFailed('default', 'it crashed');
  assert.deepEqual(daemon.told('health'), [{ service: 'default', ok: false, detail: 'slow' }]);
  assert.deepEqual(daemon.told('event'), [{ level: 'warning', text: 'x'.repeat(4_000) }]);
  assert.deepEqual(daemon.told('failed'), [{ service: 'default', token: 2, reason: 'it crashed' }]);
});

test('Nothing can be reported before the driver was connected, or after it was closed', async (t) => {
  const { driver } = await stage(t);
  await driver.close();
  await driver.reportFailed('default', 'nothing runs');
  await assert.rejects(driver.reportHealth('default', true), /Cannot report 'health': the driver was closed/);
  const other = new RecordingDriver({ secret: 's' }, 'ws://127.0.0.1:1');
  await assert.rejects(other.reportEvent('info', 'x'), /never connected/);
});

test('A failure is never reported for what has been started since', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  await eventually(() => driver.isConnected, 'not connected');
  side.cut();
  await eventually(() => !driver.isConnected, 'still connected');
  daemon.refuse = () => ({ code: -32011, message: 'Wait.' });
  const told = driver.reportFailed('default', 'it crashed');
  daemon.renew = () => undefined;
  await driver.happens('stopped 2 kill');
  daemon.refuse = () => undefined;
  await told;
  assert.deepEqual(daemon.told('failed'), []);
});

test('Closing stops what runs, says so, and closes properly', async (t) => {
  const { daemon, driver, side } = await stage(t);
  await side.trigger(true, 2);
  const { lease } = driver;
  await driver.close();
  assert.equal(lease.isValid, false);
  assert.equal(lease.signal.aborted, true);
  assert.deepEqual(driver.story.slice(2), ['stop 2', 'stopped 2']);
  assert.deepEqual(daemon.told('stopped').map(({ name, service, token, instance }) => ({ name, service, token, instance })), [
    { name: 'test-driver', service: 'default', token: 2, instance: driver.instance },
  ]);
  await eventually(() => side.closed !== undefined, 'the connection is still open');
  assert.deepEqual(side.closed, { code: 1000, reason: 'the driver is shutting down' });
  assert.equal(daemon.told('register').length, 1);
});

test('While it closes, a driver starts nothing any more', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 2);
  const gate = new Gate();
  driver.onStop = () => gate.opened;
  const closing = driver.close();
  await driver.happens('stop 2');
  assert.equal((await side.trigger(true, 3)).error?.code, -32005);
  gate.open();
  await closing;
  assert.equal(driver.story.includes('start 3'), false);
});

test('Services do not wait for each other', async (t) => {
  const { driver, side } = await stage(t, { services: ['a', 'b'] }, (daemon) => (daemon.terms.services = ['a', 'b']));
  const gate = new Gate();
  driver.onStart = ({ service }) => (service === 'a' ? gate.opened : undefined);
  const slow = side.trigger(true, 2, { service: 'a' });
  assert.deepEqual(await side.trigger(true, 3, { service: 'b' }), { result: {} });
  assert.equal(driver.story.includes('a started 2'), false);
  gate.open();
  await slow;
  assert.throws(() => driver.leaseOf(), /Name the service/);
  assert.equal(driver.leaseOf('b')?.token, 3);
});

test('It says when it is connected, when not, and when the lease changes; a listener that throws does no harm', async (t) => {
  const { daemon, driver, side } = await stage(t);
  const heard = new Set<string>();
  for (const event of ['connected', 'disconnected', 'lease'] as const)
    driver.on(event, () => {
      heard.add(event);
      throw new Error('a listener');
    });
  side.cut();
  await daemon.nextDriver();
  await eventually(() => heard.size === 3, () => `only ${[...heard].join()}`);
  assert.equal(driver.isConnected, true);
});
