export default async function tearDown() {
  await Promise.all((globalThis.fettleTestServers ?? []).map((server) => server.close()));
}
