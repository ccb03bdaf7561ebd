// The limit that fan-out is compared to: ssh2 alone, a pool of promises, no journal, no policy beyond the pinned key.
// usage: node bare-pool.mjs '{"addresses":[...],"port":N,"user":"...","keyFile":"...","hostKey":"...","argv":"true","atOnce":50,"warmRounds":10}'
import { readFileSync } from 'node:fs';
import ssh2 from 'ssh2';

const settings = JSON.parse(process.argv[2]);
const privateKey = readFileSync(settings.keyFile);
const pinned = Buffer.from(settings.hostKey.split(' ')[1], 'base64');

const connect = (host) =>
  new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.once('ready', () => resolve(client)).once('error', reject);
    client.connect({
      host,
      port: settings.port,
      username: settings.user,
      privateKey,
      hostVerifier: (key) => key.equals(pinned),
      readyTimeout: 30_000,
    });
    client._sock?.setNoDelay(true);
  });

const exec = (client) =>
  new Promise((resolve, reject) => {
    client.exec(settings.argv, (error, stream) => {
      if (error) return reject(error);
      let code = null;
      stream.on('exit', (value) => (code = value)).on('close', () => resolve(code));
      stream.resume();
      stream.stderr.resume();
    });
  });

async function pool(items, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: settings.atOnce }, worker));
}

const clients = [];
const codes = [];
const cpu = () => process.cpuUsage();
const spent = (from) => Object.values(process.cpuUsage(from)).reduce((sum, part) => sum + part, 0) / 1000;
let from = cpu();
let began = performance.now();
await pool(settings.addresses, async (address) => {
  const client = await connect(address);
  clients.push(client);
  codes.push(await exec(client));
});
const cold = { wallMs: performance.now() - began, cpuMs: spent(from) };
const warm = [];
for (let round = 0; round < settings.warmRounds; round += 1) {
  from = cpu();
  began = performance.now();
  await pool(clients, async (client) => void codes.push(await exec(client)));
  warm.push({ wallMs: performance.now() - began, cpuMs: spent(from) });
}
for (const client of clients) client.end();
console.log(JSON.stringify({ cold, warm, failures: codes.filter((code) => code !== 0).length }));
