import { FettleError } from '@fettle/contracts';
import { SshPool } from '@fettle/drivers';
import { assetUseCredential } from '../contracts.js';
import { targetAction, type ActionEnd } from '../implementation.js';

const failed = (code: string, message: string, remedy: string): ActionEnd<never> => ({
  state: 'failed',
  exitCode: null,
  error: { code, message, remedy },
  output: null,
});

export const useCredential = targetAction(assetUseCredential, async ({ credential: name }, context, { argv }) => {
  const { asset, endpoint, timeoutMs, signal, token } = context;
  const { user, credential } =
    name === undefined ? { user: endpoint.user, credential: context.credential } : await context.identity(name);
  if (name !== undefined && credential.kind !== 'private-key') {
    const remedy = 'Name another one, or store the key with `fettle credential set`.';
    return failed('credential-kind', `The credential "${name}" is no private key.`, remedy);
  }
  const shown = name === undefined ? 'the credential of its endpoint' : `the credential "${name}"`;
  // Of its own: a connection that is open already would prove nothing of who is let in now.
  const ssh = new SshPool();
  try {
    const request = { argv: argv[0] ?? [], timeoutMs, signal, token, onOutput: context.output };
    const result = await ssh.exec({ ...endpoint, user }, credential, request);
    if ('signal' in result || result.exitCode !== 0) {
      const message = `${asset.name} lets ${user} in with ${shown}, and runs nothing for it.`;
      return failed('credential-useless', message, 'Look for a forced command or a missing shell.');
    }
  } catch (error) {
    if (!(error instanceof FettleError) || error.code !== 'authentication-failed') throw error;
    const message = `${asset.name} does not let ${user} in with ${shown}: ${error.message}`;
    return failed('credential-refused', message, 'Compare its public key with the authorized keys on the host.');
  } finally {
    await ssh.close();
  }
  const previous = await context.useCredential(name ?? null);
  return {
    state: 'succeeded',
    exitCode: 0,
    error: null,
    output: { previous, changed: name !== undefined && previous !== name },
  };
});
