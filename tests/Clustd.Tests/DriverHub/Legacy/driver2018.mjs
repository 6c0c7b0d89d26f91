// A driver as people wrote them in 2018: told `trigger(isMaster)`, it prints and answers. Own code on Node's own modules, no library of then or now.
// Usage: node driver2018.mjs HOST PORT SECRET ID
import net from 'node:net';
import crypto from 'node:crypto';

const [host, port, secret, id] = process.argv.slice(2);
let ticket; // Part of the keys once both have greeted.
let sent = 0;
let received = 0;

function key(counter) {
  const input = [Buffer.from(secret, 'utf8'), uint32(counter)];
  if (ticket !== undefined) input.push(uint32(ticket));
  return crypto.createHash('sha256').update(Buffer.concat(input)).digest().subarray(0, 16);
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function seal(message) {
  const iv = crypto.randomBytes(12);
  const cipher = crypto.createCipheriv('aes-128-gcm', key(++sent), iv);
  const text = Buffer.concat([cipher.update(JSON.stringify(message), 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), text]);
}

function open(frame) {
  const decipher = crypto.createDecipheriv('aes-128-gcm', key(++received), frame.subarray(0, 12));
  decipher.setAuthTag(frame.subarray(12, 28));
  return JSON.parse(Buffer.concat([decipher.update(frame.subarray(28)), decipher.final()]).toString('utf8'));
}

// RFC 6455, as much as is needed here: short frames, masked, never in parts.
function send(opcode, payload) {
  const mask = crypto.randomBytes(4);
  const head = payload.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | payload.length]) : Buffer.from([0x80 | opcode, 0xfe, payload.length >> 8, payload.length & 255]);
  socket.write(Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])]));
}

function take(message) {
  if (message.hello_world) {
    send(2, seal({ hello_world: message.hello_world, id }));
    ticket = message.hello_world;
    console.log(`connected to ${message.id}`);
  } else if (message.method === 'trigger') {
    console.log(`trigger ${message.params.isMaster}`);
    send(2, seal({ res_id: message.req_id, data: {} }));
  }
}

function frame(opcode, payload) {
  if (opcode === 2) take(open(payload));
  else if (opcode === 9) send(10, payload);
  else if (opcode === 8) {
    console.log(`closed: ${payload.subarray(2)}`);
    process.exit(0);
  }
}

let unread = Buffer.alloc(0);
let upgraded = false;

function read(bytes) {
  unread = Buffer.concat([unread, bytes]);
  if (!upgraded) {
    const end = unread.indexOf('\r\n\r\n');
    if (end < 0) return;
    console.log(unread.subarray(0, unread.indexOf('\r\n')).toString());
    unread = unread.subarray(end + 4);
    upgraded = true;
    setInterval(() => send(9, Buffer.alloc(0)), 1500);
  }
  while (unread.length >= 2) {
    const long = unread[1] === 126;
    const start = long ? 4 : 2;
    if (unread.length < start) return;
    const length = long ? unread.readUInt16BE(2) : unread[1];
    if (unread.length < start + length) return;
    const [opcode, payload] = [unread[0] & 15, unread.subarray(start, start + length)];
    unread = unread.subarray(start + length);
    frame(opcode, payload);
  }
}

const socket = net.connect(Number(port), host, () => socket.write([
  'GET / HTTP/1.1', `Host: ${host}:${port}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${crypto.randomBytes(16).toString('base64')}`, 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  `metadata: ${seal({ type: 'driver' }).toString('base64')}`, '', ''].join('\r\n')));
socket.on('data', read);
socket.on('close', () => process.exit(0));
socket.on('error', (error) => {
  console.log(`error: ${error.message}`);
  process.exit(1);
});
