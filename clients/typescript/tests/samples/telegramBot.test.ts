import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Program } from '../harness/consumer.js';
import { eventually, pause } from '../harness/eventually.js';
import { FakeApi, type Reply } from '../harness/fakeApi.js';
import { ScriptedDaemon, secret, type DaemonSide } from '../harness/scriptedDaemon.js';

/** Telegram, as far as a bot sees it: keeps an update until a later request for updates confirms it. */
class FakeTelegram {
  readonly sent: { chat_id: number; text: string }[] = [];
  polls = 0;
  polling: Reply | undefined; // The long poll that is open.
  offset = 0;
  refusal: { status: number; body: object } | undefined;
  beforeSend = async (): Promise<void> => {};
  private readonly updates: { update_id: number; message: object }[] = [];
  private api!: FakeApi;

  static async start(t: { after(fn: () => Promise<void>): void }): Promise<FakeTelegram> {
    const telegram = new FakeTelegram();
    telegram.api = await new FakeApi(t, (request, body, reply) => void telegram.answer(request.url!, body, reply)).start();
    return telegram;
  }

  get url(): string {
    return `http://${this.api.host}`;
  }

  /** Somebody writes to the bot. */
  write(text: string): void {
    this.updates.push({ update_id: 100 + this.updates.length, message: { text, chat: { id: 7 } } });
    if (this.polling !== undefined) this.give(this.polling);
  }

  private async answer(url: string, body: Record<string, unknown>, reply: Reply): Promise<void> {
    assert.match(url, /^\/bot42:token\//);
    if (this.refusal !== undefined) {
      reply.json(this.refusal.body, this.refusal.status);
    } else if (url.endsWith('/sendMessage')) {
      await this.beforeSend();
      this.sent.push(body as unknown as { chat_id: number; text: string });
      reply.json({ ok: true, result: {} });
    } else {
      this.offset = Math.max(this.offset, Number(body['offset']));
      if (body['timeout'] === 0) {
        reply.json({ ok: true, result: this.open().slice(0, 1) });
        return;
      }
      this.polls++;
      if (this.polling !== undefined) {
        reply.json({ ok: false, error_code: 409, description: 'Conflict: terminated by other getUpdates request' }, 409);
        return;
      }
      this.polling = reply;
      reply.response.on('close', () => (this.polling = this.polling === reply ? undefined : this.polling));
      if (this.open().length > 0) this.give(reply);
    }
  }

  private open(): object[] {
    return this.updates.filter((update) => update.update_id >= this.offset);
  }

  private give(reply: Reply): void {
    this.polling = undefined;
    reply.json({ ok: true, result: this.open() });
  }
}

interface Scene {
  daemon: ScriptedDaemon;
  telegram: FakeTelegram;
  bot: Program;
  side: DaemonSide;
}

async function scene(t: { after(fn: () => Promise<void>): void }): Promise<Scene> {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  const telegram = await FakeTelegram.start(t);
  const env = { CLUSTD_SECRET: secret, CLUSTD_URL: daemon.url, TELEGRAM_TOKEN: '42:token', TELEGRAM_API: telegram.url };
  const bot = new Program(t, process.execPath, ['telegram-bot/bot.mjs'], env);
  return { daemon, telegram, bot, side: await daemon.nextDriver() };
}

test('The Telegram bot polls only while it is master, stops at once, and resumes', async (t) => {
  const { telegram, bot, side } = await scene(t);
  telegram.write('too early');
  await side.trigger(false, 1);
  await pause(100);
  assert.equal(telegram.polls, 0);

  assert.deepEqual(await side.trigger(true, 2), { result: {} });
  await bot.says('update 100 under token 2: too early');
  await eventually(() => telegram.polling !== undefined && telegram.sent.length === 1, 'it does not poll');
  assert.deepEqual(telegram.sent, [{ chat_id: 7, text: 'You said: too early' }]);

  const told = performance.now();
  assert.deepEqual(await side.trigger(false, 2), { result: {} });
  // Wrong program: waits for the long poll, 25 s.
  assert.ok(performance.now() - told < 5_000);
  await eventually(() => telegram.polling === undefined, 'its poll is still open');
  telegram.write('to nobody');
  await pause(100);
  assert.equal(telegram.sent.length, 1);

  await side.trigger(true, 3);
  await bot.says('update 101 under token 3: to nobody');
  await eventually(() => telegram.sent.length === 2, 'it does not answer');
  assert.equal(bot.output.includes('409'), false);
});

test('A planned stop lets the answer in hand be sent, and leaves the rest to the next master', async (t) => {
  const { telegram, bot, side } = await scene(t);
  let send!: () => void;
  telegram.beforeSend = () => new Promise((resolve) => (send = resolve));
  telegram.write('first');
  telegram.write('second');
  await side.trigger(true, 2);
  await bot.says('update 100 under token 2: first');
  await eventually(() => send !== undefined, 'it does not answer');
  let stopped = false;
  const stop = side.trigger(false, 2).finally(() => (stopped = true));
  await pause(100);
  assert.equal(stopped, false);
  send();
  assert.deepEqual(await stop, { result: {} });
  assert.deepEqual(telegram.sent.map((message) => message.text), ['You said: first']);
  // What was dealt with is confirmed, what was not is still there.
  assert.equal(telegram.offset, 101);
});

test('When the lease is over the bot stops by itself, also in the middle of an answer, and within the limit', async (t) => {
  const { daemon, telegram, bot, side } = await scene(t);
  telegram.beforeSend = () => new Promise(() => {});
  telegram.write('first');
  await side.trigger(true, 2);
  await bot.says('update 100 under token 2: first');
  daemon.renew = ({ stamp }) => ({ stamp });
  await eventually(() => daemon.told('stopped').length === 1, 'it has not stopped');
  assert.equal(bot.exitCode, undefined);
  assert.equal(telegram.offset, 0);
});

test('A token that Telegram does not know is a failure that the daemon hears of, and no obstacle to the stop', async (t) => {
  const { daemon, telegram, side } = await scene(t);
  telegram.refusal = { status: 401, body: { ok: false, error_code: 401, description: 'Unauthorized' } };
  await side.trigger(true, 2);
  await eventually(() => daemon.told('failed').length === 1, 'the daemon was not told');
  assert.match(String(daemon.told('failed')[0]!['reason']), /Telegram does not know this bot: Unauthorized\. Correct TELEGRAM_TOKEN\./);
  assert.deepEqual(await side.trigger(false, 2), { result: {} });
});

test('Too much at once is waited for as long as Telegram says', async (t) => {
  const { telegram, bot, side } = await scene(t);
  telegram.refusal = { status: 429, body: { ok: false, description: 'Too Many Requests: retry after 1', parameters: { retry_after: 1 } } };
  await side.trigger(true, 2);
  await bot.says('It is tried again in 1 s.');
  telegram.refusal = undefined;
  telegram.write('now');
  await eventually(() => telegram.sent.length === 1, 'it does not answer');
});
