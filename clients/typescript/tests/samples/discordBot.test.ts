import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocketServer, type WebSocket } from 'ws';
import { Program } from '../harness/consumer.js';
import { eventually, pause } from '../harness/eventually.js';
import { FakeApi } from '../harness/fakeApi.js';
import { ScriptedDaemon, secret, type DaemonSide } from '../harness/scriptedDaemon.js';

interface Payload {
  op: number;
  d: Record<string, unknown> | number | null;
}

/** Discord, as far as a bot sees it. */
class FakeDiscord {
  readonly sent: { path: string; content: string; authorization: string }[] = [];
  readonly received: Payload[] = [];
  gateway: WebSocket | undefined; // The one that is connected.
  closed: number[] = [];
  heartbeatInterval = 60;
  acknowledges = true;
  refusal: number | undefined;
  private api!: FakeApi;
  private sequence = 0;

  static async start(t: { after(fn: () => Promise<void>): void }): Promise<FakeDiscord> {
    const discord = new FakeDiscord();
    discord.api = await new FakeApi(t, (request, body, reply) => {
      const authorization = String(request.headers.authorization);
      if (discord.refusal !== undefined) reply.json({ message: 'no' }, discord.refusal);
      else if (request.url === '/gateway/bot') reply.json({ url: `ws://${discord.api.host}` });
      else {
        discord.sent.push({ path: request.url!, content: String(body['content']), authorization });
        reply.json({ id: '1' });
      }
    }).start();
    const server = new WebSocketServer({ server: discord.api.server });
    server.on('connection', (socket) => discord.connected(socket));
    t.after(async () => server.clients.forEach((socket) => socket.terminate()));
    return discord;
  }

  get url(): string {
    return `http://${this.api.host}`;
  }

  got(op: number): Payload[] {
    return this.received.filter((payload) => payload.op === op);
  }

  dispatch(type: string, data: object): void {
    this.gateway!.send(JSON.stringify({ op: 0, t: type, s: ++this.sequence, d: data }));
  }

  /** Somebody writes to the bot. */
  write(content: string): void {
    this.dispatch('MESSAGE_CREATE', { id: String(this.sequence), channel_id: '9', content, author: { id: '5' } });
  }

  private connected(socket: WebSocket): void {
    this.gateway = socket;
    socket.send(JSON.stringify({ op: 10, d: { heartbeat_interval: this.heartbeatInterval } }));
    socket.on('message', (text) => {
      const payload = JSON.parse(String(text)) as Payload;
      this.received.push(payload);
      if (payload.op === 1 && this.acknowledges) socket.send(JSON.stringify({ op: 11 }));
      if (payload.op === 2) this.dispatch('READY', { session_id: 'S1', resume_gateway_url: `ws://${this.api.host}` });
      if (payload.op === 6) this.dispatch('RESUMED', {});
    });
    socket.on('close', (code) => {
      this.closed.push(code);
      if (this.gateway === socket) this.gateway = undefined;
    });
  }
}

interface Scene {
  daemon: ScriptedDaemon;
  discord: FakeDiscord;
  bot: Program;
  side: DaemonSide;
}

async function scene(t: { after(fn: () => Promise<void>): void }): Promise<Scene> {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  const discord = await FakeDiscord.start(t);
  const env = { CLUSTD_SECRET: secret, CLUSTD_URL: daemon.url, DISCORD_TOKEN: 'token', DISCORD_API: discord.url };
  return { daemon, discord, bot: new Program(t, process.execPath, ['discord-bot/bot.mjs'], env), side: await daemon.nextDriver() };
}

const identified = (discord: FakeDiscord, times = 1) => eventually(() => discord.got(2).length === times, 'it does not identify itself');

test('The Discord bot is online only while it is master, leaves at once, and comes back', async (t) => {
  const { discord, bot, side } = await scene(t);
  await side.trigger(false, 1);
  await pause(100);
  assert.equal(discord.gateway, undefined);

  await side.trigger(true, 2);
  await identified(discord);
  assert.equal((discord.got(2)[0]!.d as Record<string, unknown>)['token'], 'token');
  discord.write('hello');
  await eventually(() => discord.sent.length === 1, 'it does not answer');
  assert.deepEqual(discord.sent[0], { path: '/channels/9/messages', content: 'You said: hello', authorization: 'Bot token' });
  await eventually(() => discord.got(1).length >= 2, 'its heart does not beat');
  assert.equal(discord.got(1).at(-1)!.d, 2);

  const told = performance.now();
  assert.deepEqual(await side.trigger(false, 2), { result: {} });
  assert.ok(performance.now() - told < 5_000);
  await eventually(() => discord.gateway === undefined, 'it is still online');
  assert.deepEqual(discord.closed, [1000]);

  await side.trigger(true, 3);
  await identified(discord, 2);
  discord.write('again');
  await bot.says('under token 3: again');
});

test('While master, it resumes its session on another connection', async (t) => {
  const { discord, side } = await scene(t);
  await side.trigger(true, 2);
  await identified(discord);
  await eventually(() => discord.got(1).length > 0, 'its heart does not beat');
  discord.gateway!.terminate();
  await eventually(() => discord.got(6).length === 1, 'it does not resume');
  assert.deepEqual(discord.got(6)[0]!.d, { token: 'token', session_id: 'S1', seq: 1 });
  discord.gateway!.send(JSON.stringify({ op: 7 }));
  await eventually(() => discord.got(6).length === 2, 'it does not resume when told to');
  discord.gateway!.send(JSON.stringify({ op: 9, d: false }));
  await identified(discord, 2);
  discord.write('still there');
  await eventually(() => discord.sent.length === 1, 'it does not answer');
});

test('A gateway that does not answer heartbeats is left for another connection', async (t) => {
  const { discord, side } = await scene(t);
  discord.acknowledges = false;
  await side.trigger(true, 2);
  await eventually(() => discord.got(6).length > 0, 'it stays');
});

test('When the lease is over the bot leaves by itself, within the limit', async (t) => {
  const { daemon, discord, bot, side } = await scene(t);
  await side.trigger(true, 2);
  await identified(discord);
  daemon.renew = ({ stamp }) => ({ stamp });
  await eventually(() => daemon.told('stopped').length === 1, 'it has not stopped');
  await eventually(() => discord.gateway === undefined, 'it is still online');
  assert.equal(bot.exitCode, undefined);
});

test('What no attempt can mend is a failure that the daemon hears of', async (t) => {
  const { daemon, discord, side } = await scene(t);
  discord.refusal = 401;
  await side.trigger(true, 2);
  await eventually(() => daemon.told('failed').length === 1, 'the daemon was not told');
  assert.match(String(daemon.told('failed')[0]!['reason']), /Correct DISCORD_TOKEN/);
  await side.trigger(false, 2);
  discord.refusal = undefined;
  await side.trigger(true, 3);
  await identified(discord);
  discord.gateway!.close(4014);
  await eventually(() => daemon.told('failed').length === 2, 'the daemon was not told');
  assert.match(String(daemon.told('failed')[1]!['reason']), /an intent is not allowed \(4014\)/);
});
