import { describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { buildProgram } from '../../program.js';
import { Session } from '../../session/session.js';
import { capture, captureHost } from '../../session/testing/capture-host.js';
import { complete } from './complete.js';
import { completionScripts, shells } from './scripts.js';

const program = buildProgram(new Session(captureHost()), '0.0.0');

function candidates(...words: string[]): readonly string[] {
  return complete(program, words).candidates;
}

function leaves(command: Command, path: string[] = []): { path: string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }];
  return command.commands.flatMap((one) => leaves(one, [...path, one.name()]));
}

describe('completion', () => {
  it('offers nouns, verbs, options and their values', () => {
    expect(candidates('ru')).toEqual(['run']);
    expect(candidates('run', 'l')).toEqual(['list', 'logs']);
    expect(candidates('run', 'start', '--idem')).toEqual(['--idempotency-key']);
    expect(candidates('run', 'list', '-o', '')).toEqual(['table', 'json', 'yaml']);
    expect(candidates('run', 'list', '--state', 'f')).toEqual(['failed']);
    expect(candidates('document', 'show', '')).toEqual([
      'Runbook',
      'Schedule',
      'Capacity',
      'Calendar',
      'PatchBaseline',
    ]);
    expect(candidates('')).not.toContain('__complete');
  });

  it('asks for names where a name stands, and leaves files to the shell', () => {
    expect(complete(program, ['run', 'start', '']).names).toBe('runbook');
    expect(complete(program, ['run', 'start', '-o', 'json', '']).names).toBe('runbook');
    expect(complete(program, ['run', 'start', 'x', '']).names).toBeNull();
    expect(complete(program, ['apply', '-f', '']).names).toBe('file');
    expect(complete(program, ['exec', '--on', 'true', '--', 'l'])).toEqual({ candidates: [], names: null });
  });

  it('asks for the inputs of the runbook, and for what one of them takes, also where bash splits the word', () => {
    const place = (...words: string[]) => complete(program, ['run', 'start', ...words]).input;
    expect(place('patch', '--input', 'ho')).toEqual({
      runbook: 'patch',
      space: null,
      input: null,
      prefix: 'ho',
      before: '',
    });
    const host = { runbook: 'patch', space: 'site', input: 'host', prefix: 'we' };
    expect(place('patch', '--space', 'site', '--input', 'host=we')).toEqual({ ...host, before: 'host=' });
    expect(place('--space', 'site', 'patch', '--input', 'host', '=', 'we')).toEqual({ ...host, before: '' });
    expect(place('patch', '--input', 'a', '=', 'b', '--input', 'host', '=')).toMatchObject({
      input: 'host',
      prefix: '',
    });
    expect(place('patch', '--input', 'a', '=', 'b', '--inp')).toBeUndefined();
    expect(place('--input', 'host=')).toBeUndefined();
  });

  it('reaches every command there is', () => {
    for (const { path } of leaves(program)) {
      if (path[0]?.startsWith('__') === true) continue;
      expect(candidates(...path)).toContain(path.at(-1));
      expect(candidates(...path, '--')).toContain('--help');
    }
  });

  it('has a script for each shell, which asks this program', async () => {
    for (const shell of shells) {
      expect(await capture(['completion', shell])).toEqual({
        exitCode: 0,
        stdout: completionScripts[shell],
        stderr: '',
      });
      expect(completionScripts[shell]).toContain('fettle __complete --');
    }
    expect((await capture(['completion', 'tcsh'])).exitCode).toBe(2);
    expect(await capture(['__complete', '--', 'asset', 'im'])).toMatchObject({ exitCode: 0, stdout: 'import\n' });
    expect(await capture(['__complete', '--', 'apply', '-f', ''])).toMatchObject({ exitCode: 10, stdout: '' });
    const env = { FETTLE_URL: 'http://127.0.0.1:9' };
    expect(await capture(['__complete', '--', 'run', 'start', ''], { env })).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: '',
    });
  });
});

describe('every command', () => {
  it('says what it is for, and takes -o and --data-dir where it talks to the API', () => {
    const offline = new Set(['up', 'down', 'doctor', 'completion', '__complete', 'inventory', 'schema']);
    for (const { path, command } of leaves(program)) {
      if (path[0] !== '__complete') expect(`${path.join(' ')}: ${command.description()}`).toMatch(/: .{8}/);
      if (offline.has(path[0] ?? '')) continue;
      expect({ path, options: command.options.map((option) => option.long) }).toMatchObject({
        options: expect.arrayContaining(['--output']) as unknown,
      });
    }
  });
});
