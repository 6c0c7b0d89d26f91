// A Telegram bot of which exactly one copy polls, whatever happens to a machine. docs/recipes/telegram-bot.md
//   CLUSTD_SECRET=... TELEGRAM_TOKEN=... node bot.mjs
import { setTimeout as pause } from 'node:timers/promises';
import { DriverMachine } from 'clustd-client';

const pollSeconds = 25; // How long Telegram holds a request for updates. As long as you like: a stop does not wait for it.
const sendLimitMs = 5_000; // Shorter than stop_timeout: a planned stop lets the message in hand be sent.

class TelegramBot extends DriverMachine {
  #api;
  #polling = Promise.resolve();
  #urgent = new AbortController();

  constructor(client, host, { token, api = 'https://api.telegram.org' }) {
    super(client, host);
    this.#api = `${api}/bot${token}`;
  }

  async trigger(isMaster, { service, kill, signal, lease }) {
    if (isMaster) {
      this.#urgent = new AbortController();
      this.#polling = this.#poll(lease).catch((error) => void this.reportFailed(service, error.message));
      return;
    }
    // The poll has ended by lease.signal. What is being sent may be finished, unless nobody can wait for it.
    if (kill) this.#urgent.abort();
    else signal.addEventListener('abort', () => this.#urgent.abort());
    await this.#polling; // Only now may another machine poll.
  }

  async #poll(lease) {
    let next = 0; // The first update that was not dealt with. Telegram keeps all from it on, also for the next master.
    while (!lease.signal.aborted) {
      const updates = await this.#call('getUpdates', { offset: next, timeout: pollSeconds, allowed_updates: ['message'] }, lease.signal, (pollSeconds + 10) * 1000);
      for (const update of updates ?? []) {
        if (lease.signal.aborted || !lease.isValid) break; // At every act: the next master is given the rest.
        if ((await this.#answer(update, lease)) === undefined) break; // Not now: Telegram gives it again.
        next = update.update_id + 1;
      }
    }
    // A planned stop: say what was dealt with, so that the next master does not answer it again.
    if (next > 0 && lease.isValid) await this.#call('getUpdates', { offset: next, timeout: 0, limit: 1 }, this.#urgent.signal, sendLimitMs);
  }

  async #answer({ update_id: id, message }, lease) {
    if (typeof message?.text !== 'string') return null;
    console.log(`update ${id} under token ${lease.token}: ${message.text}`);
    return this.#call('sendMessage', { chat_id: message.chat.id, text: `You said: ${message.text}` }, this.#urgent.signal, sendLimitMs);
  }

  // The result; null if this can never be done (the chat is gone), undefined if it was given up or could not be done just now.
  async #call(method, parameters, signal, limitMs) {
    let waitSeconds = 3;
    try {
      const response = await fetch(`${this.#api}/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(parameters),
        signal: AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
      });
      const { ok, result, description, parameters: hints } = await response.json();
      if (ok) return result;
      if (response.status === 401 || response.status === 404)
        throw Object.assign(new Error(`Telegram does not know this bot: ${description}. Correct TELEGRAM_TOKEN.`), { isFinal: true });
      if (response.status === 400 || response.status === 403) return null;
      // 409: somebody else polls, without clustd or for another cluster. 429: too much at once.
      waitSeconds = hints?.retry_after ?? waitSeconds;
      console.error(`${method} failed: ${description}. It is tried again in ${waitSeconds} s.`);
    } catch (error) {
      if (error.isFinal) throw error;
      if (!signal.aborted) console.error(`${method} failed: ${error.cause?.message ?? error.message}. It is tried again in ${waitSeconds} s.`);
    }
    await pause(waitSeconds * 1000, undefined, { signal }).catch(() => {});
    return undefined;
  }
}

const { CLUSTD_SECRET: secret, CLUSTD_URL: host = 'ws://127.0.0.1:3001', TELEGRAM_TOKEN: token, TELEGRAM_API: api } = process.env;
if (!secret || !token) {
  console.error('The bot cannot start: CLUSTD_SECRET or TELEGRAM_TOKEN is not set. Set both.');
  process.exit(2);
}
const bot = new TelegramBot({ secret, id: 'telegram-bot' }, host, { token, api });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => bot.close());
await bot.connect();
console.log(`connected to ${bot.machine}`);
