// A Discord bot of which exactly one copy is online, whatever happens to a machine. docs/recipes/discord-bot.md
//   CLUSTD_SECRET=... DISCORD_TOKEN=... node bot.mjs
import { DriverMachine } from 'clustd-client';
import { Gateway } from './gateway.mjs';

const sendLimitMs = 5_000; // Shorter than stop_timeout: a planned stop lets the message in hand be sent.

class DiscordBot extends DriverMachine {
  #api;
  #token;
  #online = Promise.resolve();
  #inHand = new Set(); // Answers that are being sent.
  #urgent = new AbortController();

  constructor(client, host, { token, api = 'https://discord.com/api/v10' }) {
    super(client, host);
    this.#api = api;
    this.#token = token;
  }

  async trigger(isMaster, { service, kill, signal, lease }) {
    if (isMaster) {
      this.#urgent = new AbortController();
      this.#online = this.#run(lease).catch((error) => void this.reportFailed(service, error.message));
      return;
    }
    // The gateway was left by lease.signal. What is being sent may be finished, unless nobody can wait for it.
    if (kill) this.#urgent.abort();
    else signal.addEventListener('abort', () => this.#urgent.abort());
    await this.#online; // Only now may another machine come online.
    await Promise.all(this.#inHand);
  }

  async #run(lease) {
    const gateway = new Gateway(() => this.#request('GET', '/gateway/bot', undefined, lease.signal), this.#token, (type, data) => {
      if (type !== 'MESSAGE_CREATE' || data.author?.bot || !data.content || !lease.isValid) return; // At every act: is this machine still the master?
      console.log(`message ${data.id} under token ${lease.token}: ${data.content}`);
      const answer = this.#request('POST', `/channels/${data.channel_id}/messages`, { content: `You said: ${data.content}`, nonce: data.id, enforce_nonce: true }, this.#urgent.signal)
        .catch((error) => console.error(`The answer was not sent: ${error.message}.`))
        .finally(() => this.#inHand.delete(answer));
      this.#inHand.add(answer);
    });
    await gateway.run(lease.signal);
  }

  async #request(method, path, body, signal) {
    const response = await fetch(this.#api + path, {
      method,
      headers: { authorization: `Bot ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(sendLimitMs)]),
    });
    if (response.ok) return response.json();
    if (response.status === 401) throw Object.assign(new Error('Discord does not know this bot. Correct DISCORD_TOKEN'), { isFinal: true });
    throw new Error(`Discord answered ${response.status} to ${method} ${path}`);
  }
}

const { CLUSTD_SECRET: secret, CLUSTD_URL: host = 'ws://127.0.0.1:3001', DISCORD_TOKEN: token, DISCORD_API: api } = process.env;
if (!secret || !token) {
  console.error('The bot cannot start: CLUSTD_SECRET or DISCORD_TOKEN is not set. Set both.');
  process.exit(2);
}
const bot = new DiscordBot({ secret, id: 'discord-bot' }, host, { token, api });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => bot.close());
await bot.connect();
console.log(`connected to ${bot.machine}`);
