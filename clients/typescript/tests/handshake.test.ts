import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriverMachine, DriverRefusedError } from '../src/index.js';
import { DaemonAddress } from '../src/connection/daemonAddress.js';
import { daemonProof, driverProof, isNonce, keyOf, matches, newNonce } from '../src/protocol/handshake.js';
import { eventually } from './harness/eventually.js';
import { RecordingDriver } from './harness/recordingDriver.js';
import { ScriptedDaemon } from './harness/scriptedDaemon.js';

test('Proofs are what the protocol document says', () => {
  const key = keyOf('correct horse battery staple');
  const client = Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('base64');
  const daemon = Buffer.from(Array.from({ length: 32 }, (_, i) => i + 32)).toString('base64');
  assert.equal(key.toString('hex'), '5136a91427f286c4cd7f3eb1aa6f006b3681215f8f57ac67907f0b2f8f726528');
  assert.equal(daemonProof(key, client, daemon), 'vqzZE0uxJBS3vUA4o9ZTi9+E+MFQeX+fBX0lPF6P2uI=');
  assert.equal(driverProof(key, client, daemon), 's9k5uiu6pl12sAVWq7iDBZVf+9s7u+upegq6vL8/KD0=');
  assert.equal(matches(daemonProof(key, client, daemon), driverProof(key, client, daemon)), false);
  assert.equal(matches(undefined, 'x'), false);
});

test('A nonce is 32 bytes of base64', () => {
  assert.equal(isNonce(newNonce()), true);
  for (const wrong of [undefined, 7, '', 'x'.repeat(44), Buffer.alloc(31).toString('base64'), Buffer.alloc(33).toString('base64')]) assert.equal(isNonce(wrong), false);
});

test('An impostor daemon gets no proof, and the driver says why', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  daemon.secret = 'another one';
  const driver = new RecordingDriver(daemon.client, daemon.url);
  await assert.rejects(driver.connect(), (error) => error instanceof DriverRefusedError && error.name === 'DriverRefusedError' && /Use the same secret here as in cluster.secret there/.test(error.message));
  assert.deepEqual(daemon.calls.map((call) => call.method), ['hello']);
});

test('A refused register is reported with the daemon\'s words, and may be tried again', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  daemon.refuse = () => ({ code: -32010, message: 'It needs 9 s. The service grants 5 s. Raise kill_timeout.' });
  const driver = new RecordingDriver(daemon.client, daemon.url);
  await assert.rejects(driver.connect(), { name: 'DriverRefusedError', message: 'It needs 9 s. The service grants 5 s. Raise kill_timeout.' });
  daemon.refuse = () => undefined;
  await driver.connect();
  assert.equal(driver.machine, 'cm-1');
  await driver.close();
});

test('A second instance waits for the first', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  let refusals = 2;
  daemon.refuse = () => (refusals-- > 0 ? { code: -32011, message: 'Another one is still there. Wait.' } : undefined);
  const driver = new RecordingDriver(daemon.client, daemon.url);
  await driver.connect();
  assert.equal(daemon.told('register').length, 3);
  await driver.close();
});

test('A daemon that is not there yet is waited for', async (t) => {
  const daemon = await ScriptedDaemon.start();
  const { port } = daemon;
  await daemon.close();
  const said: string[] = [];
  const driver = new RecordingDriver({ ...daemon.client, log: (level, text) => said.push(`${level} ${text}`) }, `ws://127.0.0.1:${port}`);
  const connecting = driver.connect();
  await eventually(() => said.length > 0, 'it does not say what it waits for');
  assert.match(said[0]!, /^warning Cannot connect to the daemon at 127\.0\.0\.1:\d+: connection refused\. Start clustd there or correct the address\.$/);
  const late = await ScriptedDaemon.start(port);
  t.after(() => late.close());
  await connecting;
  assert.equal(said.filter((line) => line.startsWith('warning')).length, 1);
  await driver.close();
});

test('Waiting for a daemon can be given up, by a signal and by closing', async () => {
  const daemon = await ScriptedDaemon.start();
  const { url } = daemon;
  await daemon.close();
  const first = new RecordingDriver(daemon.client, url);
  await assert.rejects(first.connect(AbortSignal.timeout(50)), { name: 'TimeoutError' });
  await assert.rejects(first.connect(), /was closed/);
  const second = new RecordingDriver(daemon.client, url);
  const connecting = assert.rejects(second.connect(), { name: 'DriverRefusedError' });
  await second.close();
  await connecting;
});

test('Addresses may be written in short', () => {
  for (const [text, url] of [
    ['ws://127.0.0.1:3001', 'ws://127.0.0.1:3001/v1/driver'],
    ['127.0.0.1:4000', 'ws://127.0.0.1:4000/v1/driver'],
    ['localhost', 'ws://localhost:3001/v1/driver'],
    ['ws://[::1]:3001/', 'ws://[::1]:3001/v1/driver'],
    ['ws://127.0.0.1:3001/other?x=1', 'ws://127.0.0.1:3001/other?x=1'],
  ] as const)
    assert.equal(DaemonAddress.parse(text).url, url);
});

test('Addresses and clients that cannot work are refused in three parts', () => {
  for (const host of ['wss://127.0.0.1', 'http://127.0.0.1', 'ws://', '', 'ws://a b'])
    assert.throws(() => new RecordingDriver({ secret: 's' }, host), (error) => error instanceof TypeError && /^Cannot use .+: .+\. Write it like/.test(error.message));
  assert.throws(() => new RecordingDriver({ secret: '' }, 'ws://h'), /without a secret/);
  assert.throws(() => new RecordingDriver({ secret: 's', stop: 'sometimes' as 'certain' }, 'ws://h'), /Cannot use `stop`/);
  assert.throws(() => new RecordingDriver({ secret: 's', killTimeoutMs: -1 }, 'ws://h'), /Cannot use `killTimeoutMs`/);
  const Nothing = DriverMachine as unknown as new (client: object, host: string) => DriverMachine;
  assert.throws(() => new Nothing({ secret: 's' }, 'ws://h'), /no method `trigger`/);
});

test('The default name has no random part, and the default id has', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  const driver = new RecordingDriver({ secret: daemon.secret }, daemon.url);
  await driver.connect();
  const { registration } = await daemon.nextDriver();
  assert.equal(registration.name, driver.name);
  assert.match(registration.id, new RegExp(`^${driver.name}-[0-9a-f]{8}$`));
  assert.equal(JSON.stringify(daemon.calls).includes(daemon.secret), false);
  await driver.close();
});
