import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { eventually, pause } from './harness/eventually.js';
import { RecordingDriver, stage } from './harness/recordingDriver.js';
import { secret } from './harness/scriptedDaemon.js';

for (const [what, garbage, code] of [
  ['no JSON', '{"jsonrpc":', 1007],
  ['a batch', '[{"jsonrpc":"2.0","method":"cancel"}]', 1007],
  ['another version', '{"jsonrpc":"1.0","id":1,"method":"trigger"}', 1007],
  ['neither method nor id', '{"jsonrpc":"2.0"}', 1007],
  ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":7}', 1007],
  ['an id that no answer can carry', '{"jsonrpc":"2.0","id":1e400,"method":"trigger"}', 1007],
  ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"trigger"}', 1007],
  ['an error that is a text', '{"jsonrpc":"2.0","id":1,"error":"x"}', 1007],
  ['bytes', Buffer.from('{}'), 1003],
  ['too much', JSON.stringify({ jsonrpc: '2.0', method: 'x', params: 'x'.repeat(262_144) }), 1009],
] as const)
  test(`Garbage closes the connection with a reason, and the driver comes back: ${what}`, async (t) => {
    const { daemon, driver, side } = await stage(t);
    await side.trigger(true, 2);
    side.socket.send(garbage, { binary: typeof garbage !== 'string' });
    await eventually(() => side.closed !== undefined, 'it stays');
    assert.equal(side.closed!.code, code);
    await daemon.nextDriver();
    assert.deepEqual(driver.story, ['start 2', 'started 2']);
  });

test('A message may have 262,144 bytes', async (t) => {
  const { side } = await stage(t);
  const empty = JSON.stringify({ jsonrpc: '2.0', method: 'x', params: '' }).length;
  side.send({ jsonrpc: '2.0', method: 'x', params: 'x'.repeat(262_144 - empty) });
  assert.deepEqual(await side.trigger(true, 2), { result: {} });
});

test('A trigger that makes no sense is answered, and starts nothing', async (t) => {
  const { driver, side } = await stage(t);
  const right = { service: 'default', isMaster: true, token: 2, reason: '', sequence: 1, limitUs: 1_000_000, kill: false };
  const wrong = [
    undefined, null, 7, 'x', [], {},
    ...(['service', 'isMaster', 'token', 'sequence'] as const).flatMap((field) => [{ ...right, [field]: undefined }, { ...right, [field]: null }, { ...right, [field]: {} }]),
    { ...right, token: '2' }, { ...right, token: 2.5 }, { ...right, limitUs: 'x' }, { ...right, limitUs: null }, { ...right, kill: 1 }, { ...right, reason: 7 },
    { ...right, service: 'another' }, { ...right, service: '__proto__' },
  ];
  for (const params of wrong) assert.equal((await side.request('trigger', params)).error?.code, -32602, JSON.stringify(params));
  assert.deepEqual(driver.story, []);
  assert.deepEqual(await side.request('trigger', { ...right, more: 'from a newer daemon' }), { result: {} });
});

test('Unknown methods are answered, unknown notifications are not; ids go back as they came', async (t) => {
  const { driver, side } = await stage(t);
  assert.equal((await side.request('dance', {}, 'a text')).error?.code, -32601);
  side.send({ jsonrpc: '2.0', method: 'dance' });
  for (const params of [undefined, null, [], { service: 'default' }, { service: 7, sequence: 1 }]) side.send({ jsonrpc: '2.0', method: 'cancel', params });
  assert.deepEqual(await side.request('cancel', { service: 'default', sequence: 1 }, 0), { result: {} });
  assert.deepEqual(driver.story, []);
});

test('Answers that nobody waits for, and renewals that make no sense, change nothing', async (t) => {
  const { daemon, driver, side } = await stage(t, {}, (prepared) => (prepared.terms.leaseUs = 60_000_000));
  await side.trigger(true, 2);
  for (const id of [1, 999_999, -1, 'x']) side.send({ jsonrpc: '2.0', id, result: { stamp: 1, leftUs: 0 } });
  const answers: object[] = [{}, { stamp: 'x', leftUs: 0 }, { leftUs: 0 }, { stamp: 1, leftUs: '0' }, { stamp: 1, leftUs: 0, shortens: 'yes' }, { stamp: 1, leftUs: 0 }];
  let asked = 0;
  daemon.renew = ({ stamp }) => answers[asked++] ?? { stamp, leftUs: 900_000 };
  await eventually(() => asked > answers.length, 'it does not renew');
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
  assert.equal(driver.lease.isValid, true);
});

// Wrong program: overlooks what it cannot read, and what fences starts without a fence.
test('Those that must be off first reach user code, and nonsense there is refused', async (t) => {
  const { driver, side } = await stage(t);
  await side.trigger(true, 2, { takesOverFrom: ['cm-2'] });
  assert.deepEqual(driver.contexts[0]!.takesOverFrom, ['cm-2']);
  for (const takesOverFrom of ['cm-2', [7], {}]) assert.equal((await side.trigger(true, 3, { takesOverFrom })).error?.code, -32602);
});

test('Terms that make no sense are not taken, and asked for again', async (t) => {
  const terms = [{ leaseUs: 'x' }, { leaseUs: 1_000 }, { renewEveryUs: 0 }, { killTimeoutUs: -1 }, { services: 'default' }, { services: [7] }, { machine: null }];
  let asked = 0;
  const { daemon } = await stage(t, {}, (prepared) => {
    const right = { ...prepared.terms };
    prepared.refuse = () => {
      const wrong = terms[asked++];
      Object.assign(prepared, { terms: { ...right, ...wrong } });
      return undefined;
    };
  });
  assert.equal(daemon.told('register').length, terms.length + 1);
});

test('A flood is answered or refused, without running user code more than once', async (t) => {
  const { driver, side } = await stage(t);
  driver.onStart = driver.hang;
  const answers = Array.from({ length: 500 }, () => side.trigger(true, 2).then((answer) => answer.error?.code ?? 0, () => -1));
  await driver.happens('start 2');
  await pause(30);
  driver.over.open();
  const codes = await Promise.all(answers);
  assert.deepEqual([...new Set(codes)].sort(), [-32003, 0].sort());
  assert.equal(codes.filter((code) => code === 0).length, 16);
  assert.deepEqual(driver.story, ['start 2', 'started 2']);
});

for (const answer of ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', 'SSH-2.0-OpenSSH_9.2\r\n', 'HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n', ''])
  test(`Something else on the port is told apart, and tried again: ${JSON.stringify(answer.slice(0, 20))}`, async (t) => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.on('error', () => {});
      socket.end(answer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const said: string[] = [];
    const driver = new RecordingDriver({ secret, log: (_, text) => said.push(text) }, `127.0.0.1:${(server.address() as { port: number }).port}`);
    const connecting = assert.rejects(driver.connect(), { name: 'DriverRefusedError' });
    await eventually(() => connections >= 2, 'it gives up');
    assert.match(said[0]!, /^Cannot connect to the daemon at .+: .+\. Start clustd there or correct the address\.$/);
    await driver.close();
    await connecting;
  });
