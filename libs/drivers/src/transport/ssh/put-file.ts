import type { SshEndpoint, ExecRequest, ExecResult, PutFileRequest, PutFileResult } from './types.js';
export type Execute = (request: ExecRequest) => Promise<ExecResult>;
export function putFile(_e: Execute, _p: SshEndpoint, _r: PutFileRequest): Promise<PutFileResult> {
  throw new Error('x');
}
