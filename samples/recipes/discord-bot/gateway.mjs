// Discord's gateway, as little of it as a bot needs: hello, identify, heartbeat, resume.
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

const intents = (1 << 9) | (1 << 12) | (1 << 15); // Messages in guilds, direct messages, and what is in them.
const op = { dispatch: 0, heartbeat: 1, identify: 2, resume: 6, reconnect: 7, invalidSession: 9, hello: 10, heartbeatAck: 11 };
const finalCodes = { 4004: 'the token is wrong', 4010: 'invalid shard', 4011: 'sharding is needed', 4012: 'invalid version', 4013: 'invalid intents', 4014: 'an intent is not allowed' };

export class Gateway {
  #session; // { id, url } of a session that can be resumed.
  #sequence = null; // Of the last event that was taken.

  constructor(find, token, dispatch) {
    this.find = find; // Asks Discord where the gateway is.
    this.token = token;
    this.dispatch = dispatch;
  }

  /** Stays online until `signal` is aborted, over as many connections as that needs. Throws what no further attempt can mend. */
  async run(signal) {
    for (let waitMs = 0; !signal.aborted; waitMs = Math.min(Math.max(waitMs * 2, 500), 30_000)) {
      await pause(waitMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        const url = this.#session?.url ?? (await this.find()).url;
        const wasReady = await this.#connect(`${url}/?v=10&encoding=json`, signal);
        if (wasReady) waitMs = 0;
      } catch (error) {
        if (error.isFinal) throw error;
        if (!signal.aborted) console.error(`The gateway is not reached: ${error.cause?.message ?? error.message}. It is tried again.`);
      }
    }
  }

  // One connection, from its beginning to its end. True: it was of use.
  #connect(url, signal) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { handshakeTimeout: 10_000 });
      const send = (code, data) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ op: code, d: data }));
      let [isReady, isAcknowledged, beating] = [false, true, undefined];
      // 1000 says goodbye: the bot is shown as offline at once, and the session is over.
      const leave = () => {
        socket.close(1000);
        setTimeout(() => socket.terminate(), 200).unref(); // A stop does not wait for a gateway that is gone.
      };
      const beat = () => {
        if (!isAcknowledged) return socket.terminate(); // A dead connection: resume on another.
        isAcknowledged = false;
        return send(op.heartbeat, this.#sequence);
      };
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });

      socket.on('message', (text) => {
        if (signal.aborted) return;
        const { op: code, d: data, s: sequence, t: type } = JSON.parse(text);
        if (sequence) this.#sequence = sequence;
        if (code === op.hello) {
          beating = setTimeout(() => {
            beat();
            beating = setInterval(beat, data.heartbeat_interval);
          }, data.heartbeat_interval * Math.random());
          if (this.#session) send(op.resume, { token: this.token, session_id: this.#session.id, seq: this.#sequence });
          else send(op.identify, { token: this.token, intents, properties: { os: process.platform, browser: 'clustd', device: 'clustd' } });
        } else if (code === op.heartbeat) send(op.heartbeat, this.#sequence);
        else if (code === op.heartbeatAck) isAcknowledged = true;
        else if (code === op.reconnect) socket.close(4000); // Not 1000: the session is to be resumed.
        else if (code === op.invalidSession) {
          if (!data) this.#session = undefined;
          socket.close(4000);
        } else if (code === op.dispatch) {
          if (type === 'READY') this.#session = { id: data.session_id, url: data.resume_gateway_url };
          isReady ||= type === 'READY' || type === 'RESUMED';
          this.dispatch(type, data);
        }
      });
      let problem;
      socket.on('error', (error) => (problem = error)); // The close follows.
      socket.on('close', (code) => {
        clearInterval(beating);
        signal.removeEventListener('abort', leave);
        if (finalCodes[code]) reject(Object.assign(new Error(`Discord refuses this bot: ${finalCodes[code]} (${code}). Correct it and restart the bot.`), { isFinal: true }));
        else if (problem && !isReady) {
          this.#session = undefined; // The gateway of the session may be gone: ask for one.
          reject(problem);
        } else resolve(isReady);
      });
    });
  }
}
